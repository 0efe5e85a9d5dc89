//! Builds the providers. The only part of the crate that knows every kind of provider.
//!
//! ```text
//! Config ─build_providers─▶ per provider: a pool of candidates
//!                           per credential: one candidate, a service
//! ```

mod candidates;
mod images;
mod optional_kinds;
mod providers;

pub(crate) use providers::{BuiltProviders, build_providers};
