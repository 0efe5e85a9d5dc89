//! Resolves `providers[].keys`.

use std::num::NonZeroU32;

use super::limits;
use crate::config::{KeyConfig, ProviderKind};
use crate::error::Fault;
use crate::kinds::KeyNeed;
use crate::raw;
use crate::resolve::reporter::{Reporter, value_fault};
use crate::secret::{PLACEHOLDER, Secret};
use crate::tree::KeyPath;

pub(super) fn resolve(
    mut raw: Vec<raw::Key>,
    priority: i32,
    enabled: bool,
    kind: &ProviderKind,
    path: &KeyPath,
    to: &mut Reporter<'_>,
) -> Vec<KeyConfig> {
    let need = kind.key_need();
    check_need(need, raw.is_empty(), enabled, kind, path, to);
    limits::share(&mut raw, path, to);
    let mut keys = Vec::with_capacity(raw.len());
    for (index, mut raw) in raw.into_iter().enumerate() {
        let path = path.index(index).key("key");
        let secret = match raw.key.take() {
            _ if need == KeyNeed::NeverSent => None,
            Some(key) => {
                check_key(&key, &path, to);
                Some(Secret::new(key))
            }
            None => {
                // In a disabled provider, which receives no request, the variable may be unset.
                if enabled {
                    let expected = "add the credential, preferably as ${NAME}".to_owned();
                    to.problem(&path, Fault::Missing { expected });
                }
                continue;
            }
        };
        keys.push(KeyConfig {
            key: secret,
            priority: raw.priority.unwrap_or(priority),
            weight: raw.weight.unwrap_or(NonZeroU32::MIN),
            limits: limits::of(&raw),
            organization: raw.organization,
        });
    }
    keys
}

/// Refuses keys that would never be sent, and reports a missing key if the provider cannot work without one.
fn check_need(
    need: KeyNeed,
    is_empty: bool,
    enabled: bool,
    kind: &ProviderKind,
    path: &KeyPath,
    to: &mut Reporter<'_>,
) {
    if need == KeyNeed::Refused && !is_empty {
        to.problem(
            path,
            value_fault("keys", "none with auth: none", "remove them, or set auth to x-api-key or bearer"),
        );
    }
    if need == KeyNeed::Required && is_empty && enabled {
        let expected = match kind.spec().key_alternative {
            Some(alternative) => format!("add a key, or {alternative}"),
            None => format!("a provider of type {} needs a key: keys: [{{ key: ${{NAME}} }}]", kind.as_str()),
        };
        to.problem(path, Fault::Missing { expected });
    }
}

/// Refuses a text that cannot be a credential.
pub(super) fn check_key(key: &str, path: &KeyPath, to: &mut Reporter<'_>) {
    if key == PLACEHOLDER {
        let found = format!("the placeholder {PLACEHOLDER}");
        to.problem(path, value_fault(found, "a credential of the upstream", ""));
    }
}
