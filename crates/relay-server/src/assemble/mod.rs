//! Builds the providers. The only part of the crate that knows every kind of provider.
//!
//! ```text
//! Config ─BuiltProviders::build─▶ per provider: a pool of candidates
//!                                 per credential: one candidate, a service
//! ```

mod candidates;
mod files;
mod images;
mod optional_kinds;
mod providers;

pub(crate) use providers::{BuiltProvider, BuiltProviders};
