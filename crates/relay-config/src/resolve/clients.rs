//! Resolves `server.auth`: the clients that are admitted, and the bounds of each.

use std::time::SystemTime;

use crate::capabilities::Pattern;
use crate::config::{Budget, BudgetPeriod, ClientAuth, ClientKey, ClientLimits, ModelPatterns, parse_expiry};
use crate::error::{Concern, Fault};
use crate::raw;
use crate::resolve::reporter::{Reporter, value_fault};
use crate::rules;
use crate::schema;
use crate::secret::Secret;
use crate::tree::KeyPath;

pub(super) fn resolve(raw: raw::ClientAuth, path: &KeyPath, to: &mut Reporter<'_>) -> ClientAuth {
    let mut keys: Vec<(KeyPath, ClientKey)> = Vec::new();
    if let Some(key) = raw.api_key {
        let path = path.key("api_key");
        let key = client_secret(key, &path, to);
        keys.push((path, ClientKey::new("default", key)));
    }
    let list = path.key("api_keys");
    for (index, raw) in raw.api_keys.into_iter().enumerate() {
        let path = list.index(index);
        keys.extend(client(raw, &path, to).map(|client| (path, client)));
    }
    let clients: Vec<_> = keys.iter().map(|(path, client)| (path.clone(), client)).collect();
    rules::keys::check_clients(&clients, to);
    ClientAuth {
        keys: keys.into_iter().map(|(_, key)| key).collect(),
        bearer_secret: raw.bearer_secret.map(|secret| client_secret(secret, &path.key("bearer_secret"), to)),
        allow_subscription: raw.allow_subscription.unwrap_or(false),
        subscription_may_use_keys: raw.subscription_may_use_keys,
    }
}

/// Resolves a client with a name. The schema requires name and key, so that a missing one has been reported.
fn client(raw: raw::ClientKey, path: &KeyPath, to: &mut Reporter<'_>) -> Option<ClientKey> {
    let budget = budget(&raw, path, to);
    let expires = raw.expires.and_then(|text| expiry(&text, &path.key("expires"), to));
    let limits = ClientLimits::default()
        .with_requests(raw.rpm_limit.unwrap_or(0))
        .with_tokens(raw.tpm_limit.unwrap_or(0))
        .with_concurrent(raw.max_concurrent.unwrap_or(0));
    let key = client_secret(raw.key?, &path.key("key"), to);
    let models: ModelPatterns = raw.models.unwrap_or_default().into_iter().map(Pattern::new).collect();
    rules::check_models(models.iter(), &path.key("models"), to);
    Some(ClientKey { name: raw.name?, key, limits, models, expires, budget })
}

fn budget(raw: &raw::ClientKey, path: &KeyPath, to: &mut Reporter<'_>) -> Option<Budget> {
    let Some(usd) = raw.budget_usd else {
        if raw.budget_period.is_some() {
            let expected = "budget_period needs an amount: budget_usd: 25".to_owned();
            to.problem(&path.key("budget_usd"), Fault::Missing { expected });
        }
        return None;
    };
    let period = match raw.budget_period {
        Some(raw::BudgetPeriod::Day) => BudgetPeriod::Day,
        Some(raw::BudgetPeriod::Week) => BudgetPeriod::Week,
        Some(raw::BudgetPeriod::Month) => BudgetPeriod::Month,
        None => BudgetPeriod::default(),
    };
    Some(Budget { usd, period })
}

/// Resolves the end of a key, and warns if it has passed.
fn expiry(text: &str, path: &KeyPath, to: &mut Reporter<'_>) -> Option<SystemTime> {
    let text = text.trim();
    let Some(end) = parse_expiry(text) else {
        to.problem(path, value_fault(format!("{text:?}"), schema::EXPIRY, expiry_hint(text)));
        return None;
    };
    if end <= SystemTime::now() {
        to.warning(path, Concern::Expired);
    }
    Some(end)
}

/// Returns the fix of a text that is not the end of a key.
fn expiry_hint(text: &str) -> String {
    let is_local = text.contains([':', 'T', 't']);
    if is_local && parse_expiry(&format!("{text}Z")).is_some() {
        return format!("add the offset from UTC: {text}Z");
    }
    if is_local && parse_expiry(&format!("{text}:00Z")).is_some() {
        return format!("add seconds and the offset from UTC: {text}:00Z");
    }
    String::new()
}

fn client_secret(secret: String, path: &KeyPath, to: &mut Reporter<'_>) -> Secret {
    rules::check_client_secret(&secret, path, to);
    Secret::new(secret)
}
