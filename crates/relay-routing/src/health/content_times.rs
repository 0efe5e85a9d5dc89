//! The times from a request to the first content of its answer, for each model of a provider.

use std::sync::Arc;
use std::time::{Duration, Instant};

use relay_messages::TwoGenerations;

/// The time constant of the averages: of two answers a minute apart, the earlier one has 37 % of the influence.
const TIME_CONSTANT: Duration = Duration::from_secs(60);
/// The smallest weight of a new answer. Without it, many answers in one second would not move an average.
const WEIGHT_MIN: f64 = 0.1;
/// The shortest time that a failed attempt counts as: a refused connection is no fast answer.
const FAILED: Duration = Duration::from_secs(30);
/// The time after which a provider that has served no request is measured again.
const STALE: Duration = Duration::from_secs(300);
/// The longest time until a provider is measured again. The time doubles with each failure in a row.
const STALE_MAX: Duration = Duration::from_secs(3600);
/// The time after which a provider is tried again if its first attempt has shown no time.
const UNKNOWN: Duration = Duration::from_secs(30);

/// Half the largest number of models remembered. Model names come from clients.
const MODELS: usize = 128;
/// The shortest time for which an unused model is remembered.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// The form of an answer. The content of a message in one piece arrives with its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Stream,
    Whole,
}

impl Form {
    /// Returns the form of the answer to a request that requires a stream or does not.
    pub(crate) fn of(is_stream: bool) -> Self {
        if is_stream { Self::Stream } else { Self::Whole }
    }
}

/// The end of the wait for content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitEnd {
    /// The first content has arrived.
    Content,
    /// The attempt has failed.
    Failed,
    /// Nothing is known: the client has left, or the upstream has refused the request.
    Unknown,
}

/// The average time to the first content, at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ContentTime {
    /// `None` before the first answer.
    pub(crate) average: Option<Duration>,
    /// True if the provider should be measured (again).
    pub(crate) is_due: bool,
}

/// The averages of a provider. Bounded; models that are not requested are dropped.
#[derive(Debug, Clone)]
pub(super) struct ContentTimes(TwoGenerations<Arc<str>, [Times; 2]>);

/// The averages of one model and form.
#[derive(Debug, Clone, Copy, Default)]
struct Times {
    average: Option<Average>,
    /// The start of the last attempt.
    tried_at: Option<Instant>,
    /// The attempts that have failed since the last content.
    failures: u32,
}

/// A moving average whose older values lose influence with time.
#[derive(Debug, Clone, Copy)]
struct Average {
    seconds: f64,
    at: Instant,
}

impl Default for ContentTimes {
    fn default() -> Self {
        Self(TwoGenerations::new(MODELS, REMEMBERED))
    }
}

impl ContentTimes {
    /// Returns the average of a model.
    pub(super) fn get(&mut self, model: &Arc<str>, form: Form, now: Instant) -> ContentTime {
        let times = self.0.get(model, now).map(|forms| forms[form as usize]).unwrap_or_default();
        ContentTime {
            average: times.average.map(|average| Duration::from_secs_f64(average.seconds)),
            is_due: times.is_due(now),
        }
    }

    /// Returns the average of each model and form that has one, in no order.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Arc<str>, Form, Duration)> {
        self.0.iter().flat_map(|(model, forms)| {
            [Form::Stream, Form::Whole].into_iter().filter_map(move |form| {
                let average = forms[form as usize].average?;
                Some((model, form, Duration::from_secs_f64(average.seconds)))
            })
        })
    }

    /// Records the start of an attempt.
    pub(super) fn begin(&mut self, model: &Arc<str>, form: Form, now: Instant) {
        self.times(model, form, now).tried_at = Some(now);
    }

    /// Records the end of the wait for content, `waited` after the start.
    pub(super) fn end(&mut self, model: &Arc<str>, form: Form, end: WaitEnd, waited: Duration, now: Instant) {
        let times = self.times(model, form, now);
        match end {
            WaitEnd::Content => {
                times.failures = 0;
                times.add(waited, now);
            }
            WaitEnd::Failed => {
                times.failures = times.failures.saturating_add(1);
                times.add(waited.max(FAILED), now);
            }
            // The content would have arrived later. A wait that is longer than the average is evidence all the same.
            WaitEnd::Unknown => {
                if times.average.is_some_and(|average| waited.as_secs_f64() > average.seconds) {
                    times.add(waited, now);
                }
            }
        }
    }

    fn times(&mut self, model: &Arc<str>, form: Form, now: Instant) -> &mut Times {
        &mut self.0.get_or_default(Arc::clone(model), now)[form as usize]
    }
}

impl Times {
    fn is_due(&self, now: Instant) -> bool {
        let doublings = self.failures.saturating_sub(1).min(8);
        let wait = match self.average {
            Some(_) => (STALE * 2_u32.pow(doublings)).min(STALE_MAX),
            None => UNKNOWN,
        };
        self.tried_at.is_none_or(|at| now.saturating_duration_since(at) >= wait)
    }

