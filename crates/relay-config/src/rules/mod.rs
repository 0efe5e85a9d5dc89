//! The rules for settings that a schema cannot express. The loader applies them to a file, and [`Config::check`] to a
//! configuration that was made in code.
//!
//! [`Config::check`]: crate::Config::check

pub(crate) mod headers;
pub(crate) mod keys;
pub(crate) mod observe;
pub(crate) mod prices;
pub(crate) mod unix_socket;

use std::collections::BTreeMap;

use crate::capabilities::Pattern;
use crate::config::{BedrockConfig, ProviderKind};
use crate::error::Fault;
use crate::kinds::KeyNeed;
use crate::secret::PLACEHOLDER;
use crate::suggest::nearest;
use crate::tree::KeyPath;

/// A list of problems, each with the path of its setting.
pub(crate) trait Problems {
    fn problem(&mut self, path: &KeyPath, fault: Fault);
}

/// Returns the fault of a value that is not accepted.
pub(crate) fn value_fault(
    found: impl Into<String>,
    expected: impl Into<String>,
    hint: impl Into<String>,
) -> Fault {
    Fault::Value { found: found.into(), expected: expected.into(), hint: hint.into() }
}

/// Refuses a name that response headers, metrics labels and log lines cannot contain.
pub(crate) fn check_name(name: &str, path: &KeyPath, to: &mut dyn Problems) {
    if name.len() > 64 || !name.bytes().all(|b| b.is_ascii_graphic()) {
        to.problem(
            path,
            value_fault(format!("{name:?}"), "up to 64 visible ASCII characters without blanks", ""),
        );
    }
}

/// The largest number of patterns in one list. Each is compared with the model of a request.
const PATTERNS_MAX: usize = 1_000;

/// Refuses a list of models that is too long, and items of it that match no model.
pub(crate) fn check_models<'a>(
    patterns: impl ExactSizeIterator<Item = &'a Pattern>,
    path: &KeyPath,
    to: &mut dyn Problems,
) {
    if patterns.len() > PATTERNS_MAX {
        let found = format!("{} models", patterns.len());
        to.problem(
            path,
            value_fault(found, format!("at most {PATTERNS_MAX}"), "a pattern with `*` matches many"),
        );
    }
    for (index, pattern) in patterns.enumerate().take(PATTERNS_MAX) {
        let text = pattern.as_str();
        let is_odd = |char: char| char == ',' || char.is_whitespace() || char.is_control();
        if text.is_empty() || text.contains(is_odd) {
            let hint = "write each model as an item of its own";
            to.problem(
                &path.index(index),
                value_fault(format!("{text:?}"), "a name, or a pattern with `*`, without blanks", hint),
            );
        }
    }
}

/// Refuses an entry of a provider's `model_mapping` without a name, or with a pattern as its target.
pub(crate) fn check_mapping(name: &str, target: &str, path: &KeyPath, to: &mut dyn Problems) {
    if name.trim().is_empty() {
        to.problem(path, value_fault("an empty model name", "a name, or a pattern with `*`", ""));
    }
    if target.contains('*') {
        let fault = value_fault(
            format!("{target:?}"),
            "one model name, without `*`",
            "only the left side may be a pattern",
        );
        to.problem(path, fault);
    }
}

