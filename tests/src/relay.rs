//! The relay under test, in this process.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use relay_config::{Config, Format, Loader};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdout};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::real::clean;
use crate::time_limit::within_limit;

/// A relay on `127.0.0.1` that belongs to one test, with every layer it has in production.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    relay: relay_server::Relay,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
}

impl Relay {
    /// Serves with this configuration. JSON is YAML, so it takes the way that a file takes.
    /// # Panics
    /// If the configuration is refused.
    pub async fn start(config: &Value) -> Self {
        Self::start_with_env(&[], config).await
    }

    /// As [`start`](Self::start), with these variables for the configuration to refer to.
    /// # Panics
    /// If the configuration is refused.
    pub async fn start_with_env(environment: &[(&str, &str)], config: &Value) -> Self {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let loader = Loader::new().with_environment(environment);
        let loader = loader.with_text("test.yaml", Format::Yaml, config.to_string());
        let loaded = loader.load().unwrap_or_else(|error| panic!("{error}"));
        Self::serve(loaded.config).await
    }

    /// Serves with a configuration that was made in code.
    /// # Panics
    /// If the configuration is refused.
    pub async fn serve(config: Config) -> Self {
        // Upstreams are on this machine, whatever proxy the environment names.
        let relay = relay_server::Relay::builder(config).without_proxy().build();
        Self::listen(relay.expect("a relay of a valid configuration")).await
    }

    /// Serves with this configuration, and closes a connection whose first request head takes longer than `first`, or
    /// a further one longer than `next`.
    /// # Panics
    /// If the configuration is refused.
    pub async fn start_with_head_timeouts(config: &Value, first: Duration, next: Duration) -> Self {
        let loader = Loader::new().with_text("test.yaml", Format::Yaml, config.to_string());
        let loaded = loader.load().unwrap_or_else(|error| panic!("{error}"));
        let relay = relay_server::Relay::builder(loaded.config).without_proxy();
        let relay = relay.with_head_timeouts(first, next).build();
        Self::listen(relay.expect("a relay of a valid configuration")).await
    }

    /// Serves with this configuration, and with the proxies of this process's environment.
    /// # Panics
    /// If the configuration is refused.
    pub async fn start_with_proxies(config: &Value) -> Self {
        let loader = Loader::new().with_text("test.yaml", Format::Yaml, config.to_string());
        let loaded = loader.load().unwrap_or_else(|error| panic!("{error}"));
        let relay = relay_server::Relay::builder(loaded.config).build();
        Self::listen(relay.expect("a relay of a valid configuration")).await
    }

    /// Serves with another configuration, and goes on with what this one knows.
    /// # Panics
    /// If the configuration is refused.
    pub async fn with_inherited_state(&self, config: &Value) -> Self {
        let loaded = Loader::new().with_text("test.yaml", Format::Yaml, config.to_string()).load();
        let loaded = loaded.unwrap_or_else(|error| panic!("{error}"));
        let relay =
            relay_server::Relay::builder(loaded.config).without_proxy().inherit_state(&self.relay).build();
        Self::listen(relay.expect("a relay of a valid configuration")).await
    }

    async fn listen(relay: relay_server::Relay) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (stop, stopped) = oneshot::channel();
        let shutdown = async move {
            // An error means that the test has ended, which stops the relay as well.
            let _ = stopped.await;
        };
        let served = relay.clone();
        let serving = tokio::spawn(async move {
            relay_server::serve(listener, served, shutdown).await;
        });
        Self { address, relay, stop: Some(stop), serving }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Asks it to stop gracefully.
    pub fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// Waits until it has stopped serving.
    /// # Panics
    /// If it panicked, or does not stop.
    pub async fn stopped(&mut self) {
        within_limit("end of the relay", &mut self.serving).await.expect("the relay does not panic");
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A relay in a process of its own, with an environment of its own: nothing of this process's but the search path.
#[derive(Debug)]
pub struct RelayProcess {
    address: SocketAddr,
    process: Child,
    output: Lines<BufReader<ChildStdout>>,
}

/// What a process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footprint {
    /// Tasks of its runtime.
    pub tasks: usize,
    /// Open files, sockets above all; `None` where the system does not tell.
    pub files: Option<usize>,
    /// Memory in KiB; `None` where the system does not tell.
    pub memory: Option<u64>,
}

impl RelayProcess {
    /// Runs `program`, which is `relay-under-test`, with this configuration.
    /// # Panics
    /// If it does not start.
    pub async fn start(program: &str, config: &Value, environment: &[(&str, &str)]) -> Self {
        let mut process = clean(Path::new(program))
            .arg(config.to_string())
            .envs(environment.iter().copied())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the program starts");
        let mut output = BufReader::new(process.stdout.take().expect("standard output is piped")).lines();
        let line = within_limit("address of the relay", output.next_line()).await;
        let line = line.expect("standard output can be read").expect("the relay starts");
        Self { address: line.parse().expect("an address"), process, output }
    }

    /// What the process holds now.
    /// # Panics
    /// If it has ended.
    pub async fn footprint(&mut self) -> Footprint {
        let input = self.process.stdin.as_mut().expect("standard input is piped");
        input.write_all(b"\n").await.expect("the relay reads its input");
        let line = within_limit("number of tasks", self.output.next_line()).await;
        let line = line.expect("standard output can be read").expect("the relay still runs");
        let directory = format!("/proc/{}", self.process.id().expect("the relay still runs"));
        let status = std::fs::read_to_string(format!("{directory}/status")).unwrap_or_default();
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next());
        Footprint {
            tasks: line.parse().expect("a number"),
            files: std::fs::read_dir(format!("{directory}/fd")).ok().map(Iterator::count),
            memory: memory.and_then(|memory| memory.parse().ok()),
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// The one key that [`provider`] configures.
pub const PROVIDER_KEY: &str = "key-of-the-relay";

/// A provider for a configuration, with [`PROVIDER_KEY`] as its key.
#[must_use]
pub fn provider(name: &str, kind: &str, upstream: &str) -> Value {
    json!({"name": name, "type": kind, "base_url": upstream, "keys": [{"key": PROVIDER_KEY}]})
}

/// An `anthropic` provider that has no key and passes on the credential of the client.
#[must_use]
pub fn passthrough(name: &str, upstream: &str) -> Value {
    json!({"name": name, "type": "anthropic", "base_url": upstream, "passthrough": true})
}
