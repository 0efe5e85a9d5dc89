//! A circuit breaker as a state machine, without a clock or a lock of its own.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use serde::{Serialize, Serializer};

/// The conditions under which a circuit opens and closes.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct CircuitSettings {
    /// The number of consecutive failures that open a closed circuit. Default 5.
    pub failure_threshold: NonZeroU32,
    /// The time for which an open circuit admits no request. Default 30 s.
    pub open_duration: Duration,
    /// The number of consecutive successful trials that close a half-open circuit. Default 3.
    pub half_open_probes: NonZeroU32,
}

impl Default for CircuitSettings {
    fn default() -> Self {
        let number = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        Self {
            failure_threshold: number(5),
            open_duration: Duration::from_secs(30),
            half_open_probes: number(3),
        }
    }
}

impl CircuitSettings {
    /// Sets the number of consecutive failures that open a closed circuit.
    #[must_use]
    pub fn with_failure_threshold(mut self, failure_threshold: NonZeroU32) -> Self {
        self.failure_threshold = failure_threshold;
        self
    }

    /// Sets the time for which an open circuit admits no request.
    #[must_use]
    pub fn with_open_duration(mut self, open_duration: Duration) -> Self {
        self.open_duration = open_duration;
        self
    }

    /// Sets the number of consecutive successful trials that close a half-open circuit.
    #[must_use]
    pub fn with_half_open_probes(mut self, half_open_probes: NonZeroU32) -> Self {
        self.half_open_probes = half_open_probes;
        self
    }
}

/// A circuit breaker: stops sending requests to an upstream that fails.
///
/// ```text
///        consecutive failures       open duration passed, or probe succeeded
/// closed ───────────────────▶ open ─────────────────────────────────▶ half-open
///    ▲                          ▲                a trial failed           │ │
///    │                          └─────────────────────────────────────────┘ │
///    └────────────────────────────── consecutive trials succeeded ──────────┘
/// ```
/// A half-open circuit admits one trial at a time.
///
/// ```
/// use std::time::Duration;
/// use relay_routing::{Circuit, CircuitSettings, CircuitState, Verdict};
/// use std::time::Instant;
///
/// let now = Instant::now();
/// let mut circuit = Circuit::new(CircuitSettings::default());
/// for _ in 0..5 {
///     let permit = circuit.admit(now).expect("a closed circuit");
///     circuit.report(permit, Verdict::Failure, now);
/// }
/// assert_eq!(circuit.state(now), CircuitState::Open);
/// assert_eq!(circuit.wait_time(now), Some(Duration::from_secs(30)));
/// ```
#[derive(Debug, Clone)]
pub struct Circuit {
    settings: CircuitSettings,
    state: State,
    /// The number of state changes. A permit of an earlier generation has no effect on the current state.
    generation: u64,
    /// The time of the last state change; `None` if there was none.
    since: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant },
    HalfOpen { successes: u32, in_trial: bool },
}

/// The state of a circuit. It is serialized as its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CircuitState {
    /// All requests are admitted.
    Closed,
    /// No request is admitted.
    Open,
    /// One trial at a time is admitted.
    HalfOpen,
}

impl CircuitState {
    /// Returns the name of the state, for logs and headers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

impl Serialize for CircuitState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The right to send one request. Return it with a [`Verdict`].
#[derive(Debug, Clone, Copy)]
#[must_use = "a trial whose permit is never returned blocks all further trials"]
pub struct Permit {
    generation: u64,
}

/// The result of an admitted request, as far as it concerns the upstream's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The upstream has begun to answer. A trial is successful with that. Consecutive failures are counted
    /// from zero again at the [end](Circuit::finish) of the answer.
    Responded,
    /// The upstream does not work.
    Failure,
    /// The request proves nothing: the client left, or a limit was reached.
    Neutral,
}

impl Circuit {
    /// Creates a closed circuit.
    #[must_use]
    pub fn new(settings: CircuitSettings) -> Self {
        Self { settings, state: State::Closed { failures: 0 }, generation: 0, since: None }
    }

