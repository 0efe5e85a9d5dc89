//! Writes a configuration as the YAML file that results in it.

mod observe;
mod provider;
mod writer;

use provider::provider;
pub(crate) use writer::{Setting, SettingValue};
use writer::{Writer, map_key};

use crate::config::{
    Affinity, ClientKey, Config, HealthConfig, LogFormat, LogLevel, LogOutput, LoggingConfig, RoutingConfig,
    ServerConfig, StreamBreak,
};

impl Config {
    /// Returns the configuration, defaults included, as YAML. Every secret is `***`.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        self.write().text
    }

    /// Returns the settings, defaults included, each with its path.
    pub(crate) fn settings(&self) -> Vec<Setting> {
        self.write().settings
    }

    fn write(&self) -> Writer {
        let mut out = Writer::default();
        out.table("server", |out| server(&self.server, out));
        out.list("providers", &self.providers, |provider| Some(provider.name.to_string()), provider);
        out.table("routing", |out| routing(&self.routing, out));
        out.table("health", |out| health(&self.health, out));
        out.table("logging", |out| logging(&self.logging, out));
        out.table("metrics", |out| observe::metrics(&self.metrics, out));
        out.table("admin", |out| observe::admin(&self.admin, out));
        out.table("usage", |out| observe::usage(&self.usage, out));
        out.list("prices", &self.prices, |_| None, observe::price);
        out
    }
}

fn server(server: &ServerConfig, out: &mut Writer) {
    let listen = server.listen.iter().map(ToString::to_string);
    out.strings("listen", listen.chain(server.unix_sockets.iter().map(ToString::to_string)));
    out.plain("timeout_ms", server.timeout.map_or(0, |limit| limit.as_millis()));
    out.plain("max_concurrent", server.max_concurrent.map_or(0, std::num::NonZeroU32::get));
    out.plain("max_body_bytes", server.max_body_bytes);
    out.plain("max_buffered_bytes", server.max_buffered_bytes.unwrap_or(0));
    out.millis("drain_timeout_ms", server.drain_timeout);
    out.millis("drain_delay_ms", server.drain_delay);
    out.plain("write_timeout_ms", server.write_timeout.map_or(0, |limit| limit.as_millis()));
    out.plain("enable_http2", server.enable_http2);
    if let Some(tls) = &server.tls {
        out.table("tls", |out| {
            out.string("cert", tls.cert.display());
            out.string("key", tls.key.display());
            if let Some(file) = &tls.client_ca {
                out.string("client_ca", file.display());
            }
        });
    }
    out.strings("allowed_hosts", server.allowed_hosts.iter());
    out.table("cors", |out| out.strings("allowed_origins", server.allowed_origins.iter()));
    out.table("auth", |out| {
        let auth = &server.auth;
        let name = |client: &ClientKey| Some(client.name.clone());
        out.list("api_keys", &auth.keys, name, |client, out| {
            out.string("name", &client.name);
            out.secret("key", &client.key);
            let limits = &client.limits;
            for (name, limit) in [
                ("rpm_limit", limits.requests.map(Into::into)),
                ("tpm_limit", limits.tokens),
                ("max_concurrent", limits.concurrent.map(Into::into)),
            ] {
                if let Some::<std::num::NonZeroU64>(limit) = limit {
                    out.plain(name, limit);
                }
            }
            observe::access(client, out);
        });
        if let Some(secret) = &auth.bearer_secret {
            out.secret("bearer_secret", secret);
        }
        out.plain("allow_subscription", auth.allow_subscription);
        out.plain("subscription_may_use_keys", server.subscription_may_use_keys());
    });
}

fn routing(routing: &RoutingConfig, out: &mut Writer) {
    out.plain("strategy", routing.strategy.as_str());
    out.millis("failover_timeout", routing.failover_timeout);
    out.plain("max_attempts", routing.max_attempts);
    out.plain("debug", routing.debug);
    out.plain("strict_models", routing.strict_models);
    out.plain("restore_model_name", routing.restore_model_name);
    let affinity = match routing.affinity {
        Affinity::Session => "session",
        Affinity::None => "none",
    };
    out.plain("affinity", affinity);
    let on_stream_break = match routing.on_stream_break {
        StreamBreak::Abort => "abort",
        StreamBreak::ErrorEvent => "error_event",
    };
    out.plain("on_stream_break", on_stream_break);
    out.table("model_mapping", |out| {
        for (prefix, provider) in &routing.model_mapping {
            out.string(&map_key(prefix), provider);
        }
    });
    if let Some(provider) = &routing.default_provider {
        out.string("default_provider", provider);
    }
}

fn health(health: &HealthConfig, out: &mut Writer) {
    out.table("health_check", |out| {
        out.plain("enabled", health.check.is_some());
        if let Some(interval) = health.check {
            out.millis("interval_ms", interval);
        }
    });
    out.table("circuit_breaker", |out| {
        out.plain("failure_threshold", health.failure_threshold);
        out.millis("open_duration_ms", health.open_duration);
        out.plain("half_open_probes", health.half_open_probes);
    });
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
