//! What an upstream has refused: kept for a while, so that it is not sent again.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::place::Place;

/// How long a refusal is believed. An upstream that learns to take something gets it again within the hour.
const LIFETIME: Duration = Duration::from_secs(60 * 60);
/// A client chooses the names of models, and with a field's name what can be refused: neither may fill the memory.
const MODELS: usize = 256;
const PER_MODEL: usize = 64;

/// Something that leaves a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Omission {
    Field(Place),
    Beta(String),
}

impl Omission {
    pub(super) fn field(&self) -> Option<&Place> {
        match self {
            Self::Field(place) => Some(place),
            Self::Beta(_) => None,
        }
    }
}

impl fmt::Display for Omission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(place) => write!(f, "field {place}"),
            Self::Beta(beta) => write!(f, "beta {beta}"),
        }
    }
}

/// What one provider refuses, by model. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub(super) struct Learned(Arc<Mutex<HashMap<Box<str>, Vec<Entry>>>>);

#[derive(Debug)]
struct Entry {
    omission: Omission,
    until: Instant,
}

/// One thing that a provider has been found to refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lesson {
    /// The model's name at the provider.
    pub model: String,
    /// What is left out: `field context_management`, `beta effort-2025-11-24`.
    pub dropped: String,
    /// How much longer.
    pub remaining: Duration,
}

impl Learned {
    /// Remembers that `model` refuses `omission`; true if that is news.
    pub(super) fn add(&self, model: &str, omission: &Omission, now: Instant) -> bool {
        let until = now + LIFETIME;
        let mut models = self.lock();
        for entries in models.values_mut() {
            entries.retain(|entry| entry.until > now);
        }
        models.retain(|_, entries| !entries.is_empty());
        if models.len() == MODELS && !models.contains_key(model) {
            let last = |entries: &Vec<Entry>| entries.iter().map(|entry| entry.until).max();
            let oldest =
                models.iter().min_by_key(|(_, entries)| last(entries)).map(|(model, _)| model.clone());
            oldest.and_then(|oldest| models.remove(&oldest));
        }
        let entries = models.entry(model.into()).or_default();
        if let Some(known) = entries.iter_mut().find(|entry| entry.omission == *omission) {
            known.until = until;
            return false;
        }
        if entries.len() == PER_MODEL {
            entries.remove(0);
        }
        entries.push(Entry { omission: omission.clone(), until });
        true
    }

    /// What to leave out for `model`.
    pub(super) fn of(&self, model: &str, now: Instant) -> Vec<Omission> {
        let models = self.lock();
        let entries = models.get(model).map(Vec::as_slice).unwrap_or_default();
        entries.iter().filter(|entry| entry.until > now).map(|entry| entry.omission.clone()).collect()
    }

    /// All of it, by model.
    pub(super) fn lessons(&self, now: Instant) -> Vec<Lesson> {
        let mut lessons = Vec::new();
        for (model, entries) in &*self.lock() {
            lessons.extend(entries.iter().filter(|entry| entry.until > now).map(|entry| Lesson {
                model: model.to_string(),
                dropped: entry.omission.to_string(),
                remaining: entry.until - now,
            }));
        }
        lessons.sort_by(|a, b| (&a.model, &a.dropped).cmp(&(&b.model, &b.dropped)));
        lessons
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Vec<Entry>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beta(name: &str) -> Omission {
        Omission::Beta(name.to_owned())
    }

    #[test]
    fn a_lesson_is_believed_for_an_hour_and_a_repeated_one_is_no_news() {
        let (learned, mut now) = (Learned::default(), Instant::now());
        assert!(learned.add("m", &beta("a-2025-01-01"), now));
        now += LIFETIME / 2;
        assert!(!learned.add("m", &beta("a-2025-01-01"), now));
        assert!(learned.add("m", &Omission::Field(Place::known("speed")), now));
        now += LIFETIME - Duration::from_secs(1);
        assert_eq!(learned.of("m", now), [beta("a-2025-01-01"), Omission::Field(Place::known("speed"))]);
        assert_eq!(learned.of("n", now), []);
        let lessons: Vec<_> =
            learned.lessons(now).into_iter().map(|lesson| (lesson.dropped, lesson.remaining)).collect();
        let second = Duration::from_secs(1);
        assert_eq!(lessons, [("beta a-2025-01-01".to_owned(), second), ("field speed".to_owned(), second)]);
        now += second;
        assert_eq!((learned.of("m", now), learned.lessons(now)), (vec![], vec![]));
        assert!(learned.add("m", &beta("a-2025-01-01"), now));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (learned, mut now) = (Learned::default(), Instant::now());
        for index in 0..PER_MODEL + 10 {
            learned.add("m", &beta(&index.to_string()), now);
        }
        assert_eq!(learned.of("m", now).len(), PER_MODEL);
        assert_eq!(learned.of("m", now)[0], beta("10"));
        for index in 0..MODELS {
            now += Duration::from_millis(1);
            learned.add(&index.to_string(), &beta("b"), now);
        }
        assert_eq!(learned.of("m", now), [], "the one that was learnt first made room");
        assert_eq!(learned.lessons(now).len(), MODELS);
    }
}