    /// Returns the state at `now`.
    #[must_use]
    pub fn state(&self, now: Instant) -> CircuitState {
        match self.state {
            State::Closed { .. } => CircuitState::Closed,
            State::Open { until } if until > now => CircuitState::Open,
            State::Open { .. } | State::HalfOpen { .. } => CircuitState::HalfOpen,
        }
    }

    /// Returns the time until a request can be admitted, or `None` if one can be admitted now.
    ///
    /// The time is zero while a trial is running, because its end is not known.
    #[must_use]
    pub fn wait_time(&self, now: Instant) -> Option<Duration> {
        match self.state {
            State::Open { until } if until > now => Some(until - now),
            State::HalfOpen { in_trial: true, .. } => Some(Duration::ZERO),
            _ => None,
        }
    }

    /// Returns the time since the last change of the state; `None` if the circuit has been closed from the start.
    #[must_use]
    pub fn age(&self, now: Instant) -> Option<Duration> {
        // An open circuit becomes half-open by itself when its time has passed.
        let since = match self.state {
            State::Open { until } if until <= now => Some(until),
            _ => self.since,
        };
        since.map(|since| now.saturating_duration_since(since))
    }

    /// Returns `true` if the circuit is open and its time has passed: the next admitted request makes it
    /// half-open.
    pub(super) fn is_open_time_over(&self, now: Instant) -> bool {
        matches!(self.state, State::Open { until } if until <= now)
    }

    /// Admits a request, or returns `None` if none can be admitted now.
    pub fn admit(&mut self, now: Instant) -> Option<Permit> {
        if self.wait_time(now).is_some() {
            return None;
        }
        if let State::Open { .. } = self.state {
            self.change(State::HalfOpen { successes: 0, in_trial: false }, now);
        }
        if let State::HalfOpen { in_trial, .. } = &mut self.state {
            *in_trial = true;
        }
        Some(Permit { generation: self.generation })
    }

    /// Takes back a permit with the verdict on its request. Returns `true` if the state has changed.
    pub fn report(&mut self, permit: Permit, verdict: Verdict, now: Instant) -> bool {
        if permit.generation != self.generation {
            return false;
        }
        match (&mut self.state, verdict) {
            (State::Closed { failures }, Verdict::Failure) => {
                *failures += 1;
                if *failures >= self.settings.failure_threshold.get() {
                    self.open(now);
                    return true;
                }
            }
            (State::HalfOpen { successes, in_trial }, Verdict::Responded) => {
                (*successes, *in_trial) = (*successes + 1, false);
                if *successes >= self.settings.half_open_probes.get() {
                    self.change(State::Closed { failures: 0 }, now);
                    return true;
                }
            }
            (State::HalfOpen { .. }, Verdict::Failure) => {
                self.open(now);
                return true;
            }
            (State::HalfOpen { in_trial, .. }, Verdict::Neutral) => *in_trial = false,
            (State::Closed { .. }, Verdict::Responded | Verdict::Neutral) | (State::Open { .. }, _) => {}
        }
        false
    }

    /// Records the end of an answer that had begun. Returns `true` if the state has changed.
    ///
    /// A complete answer resets the count of consecutive failures; a broken one is a failure.
    pub fn finish(&mut self, permit: Permit, is_complete: bool, now: Instant) -> bool {
        match &mut self.state {
            State::Closed { failures } if is_complete && permit.generation == self.generation => {
                *failures = 0;
                false
            }
            _ => !is_complete && self.report(permit, Verdict::Failure, now),
        }
    }

    /// Makes an open circuit half-open after a successful probe, before its time has passed. Returns `true`
    /// if the state has changed.
    pub fn probe_succeeded(&mut self, now: Instant) -> bool {
        let is_open = matches!(self.state, State::Open { until } if until > now);
        if is_open {
            self.change(State::HalfOpen { successes: 0, in_trial: false }, now);
        }
        is_open
    }

