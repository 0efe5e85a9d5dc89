//! The `metrics`, `admin` and `usage` sections of the file.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

/// Metrics in the format of Prometheus.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Metrics {
    /// Serve the metrics. Default true.
    #[schemars(extend("default" = true))]
    pub(crate) enabled: Option<bool>,
    /// The address that serves the metrics and nothing else: `host:port`. Default: the admin listener serves them.
    #[schemars(length(min = 1))]
    pub(crate) listen: Option<String>,
    /// The path of the request that returns the metrics. Default `/metrics`.
    #[schemars(length(min = 1), extend("default" = "/metrics"))]
    pub(crate) path: Option<String>,
}

/// The listener for administration: the state of the relay, its requests, and actions of an operator.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Admin {
    /// Open the admin listener. Default true.
    #[schemars(extend("default" = true))]
    pub(crate) enabled: Option<bool>,
    /// The address of the admin listener: `host:port`. Default `127.0.0.1:8788`. If the default address is in use, the relay
    /// runs without an admin listener.
    #[schemars(length(min = 1), extend("default" = "127.0.0.1:8788"))]
    pub(crate) listen: Option<String>,
    /// The token that clients of the admin listener send, as `Authorization: Bearer` or `x-api-key`. Best written as `${NAME}`.
    /// Required if other machines can reach the listener. Default: none.
    #[schemars(length(min = 1), extend("writeOnly" = true))]
    pub(crate) token: Option<String>,
}

/// The ledger of usage: a database with one row for each request and its cost.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Usage {
    /// Keep the ledger. Default true.
    #[schemars(extend("default" = true))]
    pub(crate) enabled: Option<bool>,
    /// The path of the SQLite database. Default: a file in the user's data directory.
    #[schemars(with = "Option<String>", extend("minLength" = 1))]
    pub(crate) path: Option<PathBuf>,
    /// Days for which the rows of requests are kept. Default 90; 0 is for ever.
    #[schemars(range(min = 0, max = 36_500), extend("default" = 90))]
    pub(crate) retention_days: Option<u32>,
    /// The URL of a database outside of the process.
    #[schemars(extend("writeOnly" = true))]
    database_url: Option<String>,
}
