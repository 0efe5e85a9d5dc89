//! The configuration of the Go cc-relay. Most of its settings have the same names.

use relay_config::Document;

use super::references::expand_dollars;
use super::report::Report;
use super::tables::{Table, edit, into_table, set, set_default, take, whole};

/// Sections that mean nothing here.
const IGNORED: [&str; 2] = ["cache", "grpc"];

/// Converts the file.
///
/// # Source
/// `omarluq/cc-relay`, `internal/config` and `example.yaml`.
pub(super) fn convert(mut file: Document, report: &mut Report) -> Table {
    expand_dollars(&mut file);
    let mut draft = into_table(file);
    for section in IGNORED {
        if take(&mut draft, section).is_some() {
            report.skipped(section, "there is no response cache and no gRPC here");
        }
    }
    edit(&mut draft, "server", |server| convert_server(server, report));
    if let Some(Document::List(providers)) = take(&mut draft, "providers") {
        let convert =
            |(index, provider): (usize, Document)| convert_provider(index, into_table(provider), report);
        let providers = providers.into_iter().enumerate().map(convert).collect();
        set(&mut draft, "providers", Document::List(providers));
    }
    convert_logging(&mut draft, report);
    convert_metrics(&mut draft, report);
    draft
}

fn convert_server(server: &mut Table, report: &mut Report) {
    if let Some(key) = take(server, "api_key") {
        edit(server, "auth", |auth| set_default(auth, "api_key", key));
        report.changed("server.api_key", "is server.auth.api_key");
    }
    if !server.iter().any(|(key, _)| key == "enable_http2") {
        set(server, "enable_http2", Document::Bool(false));
        report.changed("server.enable_http2", "false, the default there; it is true here");
    }
    if server.iter().any(|(key, value)| key == "max_body_bytes" && whole(value) == Some(0)) {
        take(server, "max_body_bytes");
        report.changed("server.max_body_bytes", "there is no unlimited size here; the default is 32 MiB");
    }
    edit(server, "auth", |auth| {
        if let Some(Document::Bool(true)) = take(auth, "allow_bearer") {
            set(auth, "allow_subscription", Document::Bool(true));
            report.changed(
                "server.auth.allow_bearer",
                "is allow_subscription, which accepts tokens of Claude subscriptions only, and not every bearer token",
            );
        }
    });
    server.retain(|(key, value)| key != "auth" || !value.entries().is_empty());
}

fn convert_provider(index: usize, mut provider: Table, report: &mut Report) -> Document {
    let at = |key: &str| format!("providers[{index}].{key}");
    if !provider.iter().any(|(key, _)| key == "enabled") {
        set(&mut provider, "enabled", Document::Bool(false));
        report.changed(at("enabled"), "false, the default there; it is true here");
    }
    if let Some(mut pooling) = take(&mut provider, "pooling").map(into_table) {
        if take(&mut pooling, "enabled").is_some() {
            report.skipped(at("pooling.enabled"), "requests are always distributed over the keys");
        }
        if !pooling.is_empty() {
            set(&mut provider, "pooling", Document::Table(pooling));
        }
    }
    if let Some(deployment) = take(&mut provider, "azure_deployment_id") {
        edit(&mut provider, "model_mapping", |mapping| set_default(mapping, "*", deployment));
        report.changed(at("azure_deployment_id"), "is the target of `*` in model_mapping");
    }
    if take(&mut provider, "azure_api_version").is_some() {
        report.skipped(at("azure_api_version"), "the endpoint takes none");
    }
    if let Some(Document::List(keys)) = take(&mut provider, "keys") {
        let convert = |(key, value)| convert_key(&at(&format!("keys[{key}]")), into_table(value), report);
        let keys = keys.into_iter().enumerate().map(convert).collect();
        set(&mut provider, "keys", Document::List(keys));
    }
    Document::Table(provider)
}

fn convert_key(at: &str, mut key: Table, report: &mut Report) -> Document {
    if key.iter().any(|(name, value)| name == "priority" && whole(value) == Some(0)) {
        set(&mut key, "priority", Document::Number("1".to_owned()));
        report.changed(format!("{at}.priority"), "0 means 1 there");
    }
    if key.iter().any(|(name, _)| name == "tpm_limit") {
        report.changed(
            format!("{at}.tpm_limit"),
            "limits input and output together; there each has half of it",
        );
    }
    Document::Table(key)
}

fn convert_logging(draft: &mut Table, report: &mut Report) {
    let Some(mut logging) = take(draft, "logging").map(into_table) else { return };
    if logging.iter().any(|(key, value)| key == "format" && value.as_str() == Some("console")) {
        set(&mut logging, "format", "text");
        set_default(&mut logging, "pretty", Document::Bool(true));
        report.changed("logging.format", "console is text with pretty: true");
    }
    if let Some(file) = take(&mut logging, "file") {
        set_default(&mut logging, "output", file);
        report.changed("logging.file", "is logging.output");
    }
    set(draft, "logging", Document::Table(logging));
}

fn convert_metrics(draft: &mut Table, report: &mut Report) {
    let Some(mut metrics) = take(draft, "metrics").map(into_table) else { return };
    for (from, to) in [("prometheus_endpoint", "path"), ("prometheus_listen", "listen")] {
        if let Some(value) = take(&mut metrics, from) {
            set_default(&mut metrics, to, value);
            report.changed(format!("metrics.{from}"), format_args!("is metrics.{to}"));
        }
    }
    set(draft, "metrics", Document::Table(metrics));
}