    /// Closes the circuit, whatever its state is. Returns `true` if it was not closed. The permits of requests under way have no
    /// effect on it.
    pub fn reset(&mut self, now: Instant) -> bool {
        let was_closed = matches!(self.state, State::Closed { .. });
        match was_closed {
            true => self.state = State::Closed { failures: 0 },
            false => self.change(State::Closed { failures: 0 }, now),
        }
        !was_closed
    }

    /// Takes over the state of `other`. A running trial of `other` is not a trial of this circuit.
    pub(crate) fn inherit_state(&mut self, other: &Self) {
        let state = match other.state {
            State::HalfOpen { successes, .. } => State::HalfOpen { successes, in_trial: false },
            state => state,
        };
        (self.state, self.since) = (state, other.since);
        self.generation += 1;
    }

    fn open(&mut self, now: Instant) {
        self.change(State::Open { until: now + self.settings.open_duration }, now);
    }

    fn change(&mut self, state: State, now: Instant) {
        (self.state, self.since) = (state, Some(now));
        self.generation += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const SECOND: Duration = Duration::from_secs(1);

    fn circuit(failure_threshold: u32, half_open_probes: u32) -> Circuit {
        Circuit::new(CircuitSettings {
            failure_threshold: NonZeroU32::new(failure_threshold).unwrap(),
            open_duration: 30 * SECOND,
            half_open_probes: NonZeroU32::new(half_open_probes).unwrap(),
        })
    }

    /// Admits a request and reports this verdict.
    fn run(circuit: &mut Circuit, verdict: Verdict, now: Instant) -> CircuitState {
        let permit = circuit.admit(now).unwrap();
        circuit.report(permit, verdict, now);
        circuit.state(now)
    }

    /// Admits a request that receives a complete answer.
    fn succeed(circuit: &mut Circuit, now: Instant) -> CircuitState {
        let permit = circuit.admit(now).unwrap();
        circuit.report(permit, Verdict::Responded, now);
        circuit.finish(permit, true, now);
        circuit.state(now)
    }

    #[test]
    fn a_reset_closes_the_circuit_and_earlier_permits_have_no_effect() {
        let start = clock::now();
        let mut circuit = circuit(2, 1);
        let early = circuit.admit(start).unwrap();
        for _ in 0..2 {
            run(&mut circuit, Verdict::Failure, start);
        }
        assert_eq!(circuit.state(start), CircuitState::Open);
        assert!(circuit.reset(start));
        assert_eq!(circuit.state(start), CircuitState::Closed);
        for _ in 0..2 {
            circuit.report(early, Verdict::Failure, start);
        }
        assert_eq!(circuit.state(start), CircuitState::Closed);
        assert!(!circuit.reset(start), "it is closed");
    }

    #[test]
    fn consecutive_failures_open_the_circuit_and_consecutive_trials_close_it() {
        use CircuitState::{Closed, HalfOpen, Open};
        let start = clock::now();
        let mut circuit = circuit(3, 2);
        for _ in 0..2 {
            assert_eq!(run(&mut circuit, Verdict::Failure, start), Closed);
        }
        assert_eq!(succeed(&mut circuit, start), Closed);
        for (verdict, expected) in [
            (Verdict::Failure, Closed),
            (Verdict::Neutral, Closed),
            (Verdict::Responded, Closed),
            (Verdict::Failure, Closed),
            (Verdict::Failure, Open),
        ] {
            assert_eq!(run(&mut circuit, verdict, start), expected);
        }
        assert_eq!(circuit.wait_time(start), Some(30 * SECOND));
        assert!(circuit.admit(start + 29 * SECOND).is_none());

        let later = start + 30 * SECOND;
        assert_eq!(run(&mut circuit, Verdict::Responded, later), HalfOpen);
        assert_eq!(run(&mut circuit, Verdict::Neutral, later), HalfOpen);
        assert_eq!(succeed(&mut circuit, later), Closed);
    }

    #[test]
    fn a_failed_trial_opens_the_circuit_again() {
        let start = clock::now();
        let mut circuit = circuit(1, 3);
        assert_eq!(run(&mut circuit, Verdict::Failure, start), CircuitState::Open);
        let later = start + 30 * SECOND;
        assert_eq!(succeed(&mut circuit, later), CircuitState::HalfOpen);
        assert_eq!(run(&mut circuit, Verdict::Failure, later), CircuitState::Open);
        assert_eq!(circuit.wait_time(later), Some(30 * SECOND));
    }

    #[test]
    fn one_trial_at_a_time_is_admitted() {
        let start = clock::now();
        let mut circuit = circuit(1, 3);
        run(&mut circuit, Verdict::Failure, start);
        let later = start + 30 * SECOND;
        let trial = circuit.admit(later).unwrap();
        assert!(circuit.admit(later).is_none());
        assert_eq!(circuit.wait_time(later), Some(Duration::ZERO));
        circuit.report(trial, Verdict::Neutral, later);
        assert!(circuit.admit(later).is_some());
    }

    #[test]
    fn a_permit_of_an_earlier_state_has_no_effect() {
        let start = clock::now();
        let mut circuit = circuit(1, 1);
        let (slow, failing) = (circuit.admit(start).unwrap(), circuit.admit(start).unwrap());
        circuit.report(failing, Verdict::Failure, start);
        circuit.report(slow, Verdict::Responded, start);
        circuit.finish(slow, true, start);
        assert_eq!(circuit.state(start), CircuitState::Open);
        let later = start + 30 * SECOND;
        let trial = circuit.admit(later).unwrap();
        circuit.report(slow, Verdict::Failure, later);
        assert_eq!(circuit.state(later), CircuitState::HalfOpen);
        circuit.report(trial, Verdict::Responded, later);
        assert_eq!(circuit.state(later), CircuitState::Closed);
    }

    #[test]
    fn answers_that_begin_and_break_off_open_the_circuit() {
        let start = clock::now();
        let mut circuit = circuit(2, 1);
        for expected in [CircuitState::Closed, CircuitState::Open] {
            let permit = circuit.admit(start).unwrap();
            circuit.report(permit, Verdict::Responded, start);
            circuit.finish(permit, false, start);
            assert_eq!(circuit.state(start), expected);
        }
    }

    #[test]
    fn a_probe_makes_the_circuit_half_open_and_does_not_close_it() {
        let start = clock::now();
        let mut circuit = circuit(1, 1);
        assert!(!circuit.probe_succeeded(start));
        run(&mut circuit, Verdict::Failure, start);
        assert!(circuit.probe_succeeded(start + SECOND));
        assert_eq!(circuit.state(start + SECOND), CircuitState::HalfOpen);
        assert_eq!(succeed(&mut circuit, start + SECOND), CircuitState::Closed);
    }

    #[test]
    fn any_sequence_of_events_leads_to_a_circuit_that_admits_again() {
        let mut random = fastrand::Rng::with_seed(11);
        let start = clock::now();
        let mut circuit = circuit(3, 2);
        let mut time = Duration::ZERO;
        let mut permits = Vec::new();
        for _ in 0..100_000 {
            time += Duration::from_millis(random.u64(0..2000));
            let now = start + time;
            let verdict = [Verdict::Responded, Verdict::Failure, Verdict::Neutral];
            match random.u8(0..4) {
                0 | 1 => permits.extend(circuit.admit(now)),
                2 if !permits.is_empty() => {
                    let permit = permits.swap_remove(random.usize(..permits.len()));
                    circuit.report(permit, verdict[random.usize(..3)], now);
                }
                3 if random.u8(0..20) == 0 => drop(circuit.probe_succeeded(now)),
                _ => {}
            }
            if permits.is_empty() {
                time += 30 * SECOND;
                permits.push(circuit.admit(start + time).unwrap());
            }
        }
    }
}
