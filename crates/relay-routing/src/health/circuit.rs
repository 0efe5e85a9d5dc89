//! A circuit breaker as a state machine, without a clock or a lock of its own.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

/// When a circuit opens and closes.
#[derive(Debug, Clone, Copy)]
pub struct CircuitSettings {
    /// So many failures in a row open it.
    pub failure_threshold: NonZeroU32,
    /// How long nothing is admitted then.
    pub open_duration: Duration,
    /// So many trials in a row have to succeed until it is closed again.
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

/// Whether an upstream is asked at all.
///
/// ```text
///          failures in a row            time is over, or a probe got through
/// closed ───────────────────▶ open ─────────────────────────────────▶ half-open
///    ▲                          ▲                a trial failed           │ │
///    │                          └─────────────────────────────────────────┘ │
///    └──────────────────────────────────── trials in a row succeeded ───────┘
/// ```
/// Half-open, one trial at a time is admitted.
#[derive(Debug, Clone)]
pub struct Circuit {
    settings: CircuitSettings,
    state: State,
    /// Counts the changes of state: what was admitted before one says nothing about what came after it.
    generation: u64,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant },
    HalfOpen { successes: u32, in_trial: bool },
}

/// The state of a circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CircuitState {
    /// Everything is admitted.
    Closed,
    /// Nothing is admitted.
    Open,
    /// One trial at a time is admitted.
    HalfOpen,
}

impl CircuitState {
    /// Its name, for logs and headers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// Lets one request in; to be given back with a [`Verdict`].
#[derive(Debug, Clone, Copy)]
#[must_use = "a trial that is never given back blocks all further ones"]
pub struct Permit {
    generation: u64,
}

/// What a request that was let in shows of the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It has begun to answer, which is good enough for a trial. Failures before it are forgotten at its
    /// [end](Circuit::end).
    Begun,
    /// It does not work.
    Failure,
    /// Nothing: the client left, or a limit was met.
    Nothing,
}

impl Circuit {
    /// A closed circuit.
    #[must_use]
    pub fn new(settings: CircuitSettings) -> Self {
        Self { settings, state: State::Closed { failures: 0 }, generation: 0 }
    }

    /// Its state at `now`.
    #[must_use]
    pub fn state(&self, now: Instant) -> CircuitState {
        match self.state {
            State::Closed { .. } => CircuitState::Closed,
            State::Open { until } if until > now => CircuitState::Open,
            State::Open { .. } | State::HalfOpen { .. } => CircuitState::HalfOpen,
        }
    }

