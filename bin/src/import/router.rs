//! The configuration of claude-code-router, version 1 or 2. Version 3 keeps its settings in a database.

use relay_config::Document;

use super::references::expand_dollars;
use super::report::Report;
use super::tables::{Table, edit, set, set_default, text, whole};
use super::vendors::{Endpoint, endpoint};

/// The default port there.
const PORT: u64 = 3456;
/// Settings that have no counterpart, with the reason.
const SKIPPED: [(&str, &str); 6] = [
    ("PROXY_URL", "set HTTPS_PROXY in the environment of the relay"),
    ("NON_INTERACTIVE_MODE", "not needed"),
    ("StatusLine", "`cc-relay top` and the dashboard show the traffic"),
    ("transformers", "requests are adapted by a built-in table; see capabilities"),
    ("CUSTOM_ROUTER_PATH", "there is no routing by code"),
    ("presets", "no counterpart"),
];
/// Routes by the content of a request.
const ROUTES: [&str; 5] = ["think", "longContext", "longContextThreshold", "webSearch", "image"];
/// The prefixes of the models for background work.
const BACKGROUND: [&str; 2] = ["claude-haiku", "claude-3-5-haiku"];

/// Converts the file.
///
/// # Source
/// `musistudio/claude-code-router` v2.0.0, `docs/configuration-file.md`.
pub(super) fn convert(file: &Document, report: &mut Report) -> Table {
    let mut file = file.clone();
    expand_dollars(&mut file);
    report.changed(
        "config.json",
        "version 3 of claude-code-router keeps its settings in config.sqlite, and this file may be older than they are",
    );
    let mut draft = Table::new();
    server(&file, &mut draft, report);
    logging(&file, &mut draft, report);
    let providers =
        file.get("Providers").or_else(|| file.get("providers")).map(Document::items).unwrap_or_default();
    let mut converted = Providers::default();
    for (index, entry) in providers.iter().enumerate() {
        provider(index, entry, &mut converted, report);
    }
    routes(file.get("Router"), &mut converted, &mut draft, report);
    set(&mut draft, "providers", Document::List(converted.0.into_iter().map(Document::Table).collect()));
    for (key, reason) in SKIPPED {
        if file.get(key).is_some() {
            report.skipped(key, reason);
        }
    }
    draft
}

/// The providers that were taken, with their names there.
#[derive(Default)]
struct Providers(Vec<Table>);

impl Providers {
    fn named(&mut self, name: &str) -> Option<&mut Table> {
        self.0.iter_mut().find(|table| text(table, "name") == Some(name))
    }
}

fn server(file: &Document, draft: &mut Table, report: &mut Report) {
    let key = file.get("APIKEY").and_then(Document::as_str).filter(|key| !key.is_empty());
    let host = match (key, file.get("HOST").and_then(Document::as_str)) {
        (Some(_), Some(host)) => host,
        // Without a key it binds loopback, whatever the host is.
        _ => "127.0.0.1",
    };
    let host =
        if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() };
    let port = file.get("PORT").and_then(number).unwrap_or_else(|| PORT.to_string());
    edit(draft, "server", |server| {
        set(server, "listen", format!("{host}:{port}"));
        match file.get("API_TIMEOUT_MS").and_then(number) {
            Some(timeout) if timeout.starts_with('$') => set(server, "timeout_ms", timeout),
            Some(timeout) => set(server, "timeout_ms", Document::Number(timeout)),
            None => {}
        }
        if let Some(key) = key {
            edit(server, "auth", |auth| set(auth, "api_key", key));
        }
    });
    report.changed(
        "PORT",
        format_args!("server.listen is {host}:{port}, where clients find the relay as before"),
    );
}

/// Returns the text of a whole number, or of a reference to a variable that holds one.
fn number(value: &Document) -> Option<String> {
    let whole = whole(value).map(|number| number.to_string());
    whole.or_else(|| value.as_str().filter(|text| text.starts_with("${")).map(str::to_owned))
}

fn logging(file: &Document, draft: &mut Table, report: &mut Report) {
    let level = match file.get("LOG_LEVEL").and_then(Document::as_str) {
        Some("fatal") => "error",
        Some("trace") => "debug",
        Some(level) => level,
        None => return,
    };
    edit(draft, "logging", |logging| set(logging, "level", level));
    if file.get("LOG") == Some(&Document::Bool(false)) {
        report.skipped("LOG", "the log is always written; choose its level and output in logging");
    }
}

