//! Settings of the original cc-relay that have another name here, each with the right spelling.

/// The patterns of keys, each with a clause that names the right spelling.
const KEYS: &[(&str, &str)] = &[
    (
        "providers[].pooling.enabled",
        "requests are always distributed over the keys; remove the line, and write pooling.strategy to choose how",
    ),
    (
        "providers[].azure_deployment_id",
        "write the deployment as the target of a model: model_mapping: { claude-opus-5-5: my-deployment }",
    ),
    (
        "server.auth.allow_bearer",
        "a client key is always accepted as `Authorization: Bearer`; remove the line, or write allow_subscription: true to accept \
         subscription tokens",
    ),
    ("server.api_key", "write server.auth.api_key"),
    ("logging.file", "write the path as logging.output"),
];

/// The values of choices, each with a clause that names the right one.
const VALUES: &[(&str, &str, &str)] = &[
    ("logging.format", "console", "write `text`"),
    ("logging.format", "pretty", "write `text`, and logging.pretty: true for colours"),
];

/// Returns the hint for an unknown key at `pattern`.
pub(crate) fn key_hint(pattern: &str) -> Option<&'static str> {
    KEYS.iter().find(|(known, _)| *known == pattern).map(|(_, hint)| *hint)
}

/// Returns the hint for a value that the setting at `pattern` does not accept.
pub(crate) fn value_hint(pattern: &str, value: &str) -> Option<&'static str> {
    VALUES.iter().find(|(known, from, _)| (*known, *from) == (pattern, value)).map(|(.., hint)| *hint)
}
