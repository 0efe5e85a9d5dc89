//! The keys of a running relay, which its admin API shows.

use std::io;
use std::time::Duration;

use clap::builder::styling::AnsiColor;
use serde_json::Value;

use super::client::Client;
use crate::output::{Output, printable};

/// The time limit of the request. The other answers do not wait longer for it.
const TIMEOUT: Duration = Duration::from_secs(2);

/// One key of a provider.
pub(super) struct Key {
    provider: String,
    name: String,
    state: String,
    headroom: String,
    limits: String,
}

/// Fetches the state of the relay whose providers are `names`, in this order. Returns `None` if no admin API answers, or that of
/// another relay, which may have taken the address before.
pub(super) async fn fetch(client: &Client, names: &[&str]) -> Option<Value> {
    let (_, body) = tokio::time::timeout(TIMEOUT, client.get("/admin/v1/state")).await.ok()?.ok()?;
    let state: Value = serde_json::from_slice(&body).ok()?;
    let found = state["providers"].as_array()?.iter().map(|provider| provider["name"].as_str());
    found.eq(names.iter().map(|name| Some(*name))).then_some(state)
}

/// Returns the keys in the state of a relay.
pub(super) fn of(state: &Value) -> Vec<Key> {
    let providers = state["providers"].as_array().into_iter().flatten();
    let keys = providers.flat_map(|provider| {
        let name = printable(provider["name"].as_str().unwrap_or("?"));
        list(&provider["keys"]).iter().map(move |key| Key::of(name.clone(), key))
    });
    keys.collect()
}

/// The smallest share of a limit that a key has left, from 0 to 1. `None` if no limit is known.
pub(super) fn headroom(key: &Value) -> Option<f64> {
    let share = |limit: &Value| {
        let (left, all) = (limit["remaining"].as_f64()?, limit["per_minute"].as_f64()?);
        (all > 0.0).then(|| (left / all).clamp(0.0, 1.0))
    };
    list(&key["limits"]).iter().filter_map(share).reduce(f64::min)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

impl Key {
    fn of(provider: String, key: &Value) -> Self {
        let is = |name: &str| key[name].as_bool().unwrap_or(false);
        let state = match key["cooldown_ms"].as_u64() {
            _ if is("is_drained") => "drained".to_owned(),
            _ if is("is_rejected") => "rejected".to_owned(),
            Some(wait @ 1..) => format!("cooldown {} s", wait.div_ceil(1000)),
            _ => "ready".to_owned(),
        };
        let limit = |limit: &Value| {
            let name = printable(limit["name"].as_str().unwrap_or("?"));
            format!("{name} {} of {} per minute", limit["remaining"], limit["per_minute"])
        };
        Self {
            provider,
            name: printable(key["credential"].as_str().unwrap_or("?")),
            state,
            headroom: headroom(key)
                .map_or_else(|| "-".to_owned(), |share| format!("{:.0} %", (share * 100.0).floor())),
            limits: list(&key["limits"]).iter().map(limit).collect::<Vec<_>>().join(", "),
        }
    }
}

/// Prints a table of the keys.
pub(super) fn print(keys: &[Key], out: &mut Output) -> io::Result<()> {
    if keys.is_empty() {
        return Ok(());
    }
    let width = |column: fn(&Key) -> &str, head: &str| {
        keys.iter().map(column).chain([head]).map(|text| text.chars().count()).max().unwrap_or(0)
    };
    let provider = width(|key| &key.provider, "PROVIDER");
    let name = width(|key| &key.name, "KEY");
    let state = width(|key| &key.state, "STATE");
    out.line("")?;
    out.line(format_args!("{:provider$}  {:name$}  {:state$}   LEFT  LIMITS", "PROVIDER", "KEY", "STATE"))?;
    for key in keys {
        let style = out.style(if key.state == "ready" { AnsiColor::Green } else { AnsiColor::Yellow });
        let line = format!(
            "{:provider$}  {:name$}  {style}{:state$}{style:#}  {:>5}  {}",
            key.provider, key.name, key.state, key.headroom, key.limits
        );
        out.line(line.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_has_its_state_and_its_smallest_headroom() {
        #[track_caller]
        fn check(key: &Value, expected: [&str; 3]) {
            let key = Key::of("a".to_owned(), key);
            assert_eq!([key.state.as_str(), &key.headroom, &key.limits], expected);
        }
        check(&json!({}), ["ready", "-", ""]);
        check(&json!({"cooldown_ms": 41_001}), ["cooldown 42 s", "-", ""]);
        check(&json!({"cooldown_ms": 0, "is_rejected": true}), ["rejected", "-", ""]);
        check(&json!({"is_rejected": true, "is_drained": true}), ["drained", "-", ""]);
        let limits = json!([{"name": "requests", "per_minute": 50, "remaining": 50},
            {"name": "tokens", "per_minute": 3000, "remaining": 299}]);
        let text = "requests 50 of 50 per minute, tokens 299 of 3000 per minute";
        check(&json!({"limits": limits}), ["ready", "9 %", text]);
        check(
            &json!({"limits": [{"per_minute": 0, "remaining": 0}, 7]}),
            ["ready", "-", "? 0 of 0 per minute, ? null of null per minute"],
        );
    }
}
