//! Health of one provider: its circuit, its resting models and its load.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use relay_config::ProviderName;
use relay_messages::TwoGenerations;
use relay_providers::{Answer, AttemptError};

use super::circuit::{Circuit, CircuitSettings, CircuitState, Permit, Verdict};
use super::content_times::{ContentTime, ContentTimes, Form, WaitEnd};
use super::last_failure::LastFailure;
use super::model_rests::ModelRests;
use super::probe::{Probe, ProbeSettings, ProbeTask};
use crate::clock;
use crate::load::Load;
use crate::lock::lock;

/// The shortest time for which it is remembered that a provider has no token count for a model.
const UNCOUNTED: Duration = Duration::from_secs(600);
/// Half the largest number of such models remembered. Model names come from clients.
const UNCOUNTED_MODELS: usize = 128;

/// The time after which the result of a probe under way is expected.
const PROBE_TIME: Duration = Duration::from_secs(1);

type Uncounted = TwoGenerations<Arc<str>, ()>;

/// The state of one provider, shared by all attempts at it. Each lock is held for a few instructions.
#[derive(Debug)]
pub(crate) struct ProviderHealth {
    name: ProviderName,
    circuit: Mutex<Circuit>,
    rests: Mutex<ModelRests>,
    /// The models whose tokens the provider does not count.
    uncounted: Mutex<Uncounted>,
    load: Load,
    /// `true` while an operator pauses the provider.
    is_paused: AtomicBool,
    /// The times to the first content, if a strategy compares them.
    timing: OnceLock<Timing>,
    /// The reason for which the circuit opened last; empty if it never did.
    open_reason: Mutex<String>,
    last_failure: LastFailure,
    probe: Option<(Probe, ProbeSettings)>,
    /// The task that probes while the circuit is open.
    probe_task: Mutex<Option<ProbeTask>>,
}

/// The times to the first content.
#[derive(Debug, Default)]
struct Timing {
    /// The attempts that wait for their first content.
    waiting: AtomicU32,
    times: Mutex<ContentTimes>,
}

impl ProviderHealth {
    pub(crate) fn new(name: ProviderName, settings: CircuitSettings) -> Self {
        Self {
            name,
            circuit: Mutex::new(Circuit::new(settings)),
            rests: Mutex::default(),
            uncounted: Mutex::new(Uncounted::new(UNCOUNTED_MODELS, UNCOUNTED)),
            load: Load::default(),
            is_paused: AtomicBool::new(false),
            timing: OnceLock::new(),
            open_reason: Mutex::default(),
            last_failure: LastFailure::default(),
            probe: None,
            probe_task: Mutex::default(),
        }
    }

    pub(crate) fn with_probe(mut self, probe: Probe, settings: ProbeSettings) -> Self {
        self.probe = Some((probe, settings));
        self
    }

    /// Takes over the circuit and the resting models of the same provider under an earlier configuration.
    pub(crate) fn inherit_state(self: &Arc<Self>, other: &Self, now: Instant) {
        lock(&self.circuit).inherit_state(&lock(&other.circuit));
        *self.rests() = other.rests().clone();
        *lock(&self.uncounted) = lock(&other.uncounted).clone();
        *lock(&self.open_reason) = other.open_reason();
        self.is_paused.store(other.is_paused(), Ordering::Release);
        if let (Some(own), Some(before)) = (self.timing.get(), other.timing.get()) {
            *lock(&own.times) = lock(&before.times).clone();
        }
        self.probe_if_open(self.state(now));
    }

    pub(crate) fn state(&self, now: Instant) -> CircuitState {
        lock(&self.circuit).state(now)
    }

    /// Returns the time since the circuit changed its state; `None` if it has been closed from the start.
    pub(crate) fn circuit_age(&self, now: Instant) -> Option<Duration> {
        lock(&self.circuit).age(now)
    }

    /// Returns the reason for which the circuit opened last; empty if it never did.
    pub(crate) fn open_reason(&self) -> String {
        lock(&self.open_reason).clone()
    }

