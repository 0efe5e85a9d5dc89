//! Remembers the fields and betas that an upstream has refused for a limited time, so that they are not sent
//! again.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use relay_config::FieldPath;

use super::conditions::Conditions;
use crate::two_generations::TwoGenerations;

/// The time that a refusal is remembered. An upstream that starts to accept a field gets it again within the
/// hour.
const LIFETIME: Duration = Duration::from_secs(60 * 60);
/// The maximum number of models per operation, in two generations of half as many. Clients choose the names of models and
/// fields, so that both numbers must be bounded.
const MODELS: usize = 256;
/// The maximum number of refused fields and betas per model.
const PER_MODEL: usize = 64;
/// The maximum number of conditions under which one field is remembered. The oldest is dropped first.
const CONDITIONS: usize = 4;

/// The requests that a refusal applies to: those of one operation for one model.
///
/// `count_tokens` takes fewer fields than messages do, so that its refusals do not apply to these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefusalScope<'a> {
    /// The model's name at the provider.
    pub model: &'a str,
    /// `true` for `count_tokens`, `false` for messages.
    pub is_count: bool,
}

impl<'a> RefusalScope<'a> {
    /// Creates the scope of the requests for `model`: token counts if `is_count`, otherwise messages.
    #[must_use]
    pub const fn new(model: &'a str, is_count: bool) -> Self {
        Self { model, is_count }
    }
}

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

/// The fields and betas that one provider refuses, by operation and model. Clones share one memory.
#[derive(Debug, Clone, Default)]
pub(super) struct RefusedFields(Arc<[Mutex<Models>; 2]>);

#[derive(Debug)]
struct Models(TwoGenerations<Box<str>, Vec<RememberedField>>);

impl Default for Models {
    fn default() -> Self {
        Self(TwoGenerations::new(MODELS / 2, LIFETIME))
    }
}

#[derive(Debug)]
struct RememberedField {
    field: RefusedField,
    /// The conditions under which a field was refused. A beta is refused under any.
    conditions: Vec<Conditions>,
    until: Instant,
}

impl RememberedField {
    fn applies(&self, sent: &Conditions) -> bool {
        matches!(self.field, RefusedField::Beta(_)) || self.conditions.iter().any(|known| known.cover(sent))
    }

    fn add(&mut self, conditions: &Conditions, until: Instant) {
        self.until = until;
        if !self.conditions.contains(conditions) {
            if self.conditions.len() == CONDITIONS {
                self.conditions.remove(0);
            }
            self.conditions.push(conditions.clone());
        }
    }
}

/// A field or beta that a provider is known to refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KnownRefusal {
    /// The model's name at the provider.
    pub model: String,
    /// The removed field or beta, such as `field context_management` or `beta effort-2025-11-24`, with ` (count_tokens)`
    /// after it if it is removed from token counts only.
    pub dropped: String,
    /// The time until the refusal is forgotten.
    pub remaining: Duration,
}

impl RefusedFields {
    /// Remembers that requests of `scope` under `conditions` are refused because of `field`. Returns `true` if that was
    /// not known before.
    pub(super) fn add(
        &self,
        scope: RefusalScope<'_>,
        field: &RefusedField,
        conditions: &Conditions,
        now: Instant,
    ) -> bool {
        let until = now + LIFETIME;
        let mut models = self.lock(scope.is_count);
        let remembered = models.0.get_or_default(scope.model.into(), now);
        remembered.retain(|entry| entry.until > now);
        if let Some(known) = remembered.iter_mut().find(|entry| entry.field == *field) {
            known.add(conditions, until);
            return false;
        }
        if remembered.len() == PER_MODEL {
            remembered.remove(0);
        }
        let conditions = vec![conditions.clone()];
        remembered.push(RememberedField { field: field.clone(), conditions, until });
        true
    }

    /// Forgets `field` for `scope`. Returns `true` if it was known.
    pub(super) fn remove(&self, scope: RefusalScope<'_>, field: &RefusedField, now: Instant) -> bool {
        let mut models = self.lock(scope.is_count);
        let Some(remembered) = models.0.get(scope.model, now) else { return false };
        let before = remembered.len();
        remembered.retain(|entry| entry.field != *field);
        remembered.len() < before
    }

    /// Returns `true` if anything is remembered for `scope`.
    pub(super) fn has_any(&self, scope: RefusalScope<'_>, now: Instant) -> bool {
        let mut models = self.lock(scope.is_count);
        let remembered = models.0.get(scope.model, now);
        remembered.is_some_and(|remembered| remembered.iter().any(|entry| entry.until > now))
    }

    /// Returns the fields and betas to remove from a request of `scope` under the conditions `sent`.
    pub(super) fn of(&self, scope: RefusalScope<'_>, sent: &Conditions, now: Instant) -> Vec<RefusedField> {
        let mut models = self.lock(scope.is_count);
        let remembered = models.0.get(scope.model, now).map(|fields| fields.as_slice()).unwrap_or_default();
        let current = remembered.iter().filter(|entry| entry.until > now && entry.applies(sent));
        current.map(|entry| entry.field.clone()).collect()
    }

