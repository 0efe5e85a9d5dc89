//! The prices of models, and the costs of requests that follow from them.
//!
//! ```text
//! prices.toml ─▶ table ─┐
//! Config.prices ─▶ rule ┴─▶ PriceTable ── provider, model, usage ──▶ Usd, or None for an unknown price
//! Config.providers ─▶ origin: kind, place
//! ```
//! The built-in table has the published prices, with their sources, in `prices.toml`. They serve estimates and budgets. An invoice
//! differs where a contract, a subscription or a commitment does.
//!
//! A cost is the sum of the tokens of each kind times their prices, times every factor that applies, plus the calls of tools. It is
//! computed in whole picodollars and rounded once, to the nearest nanodollar.
//!
//! - The model is the one that was sent to the provider. Case and a final `[1m]` do not count. At `bedrock` an ARN stands for the
//!   id in its last segment, and the prefix of an inference profile selects the factor of its regions.
//! - An exact name precedes a pattern, and a longer pattern a shorter one.
//! - A prompt longer than a limit (input, cache reads and cache writes) pays the prices of long prompts for every token.
//! - Inference that is kept in the USA, and endpoints other than the global one, have factors of their own. An answer reports the
//!   former; for a deployment at Azure, whose answers do not, the configuration states it.
//! - The time of day selects the off-peak prices of `deepseek`.
//! - The prices at an address of another vendor are those of that vendor, whatever the `type` of the provider.
//! - The rule of `prices` in the configuration with the greatest precedence ([`PriceRule::rank`](relay_config::PriceRule::rank))
//!   replaces the figures that it states. Factors of the table still apply.
//!
//! `None` is an unknown price, which is not zero: models that are not listed, `openrouter`, and modes of an answer (fast, batch)
//! for which no price was published.

mod current;
mod entry;
mod error;
mod find;
mod model_name;
mod origin;
mod price_table;
mod quantities;
mod rates;
mod rule;
mod schedule;
mod table;
#[cfg(test)]
mod table_text;
#[cfg(test)]
mod tests;
mod tools;

pub use current::CurrentPrices;
pub use error::{Figure, PriceError};
pub use price_table::PriceTable;
