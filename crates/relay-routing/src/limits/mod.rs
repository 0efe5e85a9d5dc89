//! Rate limits of keys and organizations.
//!
//! ```text
//! RequestCost ─wait─▶ time until it fits ─reserve─▶ Reservation ─take─▶ … ─settle─▶ TokensUsed
//! ```
//! A request reserves the tokens that it is expected to use of a configured limit, takes tokens while its answer flows,
//! and settles with the tokens that it did use. Rate-limit headers of an upstream lower the remaining amount; they never
//! raise it before the limit's reset. Nothing is reserved of a limit that is learned from headers: the upstream counts
//! what is used, and the relay is never stricter than it.

mod bucket;
mod cooldown;
mod hint;
mod quota;
#[cfg(test)]
mod tests;
mod usage;

pub(crate) use cooldown::Cooldown;
pub use quota::{LimitLevel, Quota, Reservation};
pub use usage::{RequestCost, TokensUsed};
