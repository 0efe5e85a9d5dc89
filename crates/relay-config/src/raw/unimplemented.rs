//! The sections of features that are not implemented. `unimplemented_keys` lists the values of them that are
//! accepted because they mean "off".

use schemars::JsonSchema;
use serde::Deserialize;

/// The store of rate limits and cooldowns.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct State {
    /// The kind of store. Only `memory` is accepted, which is the default.
    backend: Option<Backend>,
    /// The URL of a store outside of the process.
    #[schemars(extend("writeOnly" = true))]
    url: Option<String>,
    /// The prefix of the keys in a store outside of the process.
    prefix: Option<String>,
}

/// The kind of store.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Backend {
    /// The memory of this process.
    Memory,
}
