//! The configuration of LiteLLM's proxy.

use relay_config::Document;

use super::litellm_models::{providers, reference};
use super::report::Report;
use super::tables::{Table, edit, set, whole};

/// The default address there.
const LISTEN: &str = "127.0.0.1:4000";
/// The strategies there, each with the nearest one here.
const STRATEGIES: [(&str, &str); 6] = [
    ("simple-shuffle", "shuffle"),
    ("least-busy", "least_loaded"),
    ("latency-based-routing", "latency_based"),
    ("cost-based-routing", "cost_based"),
    ("usage-based-routing", "least_loaded"),
    ("usage-based-routing-v2", "least_loaded"),
];
/// Settings of the file that have no counterpart, with the reason.
const SKIPPED: [(&str, &str, &str); 10] = [
    (
        "router_settings",
        "fallbacks",
        "a fallback is a provider of lower priority that maps the same model name",
    ),
    ("router_settings", "context_window_fallbacks", "there is no fallback to another model"),
    ("router_settings", "content_policy_fallbacks", "there is no fallback to another model"),
    ("router_settings", "redis_host", "the state is in memory"),
    (
        "general_settings",
        "database_url",
        "keys, teams and budgets in that database are not read; see server.auth.api_keys",
    ),
    (
        "litellm_settings",
        "fallbacks",
        "a fallback is a provider of lower priority that maps the same model name",
    ),
    ("litellm_settings", "callbacks", "metrics are at /metrics; traces are set up by OTEL_* variables"),
    (
        "litellm_settings",
        "success_callback",
        "metrics are at /metrics; traces are set up by OTEL_* variables",
    ),
    ("litellm_settings", "cache", "there is no response cache"),
    ("litellm_settings", "drop_params", "requests are always adapted"),
];
/// Settings that are converted below.
const READ: [(&str, &str); 7] = [
    ("router_settings", "routing_strategy"),
    ("router_settings", "num_retries"),
    ("router_settings", "allowed_fails"),
    ("router_settings", "cooldown_time"),
    ("router_settings", "model_group_alias"),
    ("general_settings", "master_key"),
    ("general_settings", "max_parallel_requests"),
];

/// Converts the file.
///
/// # Source
/// LiteLLM's documentation, `proxy/configs.md` and `proxy/config_settings.md`.
pub(super) fn convert(file: &Document, report: &mut Report) -> Table {
    let mut draft = Table::new();
    server(file, &mut draft, report);
    let list = file.get("model_list").cloned().unwrap_or(Document::Null);
    let mut providers = providers(&list, report);
    aliases(file, &mut providers, report);
    set(&mut draft, "providers", Document::List(providers));
    router(file, &mut draft, report);
    prices(&list, &mut draft);
    skipped(file, report);
    draft
}

fn server(file: &Document, draft: &mut Table, report: &mut Report) {
    edit(draft, "server", |server| {
        set(server, "listen", LISTEN);
        let general = file.get("general_settings");
        if let Some(key) = general.and_then(|general| general.get("master_key")) {
            edit(server, "auth", |auth| set(auth, "api_key", reference(key)));
            report.changed(
                "general_settings.master_key",
                "is server.auth.api_key, which opens the relay but no admin API",
            );
        }
        if let Some(most) = general.and_then(|general| general.get("max_parallel_requests")).and_then(whole) {
            set(server, "max_concurrent", Document::Number(most.to_string()));
        }
    });
    report.changed(
        "server.listen",
        format_args!("{LISTEN}: the port is a flag there; 0.0.0.0 is for other machines"),
    );
}

/// Adds other names of a model to the providers that have it.
fn aliases(file: &Document, providers: &mut [Document], report: &mut Report) {
    let aliases = file.get("router_settings").and_then(|router| router.get("model_group_alias"));
    for (alias, target) in aliases.map(Document::entries).unwrap_or_default() {
        let target = target.as_str().or_else(|| target.get("model").and_then(Document::as_str));
        let mut count = 0;
        for provider in providers.iter_mut() {
            let Document::Table(provider) = provider else { continue };
            edit(provider, "model_mapping", |mapping| {
                let found =
                    mapping.iter().find(|(name, _)| Some(name.as_str()) == target).map(|(_, to)| to.clone());
                if let Some(to) = found {
                    set(mapping, alias, to);
                    count += 1;
                }
            });
        }
        if count == 0 {
            report.skipped(
                format!("router_settings.model_group_alias.{alias}"),
                "no provider that was taken has its model",
            );
        }
    }
}