fn provider(index: usize, entry: &Document, providers: &mut Providers, report: &mut Report) {
    let at = format!("Providers[{index}]");
    let field = |key: &str| entry.get(key).and_then(Document::as_str);
    let (Some(name), Some(url)) = (field("name"), field("api_base_url")) else {
        return report.skipped(at, "it has no name or no api_base_url");
    };
    let Some(found) = endpoint(url, is_messages(entry)) else {
        return report.skipped(at, format_args!("`{name}` does not speak the Messages API"));
    };
    let Endpoint { kind, base_url, is_moved } = found;
    if is_moved {
        report.changed(
            format!("{at}.api_base_url"),
            format_args!("`{name}` also has the Messages API, which {kind} uses"),
        );
    }
    let mut table = Table::new();
    set(&mut table, "name", name);
    set(&mut table, "type", kind);
    if let Some(base_url) = base_url {
        set(&mut table, "base_url", base_url);
    }
    let models = entry.get("models").cloned().unwrap_or(Document::List(Vec::new()));
    if let Some(first) = models.items().first() {
        // Claude Code names Claude's models, of which these have none.
        edit(&mut table, "model_mapping", |mapping| set(mapping, "claude-*", first.clone()));
    }
    if !models.items().is_empty() {
        set(&mut table, "models", models);
    }
    if let Some(key) = field("api_key").filter(|_| kind != "ollama") {
        let key = Document::Table(vec![("key".to_owned(), key.into())]);
        set(&mut table, "keys", Document::List(vec![key]));
    }
    transformers(&at, entry, report);
    providers.0.push(table);
}

/// Returns `true` if the only transformer is that of the Messages API.
fn is_messages(entry: &Document) -> bool {
    let used = entry.get("transformer").and_then(|transformer| transformer.get("use"));
    let is_anthropic =
        |item: &Document| item.as_str().is_some_and(|name| name.eq_ignore_ascii_case("anthropic"));
    used.is_some_and(|used| used.items().len() == 1 && used.items().iter().all(is_anthropic))
}

fn transformers(at: &str, entry: &Document, report: &mut Report) {
    if entry.get("transformer").is_some() && !is_messages(entry) {
        report.skipped(
            format!("{at}.transformer"),
            "requests are adapted by a built-in table; a limit such as maxtoken is written in capabilities",
        );
    }
}

fn routes(router: Option<&Document>, providers: &mut Providers, draft: &mut Table, report: &mut Report) {
    let Some(router) = router else { return };
    let target =
        |name: &str| router.get(name).and_then(Document::as_str).and_then(|target| target.split_once(','));
    if let Some((name, model)) = target("default") {
        match providers.named(name.trim()) {
            Some(provider) => {
                edit(provider, "model_mapping", |mapping| set(mapping, "claude-*", model.trim()));
                edit(draft, "routing", |routing| {
                    set(routing, "strategy", "model_based");
                    set(routing, "default_provider", name.trim());
                });
                report.changed(
                    "Router.default",
                    format_args!(
                        "claude-* is {} of {}, and the other providers follow if it fails",
                        model.trim(),
                        name.trim()
                    ),
                );
            }
            None => {
                report
                    .skipped("Router.default", format_args!("the provider `{}` was not taken", name.trim()));
            }
        }
    }
    if let Some((name, model)) = target("background") {
        match providers.named(name.trim()) {
            Some(provider) => {
                edit(provider, "model_mapping", |mapping| set(mapping, "claude-*haiku*", model.trim()));
                edit(draft, "routing", |routing| {
                    set(routing, "strategy", "model_based");
                    edit(routing, "model_mapping", |mapping| {
                        BACKGROUND.iter().for_each(|prefix| set_default(mapping, prefix, name.trim()));
                    });
                });
                report.changed("Router.background", format_args!("the Haiku models go to {}", name.trim()));
            }
            None => report
                .skipped("Router.background", format_args!("the provider `{}` was not taken", name.trim())),
        }
    }
    for route in ROUTES {
        if router.get(route).is_some() {
            report.skipped(format!("Router.{route}"), "there is no routing by content");
        }
    }
}
