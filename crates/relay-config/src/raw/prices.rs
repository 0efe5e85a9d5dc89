//! The entries of `prices` in the file.

use std::num::NonZeroU64;

use schemars::JsonSchema;
use serde::Deserialize;

/// Prices of some models of some providers. A figure that is not stated is that of the built-in price of the model.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Price {
    /// The name or the type of the providers. Default: every provider.
    #[schemars(length(min = 1))]
    pub(crate) provider: Option<String>,
    /// The models, by the names that the upstream uses: names, and patterns with `*`. Default: every model.
    #[schemars(length(min = 1), inner(length(min = 1)))]
    pub(crate) models: Option<Vec<String>>,
    /// US dollars for 1,000,000 input tokens that are neither read from nor written to a prompt cache.
    #[schemars(range(min = 0.0, max = 1_000_000.0))]
    pub(crate) input: Option<f64>,
    /// US dollars for 1,000,000 output tokens, thinking included.
    #[schemars(range(min = 0.0, max = 1_000_000.0))]
    pub(crate) output: Option<f64>,
    /// US dollars for 1,000,000 input tokens that are read from a prompt cache.
    #[schemars(range(min = 0.0, max = 1_000_000.0))]
    pub(crate) cache_read: Option<f64>,
    /// US dollars for 1,000,000 input tokens that are written to a prompt cache for five minutes.
    #[schemars(range(min = 0.0, max = 1_000_000.0))]
    pub(crate) cache_write_5m: Option<f64>,
    /// US dollars for 1,000,000 input tokens that are written to a prompt cache for an hour.
    #[schemars(range(min = 0.0, max = 1_000_000.0))]
    pub(crate) cache_write_1h: Option<f64>,
    /// The prices of every token of a request with a long prompt.
    pub(crate) tier: Option<PriceTier>,
    /// The factor on the prices of tokens in Message Batches, such as 0.5.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub(crate) batch_factor: Option<f64>,
    /// The factor on the prices of tokens for inference within the USA, such as 1.1.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub(crate) us_factor: Option<f64>,
    /// The factor on the prices of tokens at an endpoint of a region or of a group of regions, such as 1.1.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub(crate) regional_factor: Option<f64>,
    /// True if the inference is kept in the USA, as by Azure's deployments of type US Data Zone Standard. Default: as the answer reports.
    pub(crate) us_data_zone: Option<bool>,
    /// US dollars for 1,000 web searches.
    #[schemars(range(min = 0.0, max = 1_000_000.0))]
    pub(crate) web_search: Option<f64>,
}

/// The prices of every token of a request whose prompt is longer than a number of tokens. A price that is not stated is that
/// of a shorter prompt.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct PriceTier {
    /// The longest prompt to which these prices do not apply, in tokens. Tokens read from and written to a cache count.
    #[schemars(range(min = 1, max = 1_000_000_000), required)]
    pub(crate) over: Option<NonZeroU64>,
    /// US dollars for 1,000,000 input tokens that are neither read from nor written to a prompt cache.
    #[schemars(range(min = 0.0, max = 1_000_000.0))]
    pub(crate) input: Option<f64>,
    /// US dollars for 1,000,000 output tokens, thinking included.
    #[schemars(range(min = 0.0, max = 1_000_000.0))]
    pub(crate) output: Option<f64>,
    /// US dollars for 1,000,000 input tokens that are read from a prompt cache.
    #[schemars(range(min = 0.0, max = 1_000_000.0))]
    pub(crate) cache_read: Option<f64>,
    /// US dollars for 1,000,000 input tokens that are written to a prompt cache for five minutes.
    #[schemars(range(min = 0.0, max = 1_000_000.0))]
    pub(crate) cache_write_5m: Option<f64>,
    /// US dollars for 1,000,000 input tokens that are written to a prompt cache for an hour.
    #[schemars(range(min = 0.0, max = 1_000_000.0))]
    pub(crate) cache_write_1h: Option<f64>,
}
