//! The betas, fields and content types that an upstream accepts, as data.
//!
//! The built-in table and the `capabilities` of a provider have the same form and are read by the same functions:
//! patterns of model names, and for each pattern the rules for betas and for fields.

mod path;
mod pattern;
mod rule;
mod table;

use std::collections::BTreeMap;

pub use path::{FieldPath, InvalidFieldPath, PathStep, Select};
pub use pattern::Pattern;
pub use rule::FieldRule;
pub use table::{CapabilityTable, Companions};

use crate::claude_model::ClaudeModel;

/// The rule for a beta.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BetaRule {
    /// The beta is sent to the upstream.
    Pass,
    /// The beta is removed, together with the fields that need it.
    Drop,
    /// The beta is sent to the upstream under this name.
    Rename(String),
}

impl BetaRule {
    /// Parses a rule. Returns `None` for a text that cannot be the name of a beta in a header.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
        match text {
            "pass" => Some(Self::Pass),
            "drop" => Some(Self::Drop),
            name => is_name(name).then(|| Self::Rename(name.to_owned())),
        }
    }

    /// Returns the rule as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Pass => "pass",
            Self::Drop => "drop",
            Self::Rename(name) => name,
        }
    }
}

/// The rules for the models that match one pattern.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelCapabilities {
    /// The rules for betas, the most specific name first.
    betas: Vec<(Pattern, BetaRule)>,
    fields: Vec<(FieldPath, FieldRule)>,
}

impl ModelCapabilities {
    /// Takes the rules for `betas`, by name or pattern, and for `fields`.
    #[must_use]
    pub fn new(mut betas: Vec<(Pattern, BetaRule)>, fields: Vec<(FieldPath, FieldRule)>) -> Self {
        betas.sort_by(|(a, _), (b, _)| b.weight().cmp(&a.weight()));
        Self { betas, fields }
    }

    /// Returns the rules for betas, the most specific first.
    #[must_use]
    pub fn betas(&self) -> &[(Pattern, BetaRule)] {
        &self.betas
    }

    /// Returns the rule for `beta`, if there is one.
    #[must_use]
    pub fn beta(&self, beta: &str) -> Option<&BetaRule> {
        self.betas.iter().find(|(pattern, _)| pattern.fits(beta)).map(|(_, rule)| rule)
    }

    /// Returns the rules for fields.
    #[must_use]
    pub fn fields(&self) -> &[(FieldPath, FieldRule)] {
        &self.fields
    }
}

/// The rules for the models of an upstream, by patterns of their names.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Capabilities {
    /// The rules by pattern, the least specific first.
    models: Vec<(Pattern, ModelCapabilities)>,
}

impl Capabilities {
    /// Returns `true` if there are no rules, so that requests are forwarded unchanged.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.models.is_empty()
    }

    /// Returns the rules of all patterns that `model` matches. Later ones take precedence over earlier ones.
    ///
    /// A pattern is compared with the name, and with Anthropic's name of a Claude model without a date. The vendor's
    /// spelling therefore never decides which rules apply.
    pub fn of(&self, model: &str) -> impl DoubleEndedIterator<Item = &ModelCapabilities> {
        // Most upstreams have no rules, and their models need no name.
        let model_name = || ClaudeModel::parse(model).map(|model| model.to_string());
        let canonical = if self.models.is_empty() { None } else { model_name() };
        let fits = move |pattern: &Pattern| {
            pattern.fits(model) || canonical.as_ref().is_some_and(|canonical| pattern.fits(canonical))
        };
        self.models.iter().filter(move |(pattern, _)| fits(pattern)).map(|(_, known)| known)
    }

    /// Returns all rules, by pattern.
    pub fn entries(&self) -> impl Iterator<Item = (&Pattern, &ModelCapabilities)> {
        self.models.iter().map(|(pattern, known)| (pattern, known))
    }

    /// Adds the rules of `others`, which take precedence.
    #[must_use]
    pub fn with(mut self, others: &Self) -> Self {
        self.models.extend(others.models.iter().cloned());
        self
    }
}

impl FromIterator<(Pattern, ModelCapabilities)> for Capabilities {
    fn from_iter<I: IntoIterator<Item = (Pattern, ModelCapabilities)>>(entries: I) -> Self {
        let mut models: Vec<_> = entries.into_iter().collect();
        models.sort_by(|(a, _), (b, _)| a.weight().cmp(&b.weight()));
        Self { models }
    }
}

/// The rules of one model pattern before they are checked: names or patterns, and the text of the rule for each.
pub(crate) type RawRules = BTreeMap<String, String>;

/// An entry whose key or rule is invalid.
pub(crate) struct InvalidRule<'a> {
    /// The section: `betas` or `fields`.
    pub(crate) section: &'static str,
    pub(crate) key: &'a str,
    /// The invalid text: the key or the rule.
    pub(crate) found: &'a str,
    pub(crate) expected: String,
}

/// Parses the rules of one model pattern. Invalid entries are passed to `refuse` and skipped.
pub(crate) fn read(
    betas: &RawRules,
    fields: &RawRules,
    mut refuse: impl FnMut(InvalidRule<'_>),
) -> ModelCapabilities {
    let mut known_betas = Vec::with_capacity(betas.len());
    for (key, rule) in betas {
        match BetaRule::parse(rule) {
            Some(parsed) => known_betas.push((Pattern::new(key), parsed)),
            None => {
                let expected = "`pass`, `drop`, or the name of a beta".to_owned();
                refuse(InvalidRule { section: "betas", key, found: rule, expected });
            }
        }
    }
    let mut known_fields = Vec::with_capacity(fields.len());
    for (key, rule) in fields {
        let mut refuse =
            |found: &str, expected| refuse(InvalidRule { section: "fields", key, found, expected });
        match FieldPath::parse(key) {
            Err(wrong) => refuse(key, wrong.to_string()),
            Ok(field) => match FieldRule::parse(rule, &field) {
                Err(wrong) => refuse(rule, wrong.to_string()),
                Ok(rule) => known_fields.push((field, rule)),
            },
        }
    }
    ModelCapabilities::new(known_betas, known_fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(betas: &[(&str, &str)]) -> ModelCapabilities {
        let betas = betas.iter().map(|(name, rule)| (Pattern::new(*name), BetaRule::parse(rule).unwrap()));
        ModelCapabilities::new(betas.collect(), Vec::new())
    }

    #[test]
    fn the_most_specific_rule_for_a_beta_applies() {
        let known = known(&[("*", "drop"), ("a-*", "b"), ("a-2026", "pass")]);
        assert_eq!(known.beta("x"), Some(&BetaRule::Drop));
        assert_eq!(known.beta("a-2025"), Some(&BetaRule::Rename("b".to_owned())));
        assert_eq!(known.beta("a-2026"), Some(&BetaRule::Pass));
    }

    #[test]
    fn rules_of_a_model_are_ordered_from_the_least_to_the_most_specific_pattern() {
        let patterns = ["*-4-5*", "m-4-5", "*"];
        let own = patterns.map(|pattern| (Pattern::new(pattern), known(&[(pattern, "pass")])));
        let others = Capabilities::from_iter([(Pattern::new("m*"), known(&[("last", "pass")]))]);
        let all = Capabilities::from_iter(own).with(&others);
        let of = |model: &str| {
            all.of(model).map(|known| known.betas()[0].0.as_str().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(of("m-4-5"), ["*", "*-4-5*", "m-4-5", "last"]);
        assert_eq!(of("x-4-5-y"), ["*", "*-4-5*"]);
    }
}
