//! The configurations of cc-relay that are measured.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

use crate::upstream::handle::{Protocol, Upstream};

/// The key that clients send.
pub(crate) const CLIENT_KEY: &str = "sk-bench-3f9d0c5a7e1b42688d64";
/// The address of the admin listener: a free port.
const ADMIN: &str = "127.0.0.1:0";

/// A configuration of cc-relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    /// One provider with one key, and every other setting at its default.
    Lone,
    /// Client keys with limits, four upstream keys with limits, sessions, mapped and restored model names, rules for
    /// features, fixed and forwarded headers, images by URL, debug headers, and a log in a file. No fallback, which is
    /// measured by [`Fallbacks`](Self::Fallbacks).
    AllFeatures,
    /// The lone provider, and fallbacks that are never called: an Ollama and two clouds.
    Fallbacks,
    /// One provider of type `bedrock`, which signs every request.
    Bedrock,
    /// One provider with so many keys.
    Keys(usize),
    /// Six providers of six types.
    SixProviders,
}

impl Variant {
    /// Returns the name of the configuration file.
    pub(crate) fn file_name(self) -> &'static str {
        match self {
            // Programs of earlier commits accept 20,000 values in YAML. `--relay` measures these too.
            Self::Keys(_) => "relay.toml",
            _ => "relay.yaml",
        }
    }

    /// Returns the text of the configuration. JSON is YAML. The relay writes its ledger and its log to the directory `data`.
    pub(crate) fn text(
        self,
        address: SocketAddr,
        upstream: &Upstream,
        protocol: Protocol,
        data: &Path,
    ) -> String {
        // Several relays run beside each other, and none writes to the data of the user.
        let (url, ledger) = (upstream.url(protocol), data.join("usage.db"));
        if let Self::Keys(count) = self {
            return many_keys(address, &url, count, &ledger);
        }
        let mut config = json!({
            "server": {"listen": address.to_string()}, "admin": {"listen": ADMIN}, "usage": {"path": ledger},
        });
        let mut lone = anthropic(&url, 1);
        if protocol != Protocol::Plain {
            lone["ca_file"] = json!(upstream.ca_file());
        }
        config["providers"] = match self {
            Self::Bedrock => json!([bedrock(&url)]),
            Self::Fallbacks | Self::SixProviders => {
                let mut providers = vec![lone];
                providers.extend(fallbacks());
                if self == Self::SixProviders {
                    providers.extend(vendors());
                }
                Value::Array(providers)
            }
            Self::AllFeatures => return all_features(config, &url, data).to_string(),
            Self::Lone | Self::Keys(_) => json!([lone]),
        };
        config.to_string()
    }
}

fn anthropic(url: &str, keys: usize) -> Value {
    let keys: Vec<_> = (0..keys).map(|number| json!({"key": upstream_key(number)})).collect();
    json!({"name": "anthropic", "type": "anthropic", "base_url": url, "passthrough": false, "priority": 100, "keys": keys})
}

fn upstream_key(number: usize) -> String {
    format!("sk-ant-api03-{number:08}-uJ2kQ8vT5xW3yZ7a")
}

fn bedrock(url: &str) -> Value {
    json!({
        "name": "bedrock", "type": "bedrock", "base_url": url, "aws_region": "us-east-1",
        "aws_access_key_id": "AKIDEXAMPLE",
        "aws_secret_access_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        "model_mapping": {"claude-*": "us.anthropic.claude-sonnet-4-5-20250929-v1:0"},
    })
}

/// Returns providers at a port that refuses connections. They are never called.
fn fallbacks() -> Vec<Value> {
    const CLOSED: &str = "http://127.0.0.1:1";
    let ollama = json!({
        "name": "ollama", "type": "ollama", "base_url": CLOSED, "model_mapping": {"*": "qwen3-coder:30b"},
    });
    let azure = json!({
        "name": "azure", "type": "azure", "base_url": CLOSED, "keys": [{"key": "azure-0123456789abcdef"}],
        "model_mapping": {"claude-*": "claude-deployment"},
    });
    vec![ollama, bedrock(CLOSED), azure]
}

fn vendors() -> Vec<Value> {
    let vendor = |name: &str| json!({"name": name, "type": name, "base_url": "http://127.0.0.1:1", "keys": [{"key": upstream_key(99)}]});
    vec![vendor("zai"), vendor("minimax")]
}

fn all_features(mut config: Value, url: &str, data: &Path) -> Value {
    let client = |name: &str, key: &str| {
        json!({
            "name": name, "key": key,
            "rpm_limit": 4_000_000_000_u64, "tpm_limit": 1_000_000_000_000_u64, "max_concurrent": 100_000,
        })
    };
    config["server"]["auth"] = json!({"api_keys": [client("bench", CLIENT_KEY), client("other", "sk-bench-of-another-client-0a1b2c3d")]});
    config["server"]["max_concurrent"] = json!(50_000);
    config["server"]["cors"] = json!({"allowed_origins": ["https://app.example"]});
    let mut provider = anthropic(url, 4);
    if let Some(keys) = provider["keys"].as_array_mut() {
        for key in keys {
            for limit in ["rpm_limit", "itpm_limit", "otpm_limit"] {
                key[limit] = json!(4_000_000_000_u64);
            }
        }
    }
    provider["model_mapping"] = json!({"claude-sonnet-4-5-*": "claude-sonnet-4-5"});
    provider["capabilities"] = json!({"*": {"fields": {"speed": "drop", "tools[].defer_loading": "drop"}}});
    provider["headers"] = json!({"x-gateway-tag": "bench"});
    provider["forward_headers"] = json!(["traceparent", "x-team"]);
    provider["fetch_images"] = json!(true);
    config["providers"] = json!([provider]);
    config["routing"] = json!({"strategy": "failover", "debug": true, "on_stream_break": "error_event"});
    let log = data.join("relay.log");
    config["logging"] = json!({"level": "info", "format": "json", "output": log});
    config
}

fn many_keys(address: SocketAddr, url: &str, count: usize, ledger: &Path) -> String {
    let keys: String =
        (0..count).map(|number| format!("  {{ key = \"{}\" }},\n", upstream_key(number))).collect();
    format!(
        "[server]\nlisten = \"{address}\"\n\n[admin]\nlisten = \"{ADMIN}\"\n\n[usage]\npath = {ledger:?}\n\n[[providers]]\nname = \"anthropic\"\ntype = \"anthropic\"\n\
         base_url = \"{url}\"\npassthrough = false\nkeys = [\n{keys}]\n"
    )
}
