//! Settings of the original cc-relay and of similar programs that have another name or shape here, each with the right
//! spelling.

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
    ("server.port", LISTEN),
    ("server.host", LISTEN),
    ("server.address", LISTEN),
    ("server.bind", LISTEN),
    ("providers[].api_key", KEY),
    ("providers[].api_keys", KEY),
    ("providers[].key", KEY),
    ("logging.file", "write the path as logging.output"),
    ("admin.port", "write the address and the port as admin.listen, as in 127.0.0.1:8788"),
    ("admin.host", "write the address and the port as admin.listen, as in 127.0.0.1:8788"),
    ("admin.password", "write the credential as admin.token"),
    ("admin.api_key", "write the credential as admin.token"),
    ("metrics.port", "write the address and the port as metrics.listen, as in 127.0.0.1:9090"),
    ("server.auth.api_keys[].budget", "write the amount in US dollars as budget_usd"),
];

const LISTEN: &str = "write the address and the port as server.listen, as in 127.0.0.1:8787";
const KEY: &str = "write a credential as keys: [{ key: ${NAME} }]";

/// The patterns of lists and tables, each with a clause that describes the value that is expected there.
const SHAPES: &[(&str, &str)] = &[
    ("providers", "begin each provider with `- name:`, or in TOML with [[providers]]"),
    ("providers[].keys", "write [{ key: ${NAME} }]"),
    ("providers[].keys[]", "write { key: ${NAME} }"),
    ("server.auth.api_keys", "write [{ name: laptop, key: ${NAME} }]"),
    ("server.auth.api_keys[]", "write { name: laptop, key: ${NAME} }"),
    ("prices", "write [{ provider: ollama, input: 0, output: 0 }]"),
];

/// The values of choices, each with a clause that names the right one.
const VALUES: &[(&str, &str, &str)] = &[
    ("logging.format", "console", "write `text`"),
    ("logging.format", "pretty", "write `text`, and logging.pretty: true for colours"),
    ("routing.strategy", "cost", "write `cost_based`"),
    ("routing.strategy", "latency", "write `latency_based`"),
    ("server.auth.api_keys[].budget_period", "daily", "write `day`"),
    ("server.auth.api_keys[].budget_period", "weekly", "write `week`"),
    ("server.auth.api_keys[].budget_period", "monthly", "write `month`"),
];

/// Returns the hint for an unknown key at `pattern`.
pub(crate) fn key_hint(pattern: &str) -> Option<&'static str> {
    KEYS.iter().find(|(known, _)| *known == pattern).map(|(_, hint)| *hint)
}

/// Returns the hint for a value of another shape at `pattern`.
pub(crate) fn shape_hint(pattern: &str) -> Option<&'static str> {
    SHAPES.iter().find(|(known, _)| *known == pattern).map(|(_, hint)| *hint)
}

/// Returns the hint for a value that the setting at `pattern` does not accept.
pub(crate) fn value_hint(pattern: &str, value: &str) -> Option<&'static str> {
    VALUES.iter().find(|(known, from, _)| (*known, *from) == (pattern, value)).map(|(.., hint)| *hint)
}
