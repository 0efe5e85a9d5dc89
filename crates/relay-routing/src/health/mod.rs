//! Which providers are asked at all.

mod circuit;
mod key;
mod overload;
mod probe;
mod provider;

pub use circuit::{Circuit, CircuitSettings, CircuitState, Permit, Verdict};
pub(crate) use key::KeyHealth;
pub use probe::{Probe, ProbeSettings};
pub(crate) use provider::ProviderHealth;