    /// When a request can be admitted; `None` is now. A trial under way is over at some time that nobody knows, for
    /// which zero stands.
    #[must_use]
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        match self.state {
            State::Open { until } if until > now => Some(until - now),
            State::HalfOpen { in_trial: true, .. } => Some(Duration::ZERO),
            _ => None,
        }
    }

    /// Whether it is open, and its time is over: the next request that is let in makes it half-open.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        matches!(self.state, State::Open { until } if until <= now)
    }

    /// Lets a request in, if one can be now.
    pub fn admit(&mut self, now: Instant) -> Option<Permit> {
        if self.wait(now).is_some() {
            return None;
        }
        if let State::Open { .. } = self.state {
            self.change(State::HalfOpen { successes: 0, in_trial: false });
        }
        if let State::HalfOpen { in_trial, .. } = &mut self.state {
            *in_trial = true;
        }
        Some(Permit { generation: self.generation })
    }

    /// Takes a pass back. `true` if that has changed the state.
    pub fn give_back(&mut self, permit: Permit, verdict: Verdict, now: Instant) -> bool {
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
            (State::HalfOpen { successes, in_trial }, Verdict::Begun) => {
                (*successes, *in_trial) = (*successes + 1, false);
                if *successes >= self.settings.half_open_probes.get() {
                    self.change(State::Closed { failures: 0 });
                    return true;
                }
            }
            (State::HalfOpen { .. }, Verdict::Failure) => {
                self.open(now);
                return true;
            }
            (State::HalfOpen { in_trial, .. }, Verdict::Nothing) => *in_trial = false,
            (State::Closed { .. }, Verdict::Begun | Verdict::Nothing) | (State::Open { .. }, _) => {}
        }
        false
    }

    /// An answer that had begun has come to its end, well or not. `true` if that has changed the state.
    pub fn end(&mut self, permit: Permit, is_whole: bool, now: Instant) -> bool {
        match &mut self.state {
            State::Closed { failures } if is_whole && permit.generation == self.generation => {
                *failures = 0;
                false
            }
            _ => !is_whole && self.give_back(permit, Verdict::Failure, now),
        }
    }

    /// A probe has reached the upstream: the next request may try it, whatever time is left. `true` if it could not
    /// before.
    pub fn probed(&mut self, now: Instant) -> bool {
        let is_open = matches!(self.state, State::Open { until } if until > now);
        if is_open {
            self.change(State::HalfOpen { successes: 0, in_trial: false });
        }
        is_open
    }

    /// Goes on from the state of `other`. A trial under way there is none here.
    pub(crate) fn inherit_state(&mut self, other: &Self) {
        let state = match other.state {
            State::HalfOpen { successes, .. } => State::HalfOpen { successes, in_trial: false },
            state => state,
        };
        self.change(state);
    }

    fn open(&mut self, now: Instant) {
        self.change(State::Open { until: now + self.settings.open_duration });
    }

    fn change(&mut self, state: State) {
        self.state = state;
        self.generation += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn circuit(failure_threshold: u32, half_open_probes: u32) -> Circuit {
        Circuit::new(CircuitSettings {
            failure_threshold: NonZeroU32::new(failure_threshold).unwrap(),
            open_duration: 30 * SECOND,
            half_open_probes: NonZeroU32::new(half_open_probes).unwrap(),
        })
    }

    /// Lets a request in and gives it this verdict.
    fn run(circuit: &mut Circuit, verdict: Verdict, now: Instant) -> CircuitState {
        let permit = circuit.admit(now).unwrap();
        circuit.give_back(permit, verdict, now);
        circuit.state(now)
    }

    /// Lets a request in that is answered in full.
    fn succeed(circuit: &mut Circuit, now: Instant) -> CircuitState {
        let permit = circuit.admit(now).unwrap();
        circuit.give_back(permit, Verdict::Begun, now);
        circuit.end(permit, true, now);
        circuit.state(now)
    }

    #[test]
    fn failures_in_a_row_open_it_and_trials_in_a_row_close_it() {
        use CircuitState::{Closed, HalfOpen, Open};
        let start = Instant::now();
        let mut circuit = circuit(3, 2);
        for _ in 0..2 {
            assert_eq!(run(&mut circuit, Verdict::Failure, start), Closed);
        }
        assert_eq!(succeed(&mut circuit, start), Closed);
        for (verdict, expected) in [
            (Verdict::Failure, Closed),
            (Verdict::Nothing, Closed),
            (Verdict::Begun, Closed),
            (Verdict::Failure, Closed),
            (Verdict::Failure, Open),
        ] {
            assert_eq!(run(&mut circuit, verdict, start), expected);
        }
        assert_eq!(circuit.wait(start), Some(30 * SECOND));
        assert!(circuit.admit(start + 29 * SECOND).is_none());

        let later = start + 30 * SECOND;
        assert_eq!(run(&mut circuit, Verdict::Begun, later), HalfOpen);
        assert_eq!(run(&mut circuit, Verdict::Nothing, later), HalfOpen);
        assert_eq!(succeed(&mut circuit, later), Closed);
    }

    #[test]
    fn a_failed_trial_opens_it_again() {
        let start = Instant::now();
        let mut circuit = circuit(1, 3);
        assert_eq!(run(&mut circuit, Verdict::Failure, start), CircuitState::Open);
        let later = start + 30 * SECOND;
        assert_eq!(succeed(&mut circuit, later), CircuitState::HalfOpen);
        assert_eq!(run(&mut circuit, Verdict::Failure, later), CircuitState::Open);
        assert_eq!(circuit.wait(later), Some(30 * SECOND));
    }

    #[test]
    fn one_trial_at_a_time_is_admitted() {
        let start = Instant::now();
        let mut circuit = circuit(1, 3);
        run(&mut circuit, Verdict::Failure, start);
        let later = start + 30 * SECOND;
        let trial = circuit.admit(later).unwrap();
        assert!(circuit.admit(later).is_none());
        assert_eq!(circuit.wait(later), Some(Duration::ZERO));
        circuit.give_back(trial, Verdict::Nothing, later);
        assert!(circuit.admit(later).is_some());
    }

    #[test]
    fn what_was_admitted_before_a_change_says_nothing_after_it() {
        let start = Instant::now();
        let mut circuit = circuit(1, 1);
        let (slow, failing) = (circuit.admit(start).unwrap(), circuit.admit(start).unwrap());
        circuit.give_back(failing, Verdict::Failure, start);
        circuit.give_back(slow, Verdict::Begun, start);
        circuit.end(slow, true, start);
        assert_eq!(circuit.state(start), CircuitState::Open);
        let later = start + 30 * SECOND;
        let trial = circuit.admit(later).unwrap();
        circuit.give_back(slow, Verdict::Failure, later);
        assert_eq!(circuit.state(later), CircuitState::HalfOpen);
        circuit.give_back(trial, Verdict::Begun, later);
        assert_eq!(circuit.state(later), CircuitState::Closed);
    }

    #[test]
    fn answers_that_begin_well_and_break_off_open_it_too() {
        let start = Instant::now();
        let mut circuit = circuit(2, 1);
        for expected in [CircuitState::Closed, CircuitState::Open] {
            let permit = circuit.admit(start).unwrap();
            circuit.give_back(permit, Verdict::Begun, start);
            circuit.end(permit, false, start);
            assert_eq!(circuit.state(start), expected);
        }
    }

    #[test]
    fn a_probe_shortens_the_wait_and_closes_nothing() {
        let start = Instant::now();
        let mut circuit = circuit(1, 1);
        assert!(!circuit.probed(start));
        run(&mut circuit, Verdict::Failure, start);
        assert!(circuit.probed(start + SECOND));
        assert_eq!(circuit.state(start + SECOND), CircuitState::HalfOpen);
        assert_eq!(succeed(&mut circuit, start + SECOND), CircuitState::Closed);
    }

    #[test]
    fn whatever_happens_it_admits_again_in_time() {
        let mut random = fastrand::Rng::with_seed(11);
        let start = Instant::now();
        let mut circuit = circuit(3, 2);
        let mut time = Duration::ZERO;
        let mut permits = Vec::new();
        for _ in 0..100_000 {
            time += Duration::from_millis(random.u64(0..2000));
            let now = start + time;
            let verdict = [Verdict::Begun, Verdict::Failure, Verdict::Nothing];
            match random.u8(0..4) {
                0 | 1 => permits.extend(circuit.admit(now)),
                2 if !permits.is_empty() => {
                    let permit = permits.swap_remove(random.usize(..permits.len()));
                    circuit.give_back(permit, verdict[random.usize(..3)], now);
                }
                3 if random.u8(0..20) == 0 => drop(circuit.probed(now)),
                _ => {}
            }
            if permits.is_empty() {
                time += 30 * SECOND;
                permits.push(circuit.admit(start + time).unwrap());
            }
        }
    }
}
