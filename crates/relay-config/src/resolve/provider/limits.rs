//! Resolves the limits of `providers[].keys`.

use std::num::NonZeroU64;

use crate::config::KeyLimits;
use crate::raw::Key;
use crate::resolve::reporter::Reporter;
use crate::rules::check_shared_limit;
use crate::tree::KeyPath;

/// A limit of a key: the name of the setting, and access to its value.
type Limit = (&'static str, fn(&mut Key) -> &mut Option<u64>);

const LIMITS: [Limit; 4] = [
    ("rpm_limit", |key| &mut key.rpm_limit),
    ("tpm_limit", |key| &mut key.tpm_limit),
    ("itpm_limit", |key| &mut key.itpm_limit),
    ("otpm_limit", |key| &mut key.otpm_limit),
];

/// Copies each limit of a key to all keys of the same organization, and reports keys of one organization with
/// different limits.
pub(super) fn share(keys: &mut [Key], path: &KeyPath, to: &mut Reporter<'_>) {
    for (name, limit) in LIMITS {
        let of_key = |key: &mut Key| *limit(key);
        let values: Vec<Option<u64>> = keys.iter_mut().map(of_key).collect();
        let organizations = keys.iter().map(|key| key.organization.as_deref());
        let stated = check_shared_limit(name, &organizations.zip(values).collect::<Vec<_>>(), path, to);
        for key in keys.iter_mut() {
            let shared = key.organization.as_ref().and_then(|organization| stated.get(organization));
            if let Some(shared) = shared {
                *limit(key) = Some(*shared);
            }
        }
    }
}

/// Returns the limits of one key; 0 means no limit.
pub(super) fn of(key: &Key) -> KeyLimits {
    let stated = |limit: Option<u64>| limit.and_then(NonZeroU64::new);
    KeyLimits {
        requests: stated(key.rpm_limit),
        tokens: stated(key.tpm_limit),
        input_tokens: stated(key.itpm_limit),
        output_tokens: stated(key.otpm_limit),
    }
}
