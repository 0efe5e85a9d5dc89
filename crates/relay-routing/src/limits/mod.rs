//! Rate limits of keys and organizations.
//!
//! ```text
//! RequestCost ─wait─▶ time until it fits ─reserve─▶ Reservation ─settle─▶ TokensUsed
//! ```
//! A request reserves the tokens that it is expected to use and settles with the tokens that it did use.
//! Rate-limit headers of an upstream lower the remaining amount; they never raise it before the limit's
//! reset.

mod bucket;
mod cooldown;
mod quota;
mod usage;

pub use bucket::Bucket;
pub(crate) use cooldown::Cooldown;
pub use quota::{Quota, Reservation};
pub use usage::{RequestCost, TokensUsed};