    /// Returns the failure of the last attempt, or `None` if it did not fail.
    pub(crate) fn last_failure(&self) -> Option<String> {
        self.last_failure.get()
    }

    /// Returns the time until the circuit may admit a request, or `None` if it admits one now: the time until its open
    /// duration has passed, or until the next probe, which may succeed before. Zero while another request is the trial of a
    /// half-open circuit.
    pub(crate) fn wait_time(&self, now: Instant) -> Option<Duration> {
        let wait = lock(&self.circuit).wait_time(now)?;
        let probe = lock(&self.probe_task).as_ref().map(|task| task.wait_time(now).max(PROBE_TIME));
        Some(probe.map_or(wait, |probe| wait.min(probe)))
    }

    /// Takes a permit from the circuit, or returns `None` if it admits no request now.
    pub(crate) fn admit(&self, now: Instant) -> Option<Permit> {
        let mut circuit = lock(&self.circuit);
        let is_first = circuit.is_open_time_over(now);
        let permit = circuit.admit(now);
        drop(circuit);
        if is_first {
            let (provider, state) = (&self.name, CircuitState::HalfOpen.as_str());
            tracing::info!(%provider, state, reason = "the open duration has passed", "circuit");
        }
        permit
    }

    /// Returns `true` if an operator pauses the provider: it gets no further requests.
    pub(crate) fn is_paused(&self) -> bool {
        self.is_paused.load(Ordering::Acquire)
    }

    /// Pauses the provider, or resumes it. Returns `true` if that is a change.
    pub(crate) fn set_paused(&self, is_paused: bool) -> bool {
        self.is_paused.swap(is_paused, Ordering::AcqRel) != is_paused
    }

    /// Closes the circuit and ends the rest of every model. Returns `true` if that is a change.
    pub(crate) fn reset_circuit(self: &Arc<Self>, now: Instant) -> bool {
        let rested = self.rests().clear(now);
        let was_closed = !lock(&self.circuit).reset(now);
        if !was_closed {
            self.state_changed(&"an operator has reset it", now);
        }
        rested || !was_closed
    }

    /// Records an answer as the provider's last attempt.
    pub(crate) fn record_answer(&self, answer: &Answer) {
        self.last_failure.record_answer(answer);
    }

    /// Records an attempt without an answer as the provider's last one.
    pub(crate) fn record_error(&self, error: &AttemptError) {
        self.last_failure.record_error(error);
    }

    /// Returns a permit with its verdict; `reason` is logged if the state of the circuit changes.
    pub(crate) fn report(
        self: &Arc<Self>,
        permit: Permit,
        verdict: Verdict,
        reason: &dyn fmt::Display,
        now: Instant,
    ) {
        let has_changed = lock(&self.circuit).report(permit, verdict, now);
        if has_changed {
            self.state_changed(reason, now);
        }
    }

    /// Records the end of an answer that had begun.
    pub(crate) fn finish(self: &Arc<Self>, permit: Permit, is_complete: bool, now: Instant) {
        let has_changed = lock(&self.circuit).finish(permit, is_complete, now);
        if has_changed {
            self.state_changed(&"an answer broke off", now);
        }
    }

    /// Records that a probe has reached the upstream.
    fn probe_succeeded(self: &Arc<Self>, now: Instant) {
        let has_changed = lock(&self.circuit).probe_succeeded(now);
        if has_changed {
            self.state_changed(&"a probe reached the upstream", now);
        }
    }

    fn state_changed(self: &Arc<Self>, reason: &dyn fmt::Display, now: Instant) {
        let state = self.state(now);
        let (provider, name) = (&self.name, state.as_str());
        match state {
            CircuitState::Open => {
                tracing::warn!(%provider, state = name, %reason, "circuit");
                *lock(&self.open_reason) = reason.to_string();
            }
            _ => tracing::info!(%provider, state = name, %reason, "circuit"),
        }
        self.probe_if_open(state);
    }

