//! Resolves `providers[].capabilities`.

use std::collections::BTreeMap;

use crate::capabilities::{Capabilities, Pattern, read};
use crate::raw;
use crate::resolve::reporter::{Reporter, value_fault};
use crate::tree::KeyPath;

pub(super) fn resolve(
    raw: BTreeMap<String, raw::Capabilities>,
    path: &KeyPath,
    to: &mut Reporter<'_>,
) -> Capabilities {
    let models = raw.iter().map(|(pattern, words)| {
        let known = read(&words.betas, &words.fields, |refused| {
            let at = path.key(pattern).key(refused.section).key(refused.key);
            to.problem(&at, value_fault(format!("`{}`", refused.found), refused.expected, ""));
        });
        (Pattern::new(pattern), known)
    });
    models.collect()
}
