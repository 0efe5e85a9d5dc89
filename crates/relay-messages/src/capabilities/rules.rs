//! The rules for one model, from the most specific to the most general.

use std::collections::HashMap;
use std::ptr;

use relay_config::{BetaRule, Capabilities, FieldPath, FieldRule, ModelCapabilities};
use smallvec::SmallVec;

use super::unsupported_parts::Refused;

/// The patterns in a provider's capabilities that match one model, by their positions: the most specific first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Matching(SmallVec<[usize; 4]>);

impl Matching {
    pub(super) fn of(known: &Capabilities, model: &str) -> Self {
        let position = |of: &ModelCapabilities| known.entries().position(|(_, other)| ptr::eq(of, other));
        Self(known.of(model).rev().filter_map(position).collect())
    }

    /// Iterates over the rules for each of the patterns, which are those of `known`.
    fn rules<'a>(&self, known: &'a Capabilities) -> impl Iterator<Item = &'a ModelCapabilities> {
        self.0.iter().filter_map(|&at| known.entries().nth(at).map(|(_, rules)| rules))
    }
}

/// The rules of one provider for the models of one set of patterns, compiled from its capabilities. The first match counts.
#[derive(Debug)]
pub(super) struct Rules {
    matching: Matching,
    /// Every path that has a rule, each once.
    fields: Vec<Field>,
    /// The indices of `fields` by the texts of their paths.
    by_path: HashMap<String, usize>,
    /// The index of the rule for all top-level fields, if there is one.
    any: Option<usize>,
    refused: Refused,
}

/// A path with the rule that counts.
#[derive(Debug)]
struct Field {
    path: FieldPath,
    rule: FieldRule,
    /// The position of its pattern among those that match. The most specific one has the lowest.
    level: usize,
}

impl Rules {
    /// Compiles the rules in `known` of the patterns `matching`. Images by URL are not refused if the relay `fetches_images`.
    pub(super) fn new(known: &Capabilities, matching: Matching, fetches_images: bool) -> Self {
        let (mut fields, mut by_path) = (Vec::new(), HashMap::new());
        for (level, rules) in matching.rules(known).enumerate() {
            for (path, rule) in rules.fields() {
                by_path.entry(path.as_str().to_owned()).or_insert_with(|| {
                    fields.push(Field { path: path.clone(), rule: rule.clone(), level });
                    fields.len() - 1
                });
            }
        }
        let refused = fields.iter().filter(|field| field.rule == FieldRule::Refuse);
        let refused = Refused::new(refused.map(|field| &field.path), fetches_images);
        let any = by_path.get(FieldPath::ANY).copied();
        Self { matching, fields, by_path, any, refused }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.matching.0.is_empty()
    }

    /// The patterns from whose rules these were compiled.
    pub(super) fn matching(&self) -> &Matching {
        &self.matching
    }

    /// Returns the rule for `beta`, which is among those in `known`.
    pub(super) fn beta<'a>(&self, known: &'a Capabilities, beta: &str) -> Option<&'a BetaRule> {
        self.matching.rules(known).find_map(|rules| rules.beta(beta))
    }

    /// Returns the rule for the top-level field `name`.
    pub(super) fn top_level(&self, name: &str) -> Option<&FieldRule> {
        let (own, any) = (self.at(name), self.any.and_then(|any| self.fields.get(any)));
        let is_own = |own: &&Field| any.is_none_or(|any| own.level <= any.level);
        own.filter(is_own).or(any).map(|field| &field.rule)
    }

    /// Returns the rule for exactly the path `field`.
    pub(super) fn field(&self, field: &FieldPath) -> Option<&FieldRule> {
        self.field_at(field.as_str())
    }

    /// Returns the rule for the path with the text `place`.
    pub(super) fn field_at(&self, place: &str) -> Option<&FieldRule> {
        self.at(place).map(|field| &field.rule)
    }

    /// Iterates over every path that has a rule, each once, with the rule that counts.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&FieldPath, &FieldRule)> {
        self.fields.iter().map(|field| (&field.path, &field.rule))
    }

    /// The parts of requests that are refused.
    pub(super) fn refused(&self) -> &Refused {
        &self.refused
    }

    fn at(&self, place: &str) -> Option<&Field> {
        self.by_path.get(place).and_then(|&at| self.fields.get(at))
    }
}

#[cfg(test)]
mod tests {
    use relay_config::Pattern;

    use super::*;

    #[test]
    fn a_specific_pattern_for_all_fields_takes_precedence_over_a_general_one_for_one_field() {
        let known = |fields: &[(&str, FieldRule)]| {
            let fields = fields.iter().map(|(path, rule)| (FieldPath::parse(path).unwrap(), rule.clone()));
            ModelCapabilities::new(Vec::new(), fields.collect())
        };
        let general = known(&[("a", FieldRule::Pass), ("b", FieldRule::Drop), ("c.d", FieldRule::Drop)]);
        let specific = known(&[("*", FieldRule::Refuse), ("b", FieldRule::Fold)]);
        let all = Capabilities::from_iter([(Pattern::new("*"), general), (Pattern::new("m*"), specific)]);
        let rules = Rules::new(&all, Matching::of(&all, "m"), false);
        assert_eq!(rules.top_level("a"), Some(&FieldRule::Refuse));
        assert_eq!(rules.top_level("b"), Some(&FieldRule::Fold));
        assert_eq!(rules.field_at("a"), Some(&FieldRule::Pass));
        let paths: Vec<_> = rules.fields().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["*", "b", "a", "c.d"]);
        let others = Rules::new(&all, Matching::of(&all, "n"), false);
        assert_eq!((others.top_level("a"), others.top_level("x")), (Some(&FieldRule::Pass), None));
    }
}
