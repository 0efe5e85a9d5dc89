//! What is known of one provider: its circuit, its overloaded models, and how much it is doing.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use relay_config::ProviderName;
use tokio::time::Instant;

use super::overload::Overloads;
use super::probe::{Probe, ProbeSettings, Probing};
use super::{Circuit, CircuitSettings, CircuitState, Permit, Verdict};
use crate::load::Load;
use crate::lock::lock;

/// Shared by all who ask one provider. Each lock is held for a few instructions.
#[derive(Debug)]
pub(crate) struct ProviderHealth {
    name: ProviderName,
    circuit: Mutex<Circuit>,
    overloads: Mutex<Overloads>,
    load: Load,
    /// What the circuit was opened by.
    failure: Mutex<String>,
    probe: Option<(Probe, ProbeSettings)>,
    /// The task that looks after an open circuit; dropped, it ends.
    probing: Mutex<Option<Probing>>,
}

impl ProviderHealth {
    pub(crate) fn new(name: ProviderName, settings: CircuitSettings) -> Self {
        Self {
            name,
            circuit: Mutex::new(Circuit::new(settings)),
            overloads: Mutex::default(),
            load: Load::default(),
            failure: Mutex::default(),
            probe: None,
            probing: Mutex::default(),
        }
    }

    pub(crate) fn with_probe(mut self, probe: Probe, settings: ProbeSettings) -> Self {
        self.probe = Some((probe, settings));
        self
    }

    /// Goes on with what is known of the same provider under another configuration.
    pub(crate) fn inherit_state(self: &Arc<Self>, other: &Self, now: Instant) {
        lock(&self.circuit).inherit_state(&lock(&other.circuit));
        *self.overloads() = other.overloads().clone();
        *lock(&self.failure) = other.failure();
        self.probe_if_open(self.state(now));
    }

    pub(crate) fn state(&self, now: Instant) -> CircuitState {
        lock(&self.circuit).state(now)
    }

    /// What opened the circuit the last time; empty if nothing has.
    pub(crate) fn failure(&self) -> String {
        lock(&self.failure).clone()
    }

    /// When the circuit admits a request; `None` is now.
    pub(crate) fn wait(&self, now: Instant) -> Option<Duration> {
        lock(&self.circuit).wait(now)
    }

    /// When it is worth to ask again, at the latest: a probe may get through before the time is over.
    pub(crate) fn retry_after(&self, wait: Duration) -> Duration {
        self.probe.as_ref().map_or(wait, |(_, settings)| wait.min(settings.interval))
    }

    pub(crate) fn admit(&self, now: Instant) -> Option<Permit> {
        let mut circuit = lock(&self.circuit);
        let is_first = circuit.is_due(now);
        let permit = circuit.admit(now);
        drop(circuit);
        if is_first {
            let (provider, state) = (&self.name, CircuitState::HalfOpen.as_str());
            tracing::info!(%provider, state, reason = "its time is over", "circuit");
        }
        permit
    }

    /// Takes a pass back; `reason` is for the log.
    pub(crate) fn give_back(
        self: &Arc<Self>,
        permit: Permit,
        verdict: Verdict,
        reason: &dyn std::fmt::Display,
        now: Instant,
    ) {
        let changed = lock(&self.circuit).give_back(permit, verdict, now);
        if changed {
            self.has_changed(reason, now);
        }
    }

    /// An answer that had begun has ended.
    pub(crate) fn end(self: &Arc<Self>, permit: Permit, is_whole: bool, now: Instant) {
        let changed = lock(&self.circuit).end(permit, is_whole, now);
        if changed {
            self.has_changed(&"an answer broke off", now);
        }
    }

    /// A probe has reached the upstream.
    pub(super) fn probed(self: &Arc<Self>, now: Instant) {
        let changed = lock(&self.circuit).probed(now);
        if changed {
            self.has_changed(&"a probe reached the upstream", now);
        }
    }

    fn has_changed(self: &Arc<Self>, reason: &dyn std::fmt::Display, now: Instant) {
        let state = self.state(now);
        let (provider, name) = (&self.name, state.as_str());
        match state {
            CircuitState::Open => {
                tracing::warn!(%provider, state = name, %reason, "circuit");
                *lock(&self.failure) = reason.to_string();
            }
            _ => tracing::info!(%provider, state = name, %reason, "circuit"),
        }
        self.probe_if_open(state);
    }

    fn probe_if_open(self: &Arc<Self>, state: CircuitState) {
        let probing = match (state, &self.probe) {
            (CircuitState::Open, Some((probe, settings))) => Probing::start(self, probe, *settings),
            // Half-open, requests say more than probes; a trial that fails opens it again.
            _ => None,
        };
        *lock(&self.probing) = probing;
    }

    pub(crate) fn overloads(&self) -> MutexGuard<'_, Overloads> {
        lock(&self.overloads)
    }

    pub(crate) fn load(&self) -> &Load {
        &self.load
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use tower::service_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_open_circuit_is_probed_under_another_configuration_too() {
        let settings = CircuitSettings {
            failure_threshold: NonZeroU32::MIN,
            open_duration: Duration::from_secs(3600),
            half_open_probes: NonZeroU32::MIN,
        };
        let health = || {
            let probe = Probe::new(service_fn(|()| async { Ok(true) }));
            let health = ProviderHealth::new(ProviderName::new("a"), settings);
            Arc::new(health.with_probe(probe, ProbeSettings { interval: Duration::from_secs(10) }))
        };
        let (before, after, now) = (health(), health(), Instant::now());
        let permit = before.admit(now).expect("a closed circuit");
        before.give_back(permit, Verdict::Failure, &"a failure", now);
        after.inherit_state(&before, now);
        drop(before);
        assert_eq!(after.state(Instant::now()), CircuitState::Open);
        tokio::time::sleep(Duration::from_secs(11)).await;
        assert_eq!(after.state(Instant::now()), CircuitState::HalfOpen);
    }
}
