//! Health of providers and keys: circuit breakers, probes, resting models, rejected credentials.
//!
//! ```text
//! ProviderHealth   Circuit ◀─Verdict─ attempts     ModelRests: overloaded, failed, not served, limited
//!                     ▲ a probe reached the upstream     ContentTimes: averages, if a strategy compares them
//! KeyHealth        Quota                           Cooldown after a rejected credential
//! ```
//! A lease takes a permit and a reservation from both before an attempt, and reports to both after it.

mod circuit;
mod content_times;
mod key;
mod last_failure;
mod model_rests;
mod probe;
mod provider;

pub use circuit::{Circuit, CircuitSettings, CircuitState, Permit, Verdict};
pub(crate) use content_times::{Form, WaitEnd};
pub(crate) use key::KeyHealth;
pub(crate) use model_rests::RestReason;
pub use probe::{Probe, ProbeSettings};
pub(crate) use provider::ProviderHealth;
