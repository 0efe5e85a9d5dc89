//! Models that are temporarily overloaded at one provider.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

/// The duration of an overload, if the upstream reports none.
const DEFAULT: Duration = Duration::from_secs(5);
/// The longest duration of an overload. Longer times that an upstream reports are cut to it.
const LONGEST: Duration = Duration::from_secs(60);

/// The number of overloaded models remembered. Model names come from clients, so that further ones are not
/// remembered.
const MODELS: usize = 64;

/// The models that are currently overloaded.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overloads(Vec<Overload>);

#[derive(Debug, Clone)]
struct Overload {
    model: Arc<str>,
    since: Instant,
    /// The expected end.
    until: Instant,
}

impl Overloads {
    /// Records that `model` is overloaded for the time that the upstream reports.
    pub(crate) fn add(&mut self, model: &Arc<str>, retry_after: Option<Duration>, now: Instant) {
        let until = now + retry_after.unwrap_or(DEFAULT).min(LONGEST);
        self.0.retain(|other| other.until > now && other.model != *model);
        if self.0.len() < MODELS {
            self.0.push(Overload { model: Arc::clone(model), since: now, until });
        }
    }

    /// Records the success of a request that was sent at `sent_at`. It ends an overload of `model` that began
    /// before.
    pub(crate) fn record_success(&mut self, model: &str, sent_at: Instant) {
        self.0.retain(|overload| *overload.model != *model || overload.since > sent_at);
    }

    /// Returns `true` if `model` is expected to be overloaded.
    pub(crate) fn contains(&self, model: &str, now: Instant) -> bool {
        self.0.iter().any(|overload| *overload.model == *model && overload.until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overload_concerns_one_model_and_ends() {
        let start = Instant::now();
        let seconds = |seconds| start + Duration::from_secs(seconds);
        let (opus, haiku): (Arc<str>, Arc<str>) = ("opus".into(), "haiku".into());
        let mut overloads = Overloads::default();
        overloads.add(&opus, None, start);
        overloads.add(&haiku, Some(Duration::from_secs(3600)), start);
        assert!(overloads.contains("opus", seconds(4)) && !overloads.contains("opus", seconds(5)));
        assert!(overloads.contains("haiku", seconds(59)) && !overloads.contains("haiku", seconds(60)));
        assert!(!overloads.contains("sonnet", start));
        overloads.record_success("haiku", start);
        assert!(!overloads.contains("haiku", start));

        overloads.add(&opus, None, seconds(10));
        overloads.record_success("opus", seconds(9));
        assert!(
            overloads.contains("opus", seconds(10)),
            "the successful request was sent before the overload"
        );
    }

    #[test]
    fn the_number_of_overloaded_models_is_bounded() {
        let start = Instant::now();
        let mut overloads = Overloads::default();
        for index in 0..1000 {
            overloads.add(&index.to_string().into(), None, start);
        }
        assert_eq!(overloads.0.len(), MODELS);
        overloads.add(&"late".into(), None, start + DEFAULT);
        assert_eq!(overloads.0.len(), 1);
    }
}