fn router(file: &Document, draft: &mut Table, report: &mut Report) {
    let Some(router) = file.get("router_settings") else { return };
    if let Some(strategy) = router.get("routing_strategy").and_then(Document::as_str) {
        match STRATEGIES.iter().find(|(from, _)| *from == strategy) {
            Some((_, to)) => {
                edit(draft, "routing", |routing| set(routing, "strategy", *to));
                report.changed("router_settings.routing_strategy", format_args!("{strategy} is {to}"));
            }
            None => report
                .skipped("router_settings.routing_strategy", format_args!("`{strategy}` has no counterpart")),
        }
    }
    if let Some(retries) = router.get("num_retries").and_then(whole) {
        let attempts = retries.saturating_add(1);
        edit(draft, "routing", |routing| {
            set(routing, "max_attempts", Document::Number(attempts.to_string()));
        });
        report.changed(
            "router_settings.num_retries",
            format_args!("is routing.max_attempts: {attempts}, the first one included"),
        );
    }
    let breaker = |name: &str, value: u64, draft: &mut Table| {
        edit(draft, "health", |health| {
            edit(health, "circuit_breaker", |breaker| {
                set(breaker, name, Document::Number(value.to_string()));
            });
        });
    };
    if let Some(fails) = router.get("allowed_fails").and_then(whole) {
        breaker("failure_threshold", fails.max(1), draft);
    }
    if let Some(seconds) = router.get("cooldown_time").and_then(whole) {
        breaker("open_duration_ms", seconds.saturating_mul(1000), draft);
        report.changed("router_settings.cooldown_time", "is health.circuit_breaker.open_duration_ms");
    }
}

/// Takes the prices of models: dollars per token there, and per million tokens here.
fn prices(list: &Document, draft: &mut Table) {
    let mut rules: Vec<Document> = Vec::new();
    for entry in list.items() {
        let (info, params) = (entry.get("model_info"), entry.get("litellm_params"));
        let price = |key: &str| {
            let found =
                info.and_then(|info| info.get(key)).or_else(|| params.and_then(|params| params.get(key)))?;
            match found {
                Document::Number(text) | Document::Text(text) => text.parse::<f64>().ok(),
                _ => None,
            }
        };
        let (Some(input), Some(output)) = (price("input_cost_per_token"), price("output_cost_per_token"))
        else {
            continue;
        };
        let Some(model) = params.and_then(|params| params.get("model")).and_then(Document::as_str) else {
            continue;
        };
        let model = model.rsplit('/').next().unwrap_or(model);
        let per_million = |price: f64| Document::Number(((price * 1e12).round() / 1e6).to_string());
        let rule = vec![
            ("models".to_owned(), Document::List(vec![model.into()])),
            ("input".to_owned(), per_million(input)),
            ("output".to_owned(), per_million(output)),
        ];
        if !rules.contains(&Document::Table(rule.clone())) {
            rules.push(Document::Table(rule));
        }
    }
    if !rules.is_empty() {
        set(draft, "prices", Document::List(rules));
    }
}

fn skipped(file: &Document, report: &mut Report) {
    for section in ["router_settings", "general_settings", "litellm_settings", "environment_variables"] {
        for (key, _) in file.get(section).map(Document::entries).unwrap_or_default() {
            if READ.contains(&(section, key.as_str())) {
                continue;
            }
            let known = SKIPPED.iter().find(|(of, name, _)| (*of, *name) == (section, key.as_str()));
            let reason = match section {
                "environment_variables" => "set the variable in the environment of the relay",
                _ => known.map_or("no counterpart", |(.., reason)| *reason),
            };
            report.skipped(format!("{section}.{key}"), reason);
        }
    }
}