/// Refuses keys that would never be sent, and reports a missing key if the provider cannot work without one.
pub(crate) fn check_need(
    need: KeyNeed,
    is_empty: bool,
    enabled: bool,
    kind: &ProviderKind,
    path: &KeyPath,
    to: &mut dyn Problems,
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
pub(crate) fn check_key(key: &str, path: &KeyPath, to: &mut dyn Problems) {
    if key == PLACEHOLDER {
        let found = format!("the placeholder {PLACEHOLDER}");
        to.problem(path, value_fault(found, "a credential of the upstream", ""));
    }
}

/// Refuses a secret that no client could show: a comma makes the header a list of credentials, which is refused.
pub(crate) fn check_client_secret(secret: &str, path: &KeyPath, to: &mut dyn Problems) {
    if secret.contains(',') {
        let expected = "a secret without a comma, which separates credentials";
        to.problem(path, value_fault("a secret with a comma", expected, ""));
    }
}

/// Compares the values of one limit of all keys, each with the key's organization. Reports keys of one organization with
/// different values, and returns the value of each organization.
pub(crate) fn check_shared_limit(
    name: &str,
    keys: &[(Option<&str>, Option<u64>)],
    path: &KeyPath,
    to: &mut dyn Problems,
) -> BTreeMap<String, u64> {
    // The limit of each organization, and the first key that states it.
    let mut stated: BTreeMap<&str, (u64, usize)> = BTreeMap::new();
    for (index, (organization, limit)) in keys.iter().enumerate() {
        let (Some(organization), Some(found @ 1..)) = (organization, *limit) else { continue };
        let (first, of) = *stated.entry(organization).or_insert((found, index));
        if first != found {
            let expected = format!("{first}, as in {}", path.index(of));
            let hint = "keys of one organization share its limits";
            let fault = value_fault(format!("the number {found}"), expected, hint);
            to.problem(&path.index(index).key(name), fault);
        }
    }
    stated.into_iter().map(|(organization, (limit, _))| (organization.to_owned(), limit)).collect()
}

/// Refuses a guardrail whose id or version a header cannot carry or AWS does not have.
pub(crate) fn check_guardrail(id: &str, version: &str, path: &KeyPath, to: &mut dyn Problems) {
    if !id.bytes().all(|byte| byte.is_ascii_graphic()) {
        let hint = "the page of the guardrail in the Bedrock console shows both";
        to.problem(&path.key("id"), value_fault(format!("{id:?}"), "the id or the ARN of a guardrail", hint));
    }
    let is_number = (1..=8).contains(&version.len()) && version.bytes().all(|byte| byte.is_ascii_digit());
    if version != "DRAFT" && (!is_number || version.starts_with('0')) {
        let hint = if version.eq_ignore_ascii_case("DRAFT") { "write DRAFT" } else { "" };
        let expected = "the number of a version, as in \"1\", or DRAFT";
        to.problem(&path.key("version"), value_fault(format!("{version:?}"), expected, hint));
    }
}

/// Refuses a guardrail for an endpoint that applies none.
pub(crate) fn check_guardrail_endpoint(config: &BedrockConfig, path: &KeyPath, to: &mut dyn Problems) {
    if config.guardrail.is_some() && !config.applies_guardrails() {
        let expected =
            "an endpoint that applies guardrails, as in https://bedrock-runtime.us-east-1.amazonaws.com";
        let fault =
            value_fault("bedrock_guardrail with a base_url of bedrock-mantle", expected, "remove base_url");
        to.problem(&path.key("bedrock_guardrail"), fault);
    }
}

/// Refuses a prefix of `routing.model_mapping` that is empty or a pattern.
pub(crate) fn check_prefix(prefix: &str, path: &KeyPath, to: &mut dyn Problems) {
    if prefix.trim().is_empty() {
        let fault = value_fault("an empty prefix", "the start of a model's name", "use default_provider");
        to.problem(path, fault);
    } else if prefix.contains('*') {
        let hint = match prefix.strip_suffix('*') {
            Some(prefix) if !prefix.is_empty() && !prefix.contains('*') => format!("write {prefix:?}"),
            _ => String::new(),
        };
        to.problem(path, value_fault(format!("{prefix:?}"), "a prefix, without `*`", hint));
    }
}

/// Refuses a name that no provider has. `names` are the names of all providers.
pub(crate) fn check_known<'a>(
    name: &str,
    names: impl Iterator<Item = &'a str> + Clone,
    path: &KeyPath,
    to: &mut dyn Problems,
) {
    if names.clone().any(|known| known == name) {
        return;
    }
    let hint = match nearest(name, names.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if names.clone().next().is_none() => String::new(),
        None => format!("known here: {}", names.collect::<Vec<_>>().join(", ")),
    };
    to.problem(path, value_fault(format!("{name:?}"), "the name of a provider", hint));
}

/// Returns `true` if `host` has only the characters of names and of IP addresses.
pub(crate) fn is_host(host: &str) -> bool {
    let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':');
    !host.is_empty() && host.bytes().all(is_name)
}
