//! Resolves `providers[].keys`.

use std::num::NonZeroU32;

use super::limits;
use crate::config::{KeyConfig, ProviderKind};
use crate::error::{Concern, Fault};
use crate::kinds::KeyNeed;
use crate::raw;
use crate::resolve::reporter::Reporter;
use crate::rules::{self, check_key, check_need};
use crate::secret::Secret;
use crate::tree::KeyPath;

/// The start of the token of a claude.ai login.
const LOGIN_TOKEN: &str = "sk-ant-oat";

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
    let is_sent = need != KeyNeed::NeverSent;
    let named: Vec<_> =
        raw.iter().map(|key| (key.key.as_deref().filter(|_| is_sent), key.name.as_deref())).collect();
    rules::keys::check(&named, path, to);
    let mut keys = Vec::with_capacity(raw.len());
    for (index, mut raw) in raw.into_iter().enumerate() {
        let path = path.index(index).key("key");
        let secret = match raw.key.take() {
            _ if need == KeyNeed::NeverSent => None,
            Some(key) => {
                check_key(&key, &path, to);
                check_login(&key, &path, to);
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
            name: raw.name.take(),
            priority: raw.priority.unwrap_or(priority),
            weight: raw.weight.unwrap_or(NonZeroU32::MIN),
            limits: limits::of(&raw),
            organization: raw.organization,
        });
    }
    keys
}

/// Warns about the token of a login in the place of a key.
fn check_login(key: &str, path: &KeyPath, to: &mut Reporter<'_>) {
    if key.starts_with(LOGIN_TOKEN) {
        let reason =
            "is the token of a claude.ai login, which is no API key; remove it, since clients send their own";
        to.warning(path, Concern::DoubtfulSecret { reason });
    }
}
