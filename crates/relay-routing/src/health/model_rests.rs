//! Models that rest at one provider, while its other models are used.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The duration of an overload or of a failure, if the upstream reports none.
const SHORT: Duration = Duration::from_secs(5);
/// The duration for which a model that the provider does not serve is tried last. It may be pulled, deployed or paid for at
/// any time.
const UNAVAILABLE: Duration = Duration::from_secs(60);
/// The longest overload or failure. Longer times that an upstream reports are cut to it.
const LONGEST: Duration = Duration::from_secs(60);
/// The longest limit.
const LONGEST_LIMIT: Duration = Duration::from_secs(31 * 24 * 3600);
/// The time after a limit was reported at which a request is admitted as a trial, because limits may be raised.
const TRIAL_AFTER: Duration = Duration::from_secs(60);

/// The number of resting models remembered. Model names come from clients, so that further ones are not
/// remembered.
const MODELS: usize = 64;

/// The reason for which a model rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RestReason {
    /// The provider has no capacity for it.
    Overloaded,
    /// The provider failed to run it.
    Failed,
    /// The provider does not serve it: not at all, not to this account, or not on this machine.
    Unavailable,
    /// Its limit at this provider is used up.
    Limited,
}

impl RestReason {
    /// Returns the time for which a model rests, given the time that the upstream reports.
    fn duration(self, reported: Option<Duration>) -> Duration {
        match self {
            Self::Overloaded | Self::Failed => reported.unwrap_or(SHORT).min(LONGEST),
            Self::Unavailable => UNAVAILABLE,
            Self::Limited => reported.unwrap_or(SHORT).min(LONGEST_LIMIT),
        }
    }
}

impl fmt::Display for RestReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Overloaded => "the provider is overloaded with this model",
            Self::Failed => "the provider has failed to run this model",
            Self::Unavailable => "the provider does not serve this model",
            Self::Limited => "the provider's limit for this model is used up",
        })
    }
}

/// The models that currently rest.
#[derive(Debug, Clone, Default)]
pub(crate) struct ModelRests(Vec<Rest>);

#[derive(Debug, Clone)]
struct Rest {
    model: Arc<str>,
    reason: RestReason,
    since: Instant,
    /// The expected end.
    until: Instant,
}

impl ModelRests {
    /// Records that `model` rests for the time that the upstream reports.
    pub(crate) fn add(
        &mut self,
        model: &Arc<str>,
        reason: RestReason,
        reported: Option<Duration>,
        now: Instant,
    ) {
        let until = now + reason.duration(reported);
        self.0.retain(|other| other.until > now && other.model != *model);
        if self.0.len() < MODELS {
            self.0.push(Rest { model: Arc::clone(model), reason, since: now, until });
        }
    }

    /// Ends the rest of every model. Returns `true` if some model rested.
    pub(crate) fn clear(&mut self, now: Instant) -> bool {
        let rested = self.all(now).next().is_some();
        self.0.clear();
        rested
    }

    /// Records the success of a request that was sent at `sent_at`. It ends a rest of `model` that began before.
    pub(crate) fn record_success(&mut self, model: &str, sent_at: Instant) {
        self.0.retain(|rest| *rest.model != *model || rest.since > sent_at);
    }

    /// Returns every model that rests, with the reason and the time until the expected end.
    pub(crate) fn all(&self, now: Instant) -> impl Iterator<Item = (&Arc<str>, RestReason, Duration)> {
        let running = self.0.iter().filter(move |rest| rest.until > now);
        running.map(move |rest| (&rest.model, rest.reason, rest.until - now))
    }

    /// Returns the reason for which `model` rests, and the time until the expected end; `None` if it does not rest.
    pub(crate) fn get(&self, model: &str, now: Instant) -> Option<(RestReason, Duration)> {
        let rest = self.0.iter().find(|rest| *rest.model == *model && rest.until > now)?;
        let is_trial_due = rest.reason == RestReason::Limited && now >= rest.since + TRIAL_AFTER;
        (!is_trial_due).then(|| (rest.reason, rest.until - now))
    }
}

#[cfg(test)]
mod tests {
    use super::RestReason::{Limited, Overloaded, Unavailable};
    use super::*;
    use crate::clock;

    fn rests(rests: &ModelRests, model: &str, now: Instant) -> Option<RestReason> {
        rests.get(model, now).map(|(reason, _)| reason)
    }

    #[test]
    fn a_rest_concerns_one_model_and_ends() {
        let start = clock::now();
        let seconds = |seconds| start + Duration::from_secs(seconds);
        let (opus, haiku): (Arc<str>, Arc<str>) = ("opus".into(), "haiku".into());
        let mut models = ModelRests::default();
        models.add(&opus, Overloaded, None, start);
        models.add(&haiku, Overloaded, Some(Duration::from_secs(3600)), start);
        assert_eq!(rests(&models, "opus", seconds(4)), Some(Overloaded));
        assert_eq!(rests(&models, "opus", seconds(5)), None);
        assert_eq!(rests(&models, "haiku", seconds(59)), Some(Overloaded));
        assert_eq!(rests(&models, "haiku", seconds(60)), None);
        assert_eq!(rests(&models, "sonnet", start), None);
        models.record_success("haiku", start);
        assert_eq!(rests(&models, "haiku", start), None);

        models.add(&opus, Unavailable, None, seconds(10));
        models.record_success("opus", seconds(9));
        let late = rests(&models, "opus", seconds(69));
        assert_eq!(late, Some(Unavailable), "the successful request was sent before the refusal");
    }

    #[test]
    fn a_long_limit_admits_a_trial_after_a_minute() {
        let start = clock::now();
        let seconds = |seconds| start + Duration::from_secs(seconds);
        let mut models = ModelRests::default();
        models.add(&"m".into(), Limited, Some(Duration::from_secs(3600)), start);
        assert_eq!(models.get("m", seconds(59)), Some((Limited, Duration::from_secs(3541))));
        assert_eq!(models.get("m", seconds(60)), None);
    }

    #[test]
    fn the_number_of_resting_models_is_bounded() {
        let start = clock::now();
        let mut models = ModelRests::default();
        for index in 0..1000 {
            models.add(&index.to_string().into(), Overloaded, None, start);
        }
        assert_eq!(models.0.len(), MODELS);
        models.add(&"late".into(), Overloaded, None, start + SHORT);
        assert_eq!(models.0.len(), 1);
    }
}