    fn add(&mut self, time: Duration, now: Instant) {
        let seconds = time.as_secs_f64();
        self.average = Some(match self.average {
            None => Average { seconds, at: now },
            Some(Average { seconds: before, at }) => {
                let age = now.saturating_duration_since(at).as_secs_f64();
                let weight = (1.0 - (-age / TIME_CONSTANT.as_secs_f64()).exp()).max(WEIGHT_MIN);
                Average { seconds: before + (seconds - before) * weight, at: now }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const SECOND: Duration = Duration::from_secs(1);

    /// The averages of one provider, and a clock.
    struct Trial {
        times: ContentTimes,
        model: Arc<str>,
        now: Instant,
    }

    impl Trial {
        fn new() -> Self {
            Self { times: ContentTimes::default(), model: "m".into(), now: clock::now() }
        }

        fn end(&mut self, end: WaitEnd, waited: Duration) {
            self.times.begin(&self.model, Form::Stream, self.now);
            self.now += waited;
            self.times.end(&self.model, Form::Stream, end, waited, self.now);
        }

        fn get(&mut self) -> ContentTime {
            self.times.get(&self.model, Form::Stream, self.now)
        }

        /// The average in milliseconds.
        fn millis(&mut self) -> Option<u128> {
            self.get().average.map(|average| average.as_millis())
        }
    }

    #[test]
    fn recent_answers_have_more_influence_than_old_ones() {
        let mut trial = Trial::new();
        assert_eq!(trial.millis(), None);
        trial.end(WaitEnd::Content, SECOND);
        assert_eq!(trial.millis(), Some(1000));
        // Together 10 %: the answers come close to each other.
        trial.end(WaitEnd::Content, Duration::from_millis(2000));
        assert_eq!(trial.millis(), Some(1100));
        trial.now += 10 * TIME_CONSTANT;
        trial.end(WaitEnd::Content, 5 * SECOND);
        assert_eq!(trial.millis(), Some(4999));
    }

    #[test]
    fn a_failure_counts_as_slow_however_fast_it_is() {
        let mut trial = Trial::new();
        trial.end(WaitEnd::Content, SECOND);
        trial.end(WaitEnd::Failed, Duration::from_millis(1));
        assert_eq!(trial.millis(), Some(3900));
        trial.now += 10 * TIME_CONSTANT;
        trial.end(WaitEnd::Failed, 90 * SECOND);
        assert_eq!(trial.millis(), Some(89_999));
    }

    #[test]
    fn a_wait_without_an_end_counts_only_if_it_is_longer_than_the_average() {
        let mut trial = Trial::new();
        trial.end(WaitEnd::Unknown, 9 * SECOND);
        assert_eq!(trial.millis(), None);
        trial.end(WaitEnd::Content, 2 * SECOND);
        trial.end(WaitEnd::Unknown, SECOND);
        assert_eq!(trial.millis(), Some(2000));
        trial.end(WaitEnd::Unknown, 4 * SECOND);
        assert_eq!(trial.millis(), Some(2200));
    }

    #[test]
    fn a_provider_is_measured_again_after_a_time_that_grows_with_its_failures() {
        let mut trial = Trial::new();
        assert!(trial.get().is_due);
        trial.times.begin(&trial.model, Form::Stream, trial.now);
        assert!(!trial.get().is_due, "one request at a time measures");
        trial.now += UNKNOWN;
        assert!(trial.get().is_due);
        #[track_caller]
        fn check(trial: &mut Trial, wait: Duration) {
            trial.now += wait - SECOND;
            assert!(!trial.get().is_due);
            trial.now += SECOND;
            assert!(trial.get().is_due);
        }
        trial.end(WaitEnd::Content, Duration::ZERO);
        check(&mut trial, STALE);
        for wait in [STALE, 2 * STALE, 4 * STALE, 8 * STALE, STALE_MAX, STALE_MAX] {
            trial.end(WaitEnd::Failed, Duration::ZERO);
            check(&mut trial, wait);
        }
        trial.end(WaitEnd::Content, Duration::ZERO);
        check(&mut trial, STALE);
    }

    #[test]
    fn forms_and_models_have_their_own_times_and_models_are_bounded() {
        let mut trial = Trial::new();
        trial.end(WaitEnd::Content, SECOND);
        assert_eq!(trial.times.get(&trial.model, Form::Whole, trial.now).average, None);
        assert_eq!(trial.times.get(&"other".into(), Form::Stream, trial.now).average, None);
        for index in 0..10 * MODELS {
            trial.times.begin(&format!("m{index}").into(), Form::Stream, trial.now);
        }
        assert!(trial.times.0.len() <= 2 * MODELS);
    }
}
