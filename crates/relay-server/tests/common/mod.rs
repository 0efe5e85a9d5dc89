//! A relay of two mock providers, for one client.

use relay_config::{Format, Loader};
use relay_server::{Builder, Relay};

const CONFIG: &str = "
server: { auth: { api_keys: [{ name: alice, key: relay-a }] } }
providers:
  - { name: first, type: mock, priority: 2 }
  - { name: second, type: mock, model_mapping: { claude-x: mapped } }
";

/// Returns the builder of the relay. The client `alice` has the key `relay-a`.
pub(crate) fn relay() -> Builder {
    let config = Loader::new().with_text("test.yaml", Format::Yaml, CONFIG).load().unwrap().config;
    Relay::builder(config).without_proxy()
}
