//! Which providers are asked at all.

mod circuit;
mod overload;
mod probe;
mod provider;

pub use circuit::{Circuit, CircuitSettings, CircuitState, Permit, Verdict};
pub use probe::{Probe, ProbeSettings};
pub(crate) use provider::ProviderHealth;
