//! Models that have no capacity left at one provider, for now.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

/// How long a model is put behind where the upstream does not say, and at most.
const DEFAULT: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(60);

/// Names of models come from clients; an overload of one more is forgotten.
const MODELS: usize = 64;

/// For each model when its overload is thought to be over.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overloads(Vec<(Arc<str>, Instant)>);

impl Overloads {
    /// Takes note that `model` is overloaded, for as long as the upstream says.
    pub(crate) fn add(&mut self, model: &Arc<str>, retry_after: Option<Duration>, now: Instant) {
        let until = now + retry_after.unwrap_or(DEFAULT).min(LONGEST);
        self.0.retain(|(other, until)| *until > now && other != model);
        if self.0.len() < MODELS {
            self.0.push((Arc::clone(model), until));
        }
    }

    /// The model answers again.
    pub(crate) fn remove(&mut self, model: &str) {
        self.0.retain(|(other, _)| **other != *model);
    }

    /// Whether `model` is thought to be overloaded.
    pub(crate) fn has(&self, model: &str, now: Instant) -> bool {
        self.0.iter().any(|(other, until)| **other == *model && *until > now)
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
        overloads.remove("haiku");
        assert!(!overloads.has("haiku", start));
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
