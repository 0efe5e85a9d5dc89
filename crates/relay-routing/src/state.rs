//! The state of a provider and of its keys at one moment.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Serialize, Serializer};

use crate::candidate::{Candidate, ProviderPool};
use crate::clock;
use crate::health::{CircuitState, Form, ProviderHealth};
use crate::limits::{LimitLevel, Quota};

/// The largest number of average times to the first content.
const TIMES_MAX: usize = 64;

/// The state of a provider at one moment. It contains no secret. Times are relative to that moment, and are serialized as
/// whole milliseconds.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct PoolState {
    /// True if an operator has paused the provider: it gets no further requests.
    pub is_paused: bool,
    /// The state of the circuit.
    pub circuit: CircuitState,
    /// The time since the circuit changed its state; `None` if it has been closed from the start.
    #[serde(rename = "circuit_since_ms", serialize_with = "millis")]
    pub circuit_since: Option<Duration>,
    /// The time until an open circuit admits a request; `None` if it admits one now.
    #[serde(rename = "circuit_wait_ms", serialize_with = "millis")]
    pub circuit_wait: Option<Duration>,
    /// The reason for which the circuit opened last; `None` if it is closed or never opened.
    pub open_reason: Option<String>,
    /// The number of running requests. A request runs until its answer has ended.
    pub in_flight: u32,
    /// The reason that no request can succeed at the provider now; `None` if some candidate may serve one.
    pub unusable: Option<String>,
    /// The failure of the last attempt; `None` if it did not fail, or there was none.
    pub last_failure: Option<String>,
    /// The models that rest at this provider; at most 64.
    pub resting_models: Vec<RestingModel>,
    /// The average times to the first content of an answer, if the strategy compares them; at most 64.
    pub content_times: Vec<ModelTime>,
    /// The credentials, in the order in which they are tried.
    pub keys: Vec<KeyState>,
}

/// The average time to the first content of a model's answers, in which recent answers have more influence.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ModelTime {
    /// The client's name of the model.
    pub model: String,
    /// True for streams. The content of a message in one piece arrives with its end.
    pub is_stream: bool,
    /// The average. A failed attempt counts as at least 30 s.
    #[serde(rename = "average_ms", serialize_with = "millis_of")]
    pub average: Duration,
}

/// A model that is not requested at a provider for a time, while its other models are.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct RestingModel {
    /// The client's name of the model.
    pub model: String,
    /// The reason, as a clause.
    pub reason: String,
    /// The time until the expected end.
    #[serde(rename = "remaining_ms", serialize_with = "millis_of")]
    pub remaining: Duration,
}

/// The state of one credential of a provider.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct KeyState {
    /// The configured name of a key, or its short id if it has none; `client` for the client's own credential, or `none` if the provider needs none.
    pub credential: String,
    /// True if the upstream has recently rejected the credential or its account.
    pub is_rejected: bool,
    /// True if an operator drains the credential: it gets no further requests.
    pub is_drained: bool,
    /// The remaining cooldown after a limit; `None` if none is running.
    #[serde(rename = "cooldown_ms", serialize_with = "millis")]
    pub cooldown: Option<Duration>,
    /// The limits that are known, configured or learned from responses.
    pub limits: Vec<LimitLevel>,
}

impl ProviderPool {
    /// Returns the state of the provider now.
    #[must_use]
    pub fn state(&self) -> PoolState {
        let now = clock::now();
        let health = self.health();
        let circuit = health.state(now);
        let open_reason =
            Some(health.open_reason()).filter(|text| circuit != CircuitState::Closed && !text.is_empty());
        let rests = health.rests();
        let resting_models = rests.all(now).map(|(model, reason, remaining)| RestingModel {
            model: model.to_string(),
            reason: reason.to_string(),
            remaining,
        });
        let resting_models = resting_models.collect();
        drop(rests);
        PoolState {
            is_paused: health.is_paused(),
            circuit,
            circuit_since: health.circuit_age(now),
            circuit_wait: health.wait_time(now),
            open_reason,
            in_flight: self.in_flight(),
            unusable: self.obstacle(),
            last_failure: self.last_failure(),
            resting_models,
            content_times: content_times(health),
            keys: self.candidates().iter().map(|candidate| KeyState::of(candidate, now)).collect(),
        }
    }
}

fn content_times(health: &ProviderHealth) -> Vec<ModelTime> {
    let times = health.content_times(TIMES_MAX).into_iter();
    let time = |(model, form, average): (Arc<str>, Form, Duration)| ModelTime {
        model: model.to_string(),
        is_stream: form == Form::Stream,
        average,
    };
    times.map(time).collect()
}

impl KeyState {
    fn of(candidate: &Candidate, now: Instant) -> Self {
        let health = candidate.health();
        let quota = health.quota();
        Self {
            credential: candidate.credential().to_string(),
            is_rejected: health.is_rejected(now),
            is_drained: health.is_drained(),
            cooldown: quota.and_then(|quota| quota.cooldown(now)),
            limits: quota.map(|quota: &Quota| quota.levels(now)).unwrap_or_default(),
        }
    }
}

fn millis_of<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

fn millis<S: Serializer>(time: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => millis_of(time, to),
        None => to.serialize_none(),
    }
}
