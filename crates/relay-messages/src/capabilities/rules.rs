//! The rules for one model, from the most specific to the most general.

use relay_config::{BetaRule, Capabilities, FieldPath, FieldRule, ModelCapabilities};
use smallvec::SmallVec;

/// The parts of a provider's capabilities that apply to one model. The first match counts.
pub(super) struct Rules<'a>(SmallVec<[&'a ModelCapabilities; 4]>);

impl<'a> Rules<'a> {
    pub(super) fn new(known: &'a Capabilities, model: &str) -> Self {
        Self(known.of(model).rev().collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the rule for `beta`.
    pub(super) fn beta(&self, beta: &str) -> Option<&'a BetaRule> {
        self.0.iter().find_map(|known| known.beta(beta))
    }

    /// Returns the rule for the top-level field `name`.
    pub(super) fn top_level(&self, name: &str) -> Option<&'a FieldRule> {
        self.0.iter().find_map(|known| at(known, name).or_else(|| at(known, FieldPath::ANY)))
    }

    /// Returns the rule for exactly the path `field`.
    pub(super) fn field(&self, field: &FieldPath) -> Option<&'a FieldRule> {
        self.field_at(field.as_str())
    }

    /// Returns the rule for the path with the text `place`.
    pub(super) fn field_at(&self, place: &str) -> Option<&'a FieldRule> {
        self.0.iter().find_map(|known| at(known, place))
    }

    /// Returns every path that has a rule, each once, with the rule that counts.
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
