//! The refusal of a price.

use std::fmt;

/// A price in the configuration that is no amount of money.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("prices[{index}].{figure}: found {found}, expected a number from 0 to 1,000,000")]
#[non_exhaustive]
pub struct PriceError {
    /// The place in `prices`, from 0.
    pub index: usize,
    /// The figure.
    pub figure: Figure,
    /// The value found.
    pub found: f64,
}

/// A figure of a rule in `prices`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Figure {
    /// The price of input tokens.
    Input,
    /// The price of output tokens.
    Output,
    /// The price of tokens read from a cache.
    CacheRead,
    /// The price of tokens written to a cache for five minutes.
    CacheWrite5m,
    /// The price of tokens written to a cache for one hour.
    CacheWrite1h,
    /// The factor on the prices in Message Batches.
    BatchFactor,
    /// The factor on the prices of inference within the USA.
    UsFactor,
    /// The factor on the prices outside of the global endpoint.
    RegionalFactor,
    /// The price of 1,000 web searches.
    WebSearch,
}

impl fmt::Display for Figure {
    /// Writes the name in the configuration file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Input => "input",
            Self::Output => "output",
            Self::CacheRead => "cache_read",
            Self::CacheWrite5m => "cache_write_5m",
            Self::CacheWrite1h => "cache_write_1h",
            Self::BatchFactor => "batch_factor",
            Self::UsFactor => "us_factor",
            Self::RegionalFactor => "regional_factor",
            Self::WebSearch => "web_search",
        })
    }
}
