//! The relay under test, in this process or in a separate one.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use relay_config::{Config, Format, Loader};
use relay_server::{Listener, RequestRecord, Stop};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdout};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::answer::Answer;
use crate::client::{Call, Response};
use crate::real::isolated_command;
use crate::time_limit::within_limit;
use crate::upstream::{Upstream, in_turn};

/// The records of the requests that have ended, in the order of their ends.
pub type Records = UnboundedReceiver<Arc<RequestRecord>>;

/// Returns records, and the subscriber for [`on_finished`](relay_server::Builder::on_finished) that sends them.
pub fn records() -> (Records, impl Fn(&Arc<RequestRecord>) + Send + Sync + 'static) {
    let (ended, records) = unbounded_channel();
    let keep = move |record: &Arc<RequestRecord>| {
        // A test that has ended reads no more records.
        let _ = ended.send(Arc::clone(record));
    };
    (records, keep)
}

/// A relay on `127.0.0.1` for one test, with every layer it has in production.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    relay: relay_server::Relay,
    stop: Option<oneshot::Sender<Stop>>,
    serving: JoinHandle<()>,
}

impl Relay {
    /// Serves with this configuration. It is loaded like a YAML file, since JSON is YAML.
    /// # Panics
    /// If the configuration is invalid.
    pub async fn start(config: &Value) -> Self {
        Self::start_with_env(&[], config).await
    }

    /// Serves with this configuration, which may refer to these environment variables.
    /// # Panics
    /// If the configuration is invalid.
    pub async fn start_with_env(environment: &[(&str, &str)], config: &Value) -> Self {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let loader = Loader::new().with_environment(environment);
        let loader = loader.with_text("test.yaml", Format::Yaml, config.to_string());
        let loaded = loader.load().unwrap_or_else(|error| panic!("{error}"));
        Self::serve(loaded.config).await
    }

    /// Serves with a configuration that was built in code.
    /// # Panics
    /// If the configuration is invalid.
    pub async fn serve(config: Config) -> Self {
        // The upstreams run on this machine, so a proxy from the environment must not be used.
        let relay = builder(config).without_proxy().build();
        Self::listen(relay.expect("a relay of a valid configuration")).await
    }

    /// Serves with this configuration. Closes a connection if its first request head takes longer than `first`, or a
    /// later head longer than `next`.
    /// # Panics
    /// If the configuration is invalid.
    pub async fn start_with_head_timeouts(config: &Value, first: Duration, next: Duration) -> Self {
        Self::start_with(config, |relay| relay.with_head_timeouts(first, next)).await
    }

    /// Serves with this configuration, and with the further settings that `set` makes.
    /// # Panics
    /// If the configuration is invalid.
    pub async fn start_with(
        config: &Value,
        set: impl FnOnce(relay_server::Builder) -> relay_server::Builder,
    ) -> Self {
        let loader = Loader::new().with_text("test.yaml", Format::Yaml, config.to_string());
        let loaded = loader.load().unwrap_or_else(|error| panic!("{error}"));
        let relay = builder(loaded.config).without_proxy();
        let relay = set(relay).build();
        Self::listen(relay.expect("a relay of a valid configuration")).await
    }

    /// Serves with this configuration, and returns the records of the requests as they end.
    /// # Panics
    /// If the configuration is invalid.
    pub async fn start_recorded(config: &Value) -> (Self, Records) {
        let (records, keep) = records();
        (Self::start_with(config, |relay| relay.on_finished(keep)).await, records)
    }

    /// Serves with this configuration and the proxies from the environment of this process.
    /// # Panics
    /// If the configuration is invalid.
    pub async fn start_with_proxies(config: &Value) -> Self {
        let loader = Loader::new().with_text("test.yaml", Format::Yaml, config.to_string());
        let loaded = loader.load().unwrap_or_else(|error| panic!("{error}"));
        let relay = builder(loaded.config).build();
        Self::listen(relay.expect("a relay of a valid configuration")).await
    }

    /// Serves with another configuration on another port, and inherits the state of this relay, as after a reload.
    /// # Panics
    /// If the configuration is invalid.
    pub async fn with_inherited_state(&self, config: &Value) -> Self {
        let loaded = Loader::new().with_text("test.yaml", Format::Yaml, config.to_string()).load();
        let loaded = loaded.unwrap_or_else(|error| panic!("{error}"));
        let relay = builder(loaded.config).without_proxy().inherit_state(&self.relay).build();
        Self::listen(relay.expect("a relay of a valid configuration")).await
    }

