//! The providers of a running relay as JSON.

use serde_json::Value;

use super::keys;

/// Returns the provider of a list with `is_usable` and, if the admin API has returned its state, with its `keys`.
pub(super) fn provider(listed: &Value, is_usable: bool, state: Option<&Value>) -> Value {
    let mut provider = listed.clone();
    if provider.is_object() {
        provider["is_usable"] = is_usable.into();
        if let Some(state) = state {
            provider["keys"] = keys_of(state);
        }
    }
    provider
}

/// The keys of a provider, each with the smallest share of a limit that it has left.
fn keys_of(provider: &Value) -> Value {
    let keys = provider["keys"].as_array().into_iter().flatten();
    let with_headroom = |key: &Value| {
        let mut key = key.clone();
        if key.is_object() {
            key["headroom"] = keys::headroom(&key).into();
        }
        key
    };
    keys.map(with_headroom).collect()
}
