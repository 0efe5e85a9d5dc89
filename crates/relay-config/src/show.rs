//! A configuration as the YAML file that would make it.

use std::fmt::Display;
use std::fmt::Write as _;
use std::time::Duration;

use crate::config::{
    CompatibleAuth, Config, LogFormat, LogLevel, LogOutput, LoggingConfig, ProviderConfig, ProviderKind,
    RoutingConfig, ServerConfig,
};
use crate::secret::Secret;
use crate::yaml::is_plain_text;

impl Config {
    /// The configuration, defaults included, as YAML; every secret is `***`.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let mut out = Writer::default();
        out.table("server", |out| server(&self.server, out));
        out.list("providers", &self.providers, provider);
        out.table("routing", |out| routing(&self.routing, out));
        out.table("logging", |out| logging(&self.logging, out));
        out.text
    }
}

fn server(server: &ServerConfig, out: &mut Writer) {
    out.strings("listen", server.listen.iter());
    out.plain("timeout_ms", server.timeout.map_or(0, |limit| limit.as_millis()));
    out.plain("max_concurrent", server.max_concurrent.map_or(0, std::num::NonZeroU32::get));
    out.plain("max_body_bytes", server.max_body_bytes);
    out.millis("drain_timeout_ms", server.drain_timeout);
    out.plain("enable_http2", server.enable_http2);
    out.table("auth", |out| {
        let auth = &server.auth;
        out.list("api_keys", &auth.keys, |client, out| {
            out.string("name", &client.name);
            out.secret("key", &client.key);
        });
        if let Some(secret) = &auth.bearer_secret {
            out.secret("bearer_secret", secret);
        }
        out.plain("allow_subscription", auth.allow_subscription);
        out.plain("subscription_may_use_keys", server.subscription_may_use_keys());
    });
}

fn provider(provider: &ProviderConfig, out: &mut Writer) {
    out.string("name", &provider.name);
    out.plain("type", provider.kind.as_str());
    out.plain("enabled", provider.enabled);
    match &provider.kind {
        ProviderKind::Anthropic { base_url, passthrough } => {
            out.string("base_url", base_url);
            out.plain("passthrough", passthrough);
        }
        ProviderKind::Zai { base_url }
        | ProviderKind::Ollama { base_url }
        | ProviderKind::Minimax { base_url } => {
            out.string("base_url", base_url);
        }
        ProviderKind::AnthropicCompatible { base_url, auth } => {
            out.string("base_url", base_url);
            let auth = match auth {
                CompatibleAuth::ApiKey => "x-api-key",
                CompatibleAuth::Bearer => "bearer",
                CompatibleAuth::None => "none",
            };
            out.plain("auth", auth);
        }
        // Their own fields are shown by the change that reads them.
        ProviderKind::Bedrock(_) | ProviderKind::Azure(_) | ProviderKind::Vertex(_) | ProviderKind::Mock => {}
    }
    out.list("keys", &provider.keys, |key, out| {
        if let Some(secret) = &key.key {
            out.secret("key", secret);
        }
        out.plain("priority", key.priority);
    });
    out.plain("priority", provider.priority);
    out.strings("models", provider.models.iter());
    out.table("model_mapping", |out| {
        for (name, target) in provider.model_mapping.entries() {
            out.string(&quoted(name), target);
        }
    });
    if let Some(file) = &provider.ca_file {
        out.string("ca_file", file.display());
    }
    out.millis("connect_timeout_ms", provider.connect_timeout);
    out.millis("first_byte_timeout_ms", provider.first_byte_timeout);
    out.millis("idle_timeout_ms", provider.idle_timeout);
}

fn routing(routing: &RoutingConfig, out: &mut Writer) {
    out.plain("strategy", routing.strategy.as_str());
    out.millis("failover_timeout", routing.failover_timeout);
    out.plain("max_attempts", routing.max_attempts);
    out.plain("debug", routing.debug);
    out.plain("strict_models", routing.strict_models);
    out.plain("restore_model_name", routing.restore_model_name);
}

fn logging(logging: &LoggingConfig, out: &mut Writer) {
    let level = match logging.level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    };
    out.plain("level", level);
    let format = match logging.format {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    };
    out.plain("format", format);
    match &logging.output {
        LogOutput::Stdout => out.plain("output", "stdout"),
        LogOutput::Stderr => out.plain("output", "stderr"),
        LogOutput::File(path) => out.string("output", path.display()),
    }
    if let Some(pretty) = logging.pretty {
        out.plain("pretty", pretty);
    }
    out.table("debug_options", |out| {
        out.plain("log_request_body", logging.debug.log_request_body);
        out.plain("log_response_headers", logging.debug.log_response_headers);
        out.plain("max_body_log_size", logging.debug.max_body_log_size);
    });
}

/// Block-style YAML, line by line.
#[derive(Default)]
struct Writer {
    text: String,
    indent: usize,
    /// Whether the next line starts a list item.
    item: bool,
}

impl Writer {
    fn line(&mut self, key: &str, value: &str) {
        let indent = if self.item { self.indent - 2 } else { self.indent };
        let dash = if std::mem::take(&mut self.item) { "- " } else { "" };
        let space = if value.is_empty() { "" } else { " " };
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{:indent$}{dash}{key}:{space}{value}", "");
    }

    fn plain(&mut self, key: &str, value: impl Display) {
        self.line(key, &value.to_string());
    }

    fn millis(&mut self, key: &str, value: Duration) {
        self.plain(key, value.as_millis());
    }

    fn string(&mut self, key: &str, value: impl Display) {
        self.line(key, &quoted(&value.to_string()));
    }

    fn secret(&mut self, key: &str, value: &Secret) {
        self.string(key, value);
    }

    fn strings<T: Display>(&mut self, key: &str, values: impl Iterator<Item = T>) {
        let values: Vec<_> = values.map(|value| quoted(&value.to_string())).collect();
        self.line(key, &format!("[{}]", values.join(", ")));
    }

    fn table(&mut self, key: &str, rows: impl FnOnce(&mut Self)) {
        let before = self.text.len();
        self.line(key, "");
        let head = self.text.len();
        self.indent += 2;
        rows(self);
        self.indent -= 2;
        if self.text.len() == head {
            self.text.truncate(before);
            self.line(key, "{}");
        }
    }

    fn list<T>(&mut self, key: &str, items: &[T], mut row: impl FnMut(&T, &mut Self)) {
        if items.is_empty() {
            return self.line(key, "[]");
        }
        self.line(key, "");
        self.indent += 4;
        for item in items {
            self.item = true;
            row(item, self);
        }
        self.indent -= 4;
    }
}

/// `text` as a YAML scalar that is read back as this very string, also after expansion.
fn quoted(text: &str) -> String {
    if is_plain_text(text) { text.to_owned() } else { escaped(text) }
}

/// A double-quoted scalar; JSON's escapes are YAML's.
fn escaped(text: &str) -> String {
    serde_json::Value::from(text.replace("${", "$${")).to_string()
}