    /// Starts probing if the circuit is open, else ends it. While the circuit is half-open, requests are the
    /// better test: a trial that fails opens it again.
    fn probe_if_open(self: &Arc<Self>, state: CircuitState) {
        let task = match (state, &self.probe) {
            (CircuitState::Open, Some((probe, settings))) => {
                let health = Arc::downgrade(self);
                ProbeTask::spawn(probe.clone(), *settings, move |is_reachable| {
                    // The provider is gone from the configuration.
                    let Some(health) = health.upgrade() else { return ControlFlow::Break(()) };
                    if is_reachable {
                        health.probe_succeeded(clock::now());
                        return ControlFlow::Break(());
                    }
                    ControlFlow::Continue(())
                })
            }
            _ => None,
        };
        *lock(&self.probe_task) = task;
    }

    pub(crate) fn rests(&self) -> MutexGuard<'_, ModelRests> {
        lock(&self.rests)
    }

    /// Records that the provider has no token count for `model`.
    pub(crate) fn record_uncounted(&self, model: &Arc<str>, now: Instant) {
        lock(&self.uncounted).insert(Arc::clone(model), (), now);
    }

    /// Returns `true` if the provider is known to have no token count for `model`.
    pub(crate) fn is_uncounted(&self, model: &Arc<str>, now: Instant) -> bool {
        lock(&self.uncounted).contains(model, now)
    }

    /// Measures the times to the first content from now on.
    pub(crate) fn measure_content_times(&self) {
        self.timing.get_or_init(Timing::default);
    }

    /// Returns the average time to the first content of `model`, and the number of attempts that wait for theirs. Zero if times
    /// are not measured.
    pub(crate) fn content_time(&self, model: &Arc<str>, form: Form, now: Instant) -> (ContentTime, u32) {
        self.timing.get().map_or_else(Default::default, |timing| {
            (lock(&timing.times).get(model, form, now), timing.waiting.load(Ordering::Relaxed))
        })
    }

    /// Returns the average time to the first content of each model and form of answer, ordered by model; at most `limit`.
    pub(crate) fn content_times(&self, limit: usize) -> Vec<(Arc<str>, Form, Duration)> {
        let Some(timing) = self.timing.get() else { return Vec::new() };
        let times = lock(&timing.times);
        let mut all: Vec<_> =
            times.all().map(|(model, form, time)| (Arc::clone(model), form, time)).collect();
        drop(times);
        all.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        all.truncate(limit);
        all
    }

    /// Records an attempt that waits for its first content. Returns `false` if times are not measured.
    pub(crate) fn begin_wait(&self, model: &Arc<str>, form: Form, now: Instant) -> bool {
        let Some(timing) = self.timing.get() else { return false };
        timing.waiting.fetch_add(1, Ordering::Relaxed);
        lock(&timing.times).begin(model, form, now);
        true
    }

    /// Records the end of an attempt's wait, `waited` after its start.
    pub(crate) fn end_wait(
        &self,
        model: &Arc<str>,
        form: Form,
        end: WaitEnd,
        waited: Duration,
        now: Instant,
    ) {
        if let Some(timing) = self.timing.get() {
            timing.waiting.fetch_sub(1, Ordering::Relaxed);
            lock(&timing.times).end(model, form, end, waited, now);
        }
    }

    /// Records that an answer whose content had arrived broke off.
    pub(crate) fn record_break(&self, model: &Arc<str>, form: Form, waited: Duration, now: Instant) {
        if let Some(timing) = self.timing.get() {
            lock(&timing.times).end(model, form, WaitEnd::Failed, waited, now);
        }
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
    async fn an_inherited_open_circuit_is_probed() {
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
        let (before, after, now) = (health(), health(), clock::now());
        let permit = before.admit(now).expect("a closed circuit");
        before.report(permit, Verdict::Failure, &"a failure", now);
        after.inherit_state(&before, now);
        drop(before);
        let wait = |seconds| after.wait_time(now + Duration::from_secs(seconds));
        assert_eq!([wait(0), wait(4), wait(10)], [10, 6, 1].map(|wait| Some(Duration::from_secs(wait))));
        assert_eq!(after.state(clock::now()), CircuitState::Open);
        tokio::time::sleep(Duration::from_secs(11)).await;
        assert_eq!(after.state(clock::now()), CircuitState::HalfOpen);
    }
}
