//! The relay under test, in this process.

use std::net::SocketAddr;

use relay_config::{Format, Loader};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::guard::patiently;

/// A relay on `127.0.0.1` that belongs to one test, with every layer it has in production.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
}

impl Relay {
    /// Serves with this configuration. JSON is YAML, so it takes the way that a file takes.
    /// # Panics
    /// When the configuration is refused.
    pub async fn start(config: &Value) -> Self {
        let loader = Loader::new().with_text("test.yaml", Format::Yaml, config.to_string());
        let loaded = loader.load().unwrap_or_else(|error| panic!("{error}"));
        let relay =
            relay_server::Relay::builder(loaded.config).build().expect("a relay of a valid configuration");
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (stop, stopped) = oneshot::channel();
        let shutdown = async move {
            // An error means that the test has ended, which stops the relay as well.
            let _ = stopped.await;
        };
        let serving = tokio::spawn(async move {
            relay_server::serve(listener, relay, shutdown).await;
        });
        Self { address, stop: Some(stop), serving }
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
    /// When it panicked, or does not stop.
    pub async fn stopped(&mut self) {
        patiently("end of the relay", &mut self.serving).await.expect("the relay does not panic");
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// The one key that [`provider`] configures.
pub const OUR_KEY: &str = "key-of-the-relay";

/// A provider for a configuration, with [`OUR_KEY`] as its key.
#[must_use]
pub fn provider(name: &str, kind: &str, upstream: &str) -> Value {
    json!({"name": name, "type": kind, "base_url": upstream, "keys": [{"key": OUR_KEY}]})
}

/// An `anthropic` provider that has no key and passes on the credential of the client.
#[must_use]
pub fn passthrough(name: &str, upstream: &str) -> Value {
    json!({"name": name, "type": "anthropic", "base_url": upstream, "passthrough": true})
}
