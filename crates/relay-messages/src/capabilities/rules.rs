//! What is said of one model, from the general to the specific.

use relay_config::{BetaRule, Capabilities, FieldPath, FieldRule, ModelCapabilities};
use smallvec::SmallVec;

/// The parts of a provider's capabilities that are about one model. What comes first counts.
pub(super) struct Rules<'a>(SmallVec<[&'a ModelCapabilities; 4]>);

impl<'a> Rules<'a> {
    pub(super) fn new(known: &'a Capabilities, model: &str) -> Self {
        Self(known.of(model).rev().collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What becomes of `beta`.
    pub(super) fn beta(&self, beta: &str) -> Option<&'a BetaRule> {
        self.0.iter().find_map(|known| known.beta(beta))
    }

    /// What becomes of the top-level field `name`.
    pub(super) fn top_level(&self, name: &str) -> Option<&'a FieldRule> {
        self.0.iter().find_map(|known| at(known, name).or_else(|| at(known, FieldPath::ANY)))
    }

    /// What is said of exactly this place.
    pub(super) fn field(&self, field: &FieldPath) -> Option<&'a FieldRule> {
        self.field_at(field.as_str())
    }

    /// What is said of the place that is written like this.
    pub(super) fn field_at(&self, place: &str) -> Option<&'a FieldRule> {
        self.0.iter().find_map(|known| at(known, place))
    }

    /// Every place of which something is said, each once.
    pub(super) fn fields(&self) -> Vec<(&'a FieldPath, &'a FieldRule)> {
        let mut fields: Vec<(&FieldPath, &FieldRule)> = Vec::new();
        for (field, rule) in self.0.iter().flat_map(|known| known.fields()) {
            if !fields.iter().any(|(other, _)| other.as_str() == field.as_str()) {
                fields.push((field, rule));
            }
        }
        fields
    }
}

fn at<'a>(known: &'a ModelCapabilities, place: &str) -> Option<&'a FieldRule> {
    known.fields().iter().find(|(field, _)| field.as_str() == place).map(|(_, rule)| rule)
}