    /// Returns everything that is remembered at `now`, sorted by model.
    pub(super) fn known(&self, now: Instant) -> Vec<KnownRefusal> {
        let mut known = Vec::new();
        for (is_count, suffix) in [(false, ""), (true, " (count_tokens)")] {
            for (model, remembered) in self.lock(is_count).0.iter() {
                known.extend(remembered.iter().filter(|entry| entry.until > now).map(|entry| KnownRefusal {
                    model: model.to_string(),
                    dropped: format!("{}{suffix}", entry.field),
                    remaining: entry.until - now,
                }));
            }
        }
        known.sort_by(|a, b| (&a.model, &a.dropped).cmp(&(&b.model, &b.dropped)));
        known
    }

    fn lock(&self, is_count: bool) -> MutexGuard<'_, Models> {
        self.0[usize::from(is_count)].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const M: RefusalScope<'_> = RefusalScope { model: "m", is_count: false };

    fn beta(name: &str) -> RefusedField {
        RefusedField::Beta(name.to_owned())
    }

    fn under(betas: &[&str]) -> Conditions {
        let betas: Vec<String> = betas.iter().map(|&beta| beta.to_owned()).collect();
        Conditions::of(None, None, &betas).unwrap()
    }

    #[test]
    fn a_refusal_is_remembered_for_an_hour_and_a_repeated_one_is_not_new() {
        let (refused, mut now, none) = (RefusedFields::default(), Instant::now(), under(&[]));
        let speed = RefusedField::Field(FieldPath::parse("speed").unwrap());
        assert!(refused.add(M, &beta("a-2025-01-01"), &none, now));
        now += LIFETIME / 2;
        assert!(!refused.add(M, &beta("a-2025-01-01"), &none, now));
        assert!(refused.add(M, &speed, &none, now));
        now += LIFETIME - Duration::from_secs(1);
        assert_eq!(refused.of(M, &none, now), [beta("a-2025-01-01"), speed]);
        assert_eq!(refused.of(RefusalScope { model: "n", ..M }, &none, now), []);
        let known: Vec<_> =
            refused.known(now).into_iter().map(|lesson| (lesson.dropped, lesson.remaining)).collect();
        let second = Duration::from_secs(1);
        assert_eq!(known, [("beta a-2025-01-01".to_owned(), second), ("field speed".to_owned(), second)]);
        now += second;
        assert_eq!((refused.of(M, &none, now), refused.known(now)), (vec![], vec![]));
        assert!(refused.add(M, &beta("a-2025-01-01"), &none, now));
    }

    #[test]
    fn a_field_is_refused_under_its_conditions_and_a_beta_under_any() {
        let (refused, now) = (RefusedFields::default(), Instant::now());
        let speed = RefusedField::Field(FieldPath::parse("speed").unwrap());
        assert!(refused.add(M, &speed, &under(&["x"]), now));
        assert!(refused.add(M, &beta("y"), &under(&["x", "y"]), now));
        assert_eq!(refused.of(M, &under(&[]), now), [speed.clone(), beta("y")]);
        assert_eq!(refused.of(M, &under(&["y", "z"]), now), [beta("y")]);
        assert!(!refused.add(M, &speed, &under(&["z"]), now), "only the conditions are new");
        assert_eq!(refused.of(M, &under(&["z"]), now), [speed.clone(), beta("y")]);
        let count = RefusalScope { is_count: true, ..M };
        assert_eq!(refused.of(count, &under(&[]), now), [], "token counts take other fields");
        assert!(refused.add(count, &speed, &under(&[]), now));
        assert!(refused.known(now).iter().any(|known| known.dropped == "field speed (count_tokens)"));
        assert!(refused.remove(M, &speed, now) && !refused.remove(M, &speed, now));
        assert_eq!(refused.of(M, &under(&[]), now), [beta("y")]);
    }

    #[test]
    fn the_memory_is_bounded() {
        let (refused, now, none) = (RefusedFields::default(), Instant::now(), under(&[]));
        for index in 0..PER_MODEL + 10 {
            refused.add(M, &beta(&index.to_string()), &none, now);
        }
        assert_eq!(refused.of(M, &none, now).len(), PER_MODEL);
        assert_eq!(refused.of(M, &none, now)[0], beta("10"));
        for index in 0..MODELS {
            refused.add(RefusalScope { model: &index.to_string(), ..M }, &beta("b"), &none, now);
        }
        assert_eq!(refused.of(M, &none, now), [], "the models that were not used are dropped first");
        assert!(refused.known(now).len() <= MODELS);
        for index in 0..PER_MODEL {
            refused.add(M, &beta("c"), &under(&[&index.to_string()]), now);
        }
        assert_eq!(
            refused.lock(false).0.get("m", now).map(|known| known[0].conditions.len()),
            Some(CONDITIONS)
        );
    }
}
