//! Resolves `providers[].headers` and `providers[].forward_headers`.

use std::collections::BTreeMap;

use http::HeaderName;

use crate::config::{ProviderHeaders, ProviderKind};
use crate::error::Fault;
use crate::resolve::reporter::{Reporter, value_fault};
use crate::rules::headers::{
    COUNT_MAX, check_count, check_fixed_entry, check_forwarded, fixed_fault, forwarded_fault,
};
use crate::secret::Secret;
use crate::tree::KeyPath;

pub(super) fn resolve(
    fixed: BTreeMap<String, String>,
    forwarded: Vec<String>,
    kind: &ProviderKind,
    path: &KeyPath,
    to: &mut Reporter<'_>,
) -> ProviderHeaders {
    let (fixed_path, forwarded_path) = (path.key("headers"), path.key("forward_headers"));
    check_count(fixed.len(), &fixed_path, to);
    check_count(forwarded.len(), &forwarded_path, to);
    let mut headers = ProviderHeaders::default();
    for (text, value) in fixed.into_iter().take(COUNT_MAX) {
        let path = fixed_path.key(&text);
        if let Some(name) = checked(&text, &path, to, |name| fixed_fault(name, kind)) {
            let is_known = headers.fixed.iter().any(|(known, _)| *known == name);
            check_fixed_entry(&name, &value, is_known, &path, to);
            headers.fixed.push((name, Secret::new(value)));
        }
    }
    headers.fixed.sort_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
    for (index, text) in forwarded.into_iter().take(COUNT_MAX).enumerate() {
        let path = forwarded_path.index(index);
        if let Some(name) = checked(&text, &path, to, |name| forwarded_fault(name, kind)) {
            let is_fixed = headers.fixed.iter().any(|(known, _)| *known == name);
            check_forwarded(&text, headers.forwarded.contains(&name), is_fixed, &path, to);
            headers.forwarded.push(name);
        }
    }
    headers
}

/// Returns the name in `text`, or `None` if it has been reported.
fn checked(
    text: &str,
    path: &KeyPath,
    to: &mut Reporter<'_>,
    fault: impl FnOnce(&HeaderName) -> Option<Fault>,
) -> Option<HeaderName> {
    let name = HeaderName::from_bytes(text.as_bytes()).ok().filter(|_| !text.contains('*'));
    let fault = match &name {
        Some(name) => fault(name),
        None => {
            let hint = if text.contains('*') { "write out each name" } else { "" };
            Some(value_fault(format!("{text:?}"), "the name of an HTTP header", hint))
        }
    };
    match fault {
        Some(fault) => to.problem(path, fault),
        None => return name,
    }
    None
}