    /// Serves with this configuration on a listener of the test, and with the further settings that `set` makes.
    /// # Panics
    /// If the configuration is invalid.
    pub async fn start_on(
        listener: impl Into<Listener>,
        config: &Value,
        set: impl FnOnce(relay_server::Builder) -> relay_server::Builder,
    ) -> Self {
        let loader = Loader::new().with_text("test.yaml", Format::Yaml, config.to_string());
        let loaded = loader.load().unwrap_or_else(|error| panic!("{error}"));
        let relay = set(builder(loaded.config).without_proxy()).build();
        Self::serve_on(listener.into(), relay.expect("a relay of a valid configuration"))
    }

    async fn listen(relay: relay_server::Relay) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        Self::serve_on(listener.into(), relay)
    }

    fn serve_on(listener: Listener, relay: relay_server::Relay) -> Self {
        let address = listener.local_addr().expect("a bound socket has an address");
        let address = address.tcp().unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
        let (stop, stopped) = oneshot::channel();
        // An error means that the test has ended, which also stops the relay.
        let stopped = async move { stopped.await.unwrap_or(Stop::Close) };
        let served = relay.clone();
        let serving = tokio::spawn(async move {
            relay_server::serve_until(listener, served, stopped).await;
        });
        Self { address, relay, stop: Some(stop), serving }
    }

    /// Returns the address on which the relay listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Starts a graceful shutdown.
    pub fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// Stops accepting as if another process accepted on the same socket from now on.
    pub fn hand_over(&mut self) {
        if let Some(stop) = self.stop.take() {
            // An error means that the relay has stopped.
            let _ = stop.send(Stop::HandOver);
        }
    }

    /// Waits until the relay has stopped serving.
    /// # Panics
    /// If the relay panicked, or does not stop within [`STEP_TIMEOUT`](crate::STEP_TIMEOUT).
    pub async fn stopped(&mut self) {
        within_limit("end of the relay", &mut self.serving).await.expect("the relay does not panic");
    }
}

/// Returns a builder for a relay that listens on the addresses in `server.listen`, as the program does.
fn builder(config: Config) -> relay_server::Builder {
    let loopback_only = config.server.is_loopback_only();
    relay_server::Relay::builder(config).reachable_from_loopback_only(loopback_only).allow_no_provider()
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A relay in a separate process that inherits only the search path from the environment of this one.
#[derive(Debug)]
pub struct RelayProcess {
    address: SocketAddr,
    process: Child,
    output: Lines<BufReader<ChildStdout>>,
}

/// The resources that a process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footprint {
    /// The number of tasks of its tokio runtime.
    pub tasks: usize,
    /// The number of open files, which includes sockets. `None` if the system does not report it.
    pub files: Option<usize>,
    /// The resident memory in KiB. `None` if the system does not report it.
    pub memory: Option<u64>,
}

impl RelayProcess {
    /// Runs `program`, the path of `relay-under-test`, with this configuration and these environment variables.
    /// # Panics
    /// If the program does not start.
    pub async fn start(program: &str, config: &Value, environment: &[(&str, &str)]) -> Self {
        let mut process = isolated_command(Path::new(program))
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

    /// Returns the resources that the process holds now.
    /// # Panics
    /// If the process has ended.
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

    /// Returns the address on which the relay listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// The upstream key that [`provider`] configures.
pub const PROVIDER_KEY: &str = "key-of-the-relay";

/// Returns the configuration of a provider with [`PROVIDER_KEY`] as its key.
#[must_use]
pub fn provider(name: &str, kind: &str, upstream: &str) -> Value {
    json!({"name": name, "type": kind, "base_url": upstream, "keys": [{"key": PROVIDER_KEY}]})
}

/// Returns the configuration of a provider with the fewest settings that its kind requires. Unlike [`provider`], an
/// `ollama` provider has no key.
#[must_use]
pub fn minimal_provider(name: &str, kind: &str, upstream: &str) -> Value {
    let mut provider = provider(name, kind, upstream);
    match kind {
        "ollama" => provider["keys"] = json!([]),
        "anthropic_compatible" => provider["auth"] = json!("x-api-key"),
        _ => {}
    }
    provider
}

/// Sends `POST /v1/messages` with `body` to a relay with one provider `gw` of this kind, whose upstream gives `answer`.
pub async fn send_to_lone_provider(kind: &str, answer: Answer, body: &'static str) -> Response {
    let upstream = Upstream::answering(in_turn([answer])).await;
    let relay = Relay::start(&json!({"providers": [minimal_provider("gw", kind, &upstream.url())]})).await;
    Call::messages(body).send(relay.address()).await
}

/// Returns the configuration of an `anthropic` provider without a key that forwards the credential of the client.
#[must_use]
pub fn passthrough(name: &str, upstream: &str) -> Value {
    json!({"name": name, "type": "anthropic", "base_url": upstream, "passthrough": true})
}
