//! Sections whose features this version does not have; `unavailable` says what of them is accepted as "off".

use schemars::JsonSchema;
use serde::Deserialize;

/// Serve HTTPS.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Tls {
    /// PEM file with the certificate chain.
    cert: Option<String>,
    /// PEM file with the private key.
    key: Option<String>,
}

/// Prometheus metrics.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Metrics {
    /// Whether they are served.
    enabled: Option<bool>,
    /// Where, if not on the admin listener.
    listen: Option<String>,
    /// The path.
    path: Option<String>,
}

/// The admin listener.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Admin {
    /// Whether there is one.
    enabled: Option<bool>,
    /// Where.
    listen: Option<String>,
    /// Who may use it.
    #[schemars(extend("writeOnly" = true))]
    token: Option<String>,
}

/// Where limits and cooldowns are kept.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct State {
    /// The kind of store.
    backend: Option<Backend>,
    /// Where it is.
    #[schemars(extend("writeOnly" = true))]
    url: Option<String>,
    /// What its keys start with.
    prefix: Option<String>,
}

/// The kind of store.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Backend {
    /// In this process.
    Memory,
}
