//! Models that have no capacity left at one provider, for now.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

/// How long a model is put behind where the upstream does not say, and at most.
const DEFAULT: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(60);

/// Names of models come from clients; an overload of one more is forgotten.
const MODELS: usize = 64;

/// The models that were overloaded a moment ago.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overloads(Vec<Overload>);

#[derive(Debug, Clone)]
struct Overload {
    model: Arc<str>,
    since: Instant,
    /// When it is thought to be over.
    until: Instant,
}

impl Overloads {
    /// Takes note that `model` is overloaded, for as long as the upstream says.
    pub(crate) fn add(&mut self, model: &Arc<str>, retry_after: Option<Duration>, now: Instant) {
        let until = now + retry_after.unwrap_or(DEFAULT).min(LONGEST);
        self.0.retain(|other| other.until > now && other.model != *model);
        if self.0.len() < MODELS {
            self.0.push(Overload { model: Arc::clone(model), since: now, until });
        }
    }

    /// A request that was sent at `asked` has been answered: `model` has capacity again, if it had none before that.
    pub(crate) fn served(&mut self, model: &str, asked: Instant) {
        self.0.retain(|overload| *overload.model != *model || overload.since > asked);
    }

    /// Whether `model` is thought to be overloaded.
    pub(crate) fn has(&self, model: &str, now: Instant) -> bool {
        self.0.iter().any(|overload| *overload.model == *model && overload.until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overload_is_of_one_model_and_passes() {
        let start = Instant::now();
        let seconds = |seconds| start + Duration::from_secs(seconds);
        let (opus, haiku): (Arc<str>, Arc<str>) = ("opus".into(), "haiku".into());
        let mut overloads = Overloads::default();
        overloads.add(&opus, None, start);
        overloads.add(&haiku, Some(Duration::from_secs(3600)), start);
        assert!(overloads.has("opus", seconds(4)) && !overloads.has("opus", seconds(5)));
        assert!(overloads.has("haiku", seconds(59)) && !overloads.has("haiku", seconds(60)));
        assert!(!overloads.has("sonnet", start));
        overloads.served("haiku", start);
        assert!(!overloads.has("haiku", start));

        overloads.add(&opus, None, seconds(10));
        overloads.served("opus", seconds(9));
        assert!(overloads.has("opus", seconds(10)), "the success was older than the overload");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
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
