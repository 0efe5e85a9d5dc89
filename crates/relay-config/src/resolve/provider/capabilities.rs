//! `providers[].capabilities`.

use std::collections::BTreeMap;

use super::{Reporter, value_fault};
use crate::capabilities::{Capabilities, Pattern, WrongEntry, read};
use crate::raw;
use crate::tree::Path;

pub(super) fn resolve(
    raw: BTreeMap<String, raw::Capabilities>,
    path: &Path,
    to: &mut Reporter<'_>,
) -> Capabilities {
    let models = raw.iter().map(|(pattern, words)| {
        let fields = path.key(pattern).key("fields");
        let known = read(&words.betas, &words.fields, |(field, rule, why)| {
            let fault = match why {
                WrongEntry::Path(expected) => value_fault(format!("`{field}`"), expected.to_string(), ""),
                WrongEntry::Rule(expected) => value_fault(format!("`{rule}`"), expected.to_string(), ""),
            };
            to.problem(&fields.key(field), fault);
        });
        (Pattern::new(pattern), known)
    });
    models.collect()
}
