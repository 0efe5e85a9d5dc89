//! Remembers the fields and betas that an upstream has refused for a limited time, so that they are not sent
//! again.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use relay_config::FieldPath;

/// The time that a refusal is remembered. An upstream that starts to accept a field gets it again within the
/// hour.
const LIFETIME: Duration = Duration::from_secs(60 * 60);
/// The maximum number of models. Clients choose the names of models and fields, so that both numbers must be
/// bounded.
const MODELS: usize = 256;
/// The maximum number of refused fields and betas per model.
const PER_MODEL: usize = 64;

/// A field or a beta that is removed from requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RefusedField {
    Field(FieldPath),
    Beta(String),
}

impl RefusedField {
    pub(super) fn field(&self) -> Option<&FieldPath> {
        match self {
            Self::Field(place) => Some(place),
            Self::Beta(_) => None,
        }
    }
}

impl fmt::Display for RefusedField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(place) => write!(f, "field {place}"),
            Self::Beta(beta) => write!(f, "beta {beta}"),
        }
    }
}

/// The fields and betas that one provider refuses, by model. Clones share one memory.
#[derive(Debug, Clone, Default)]
pub(super) struct RefusedFields(Arc<Mutex<HashMap<Box<str>, Vec<RememberedField>>>>);

#[derive(Debug)]
struct RememberedField {
    field: RefusedField,
    until: Instant,
}

/// A field or beta that a provider is known to refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownRefusal {
    /// The model's name at the provider.
    pub model: String,
    /// The removed field or beta, such as `field context_management` or `beta effort-2025-11-24`.
    pub dropped: String,
    /// The time until the refusal is forgotten.
    pub remaining: Duration,
}

impl RefusedFields {
    /// Remembers that `model` refuses `field`. Returns `true` if that was not known before.
    pub(super) fn add(&self, model: &str, field: &RefusedField, now: Instant) -> bool {
        let until = now + LIFETIME;
        let mut models = self.lock();
        for remembered in models.values_mut() {
            remembered.retain(|entry| entry.until > now);
        }
        models.retain(|_, remembered| !remembered.is_empty());
        if models.len() == MODELS && !models.contains_key(model) {
            let last = |remembered: &Vec<RememberedField>| remembered.iter().map(|entry| entry.until).max();
            let oldest =
                models.iter().min_by_key(|(_, remembered)| last(remembered)).map(|(model, _)| model.clone());
            oldest.and_then(|oldest| models.remove(&oldest));
        }
        let remembered = models.entry(model.into()).or_default();
        if let Some(known) = remembered.iter_mut().find(|entry| entry.field == *field) {
            known.until = until;
            return false;
        }
        if remembered.len() == PER_MODEL {
            remembered.remove(0);
        }
        remembered.push(RememberedField { field: field.clone(), until });
        true
    }

    /// Returns the fields and betas to remove from requests for `model`.
    pub(super) fn of(&self, model: &str, now: Instant) -> Vec<RefusedField> {
        let models = self.lock();
        let remembered = models.get(model).map(Vec::as_slice).unwrap_or_default();
        remembered.iter().filter(|entry| entry.until > now).map(|entry| entry.field.clone()).collect()
    }

    /// Returns everything that is remembered at `now`, sorted by model.
    pub(super) fn known(&self, now: Instant) -> Vec<KnownRefusal> {
        let mut known = Vec::new();
        for (model, remembered) in &*self.lock() {
            known.extend(remembered.iter().filter(|entry| entry.until > now).map(|entry| KnownRefusal {
                model: model.to_string(),
                dropped: entry.field.to_string(),
                remaining: entry.until - now,
            }));
        }
        known.sort_by(|a, b| (&a.model, &a.dropped).cmp(&(&b.model, &b.dropped)));
        known
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Vec<RememberedField>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beta(name: &str) -> RefusedField {
        RefusedField::Beta(name.to_owned())
    }

    #[test]
    fn a_refusal_is_remembered_for_an_hour_and_a_repeated_one_is_not_new() {
        let (refused, mut now) = (RefusedFields::default(), Instant::now());
        assert!(refused.add("m", &beta("a-2025-01-01"), now));
        now += LIFETIME / 2;
        assert!(!refused.add("m", &beta("a-2025-01-01"), now));
        assert!(refused.add("m", &RefusedField::Field(FieldPath::parse("speed").unwrap()), now));
        now += LIFETIME - Duration::from_secs(1);
        assert_eq!(
            refused.of("m", now),
            [beta("a-2025-01-01"), RefusedField::Field(FieldPath::parse("speed").unwrap())]
        );
        assert_eq!(refused.of("n", now), []);
        let known: Vec<_> =
            refused.known(now).into_iter().map(|lesson| (lesson.dropped, lesson.remaining)).collect();
        let second = Duration::from_secs(1);
        assert_eq!(known, [("beta a-2025-01-01".to_owned(), second), ("field speed".to_owned(), second)]);
        now += second;
        assert_eq!((refused.of("m", now), refused.known(now)), (vec![], vec![]));
        assert!(refused.add("m", &beta("a-2025-01-01"), now));
    }

    #[test]
    fn the_memory_is_bounded() {
        let (refused, mut now) = (RefusedFields::default(), Instant::now());
        for index in 0..PER_MODEL + 10 {
            refused.add("m", &beta(&index.to_string()), now);
        }
        assert_eq!(refused.of("m", now).len(), PER_MODEL);
        assert_eq!(refused.of("m", now)[0], beta("10"));
        for index in 0..MODELS {
            now += Duration::from_millis(1);
            refused.add(&index.to_string(), &beta("b"), now);
        }
        assert_eq!(refused.of("m", now), [], "the model with the oldest refusals is dropped first");
        assert_eq!(refused.known(now).len(), MODELS);
    }
}
