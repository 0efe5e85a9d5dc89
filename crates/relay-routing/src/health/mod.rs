//! Health of providers and keys: circuit breakers, probes, overloaded models, rejected credentials.
//!
//! ```text
//! ProviderHealth   Circuit ◀─Verdict─ attempts     Overloads: models without capacity
//!                     ▲ a probe reached the upstream
//! KeyHealth        Quota                           Cooldown after a rejected credential
//! ```
//! A lease takes a permit and a reservation from both before an attempt, and reports to both after it.

mod circuit;
mod key;
mod last_failure;
mod overload;
mod probe;
mod provider;

pub use circuit::{Circuit, CircuitSettings, CircuitState, Permit, Verdict};
pub(crate) use key::KeyHealth;
pub use probe::{Probe, ProbeSettings};
pub(crate) use provider::ProviderHealth;
