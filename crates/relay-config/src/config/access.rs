//! The bounds of one client: its models, the end of its key, and its budget.

use std::time::SystemTime;

use crate::capabilities::Pattern;
use crate::claude_model::ClaudeModel;
use crate::date::parse_rfc3339;

/// The models that a client may use.
///
/// ```
/// use relay_config::{ModelPatterns, Pattern};
///
/// let models = ModelPatterns::from_iter([Pattern::new("claude-haiku-*"), Pattern::new("claude-sonnet-4-5")]);
/// assert!(models.allows("claude-haiku-4-5"));
/// // Another spelling of the same Claude model.
/// assert!(models.allows("claude-sonnet-4-5-20250929"));
/// assert!(!models.allows("claude-opus-5-5"));
/// assert!(ModelPatterns::default().allows("any"));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelPatterns(Vec<Pattern>);

impl ModelPatterns {
    /// Returns `true` if the client may use every model.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns `true` if a pattern matches `model`, or names the same Claude model in another spelling. Without patterns, every
    /// model is allowed.
    #[must_use]
    pub fn allows(&self, model: &str) -> bool {
        if self.is_unlimited() || self.fits(model) {
            return true;
        }
        let Some(claude) = ClaudeModel::parse(model).map(|claude| claude.to_string()) else { return false };
        let is_same = |pattern: &Pattern| {
            ClaudeModel::parse(pattern.as_str()).is_some_and(|known| known.to_string() == claude)
        };
        self.fits(&claude) || self.0.iter().any(is_same)
    }

    fn fits(&self, model: &str) -> bool {
        self.0.iter().any(|pattern| pattern.fits(model))
    }

    /// Returns the patterns in the order of the file.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Pattern> {
        self.0.iter()
    }
}

impl FromIterator<Pattern> for ModelPatterns {
    fn from_iter<I: IntoIterator<Item = Pattern>>(patterns: I) -> Self {
        Self(patterns.into_iter().collect())
    }
}

/// An amount of money that a client may spend in each period.
///
/// ```
/// use relay_config::{Budget, BudgetPeriod};
///
/// let budget = Budget::new(25.0, BudgetPeriod::Week);
/// assert_eq!(budget.period.as_str(), "week");
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Budget {
    /// The amount in US dollars, above zero.
    pub usd: f64,
    /// The period, after which the amount can be spent again.
    pub period: BudgetPeriod,
}

impl Budget {
    /// Creates a budget of `usd` US dollars in each period.
    #[must_use]
    pub fn new(usd: f64, period: BudgetPeriod) -> Self {
        Self { usd, period }
    }
}

/// The period of a budget, by the calendar in UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum BudgetPeriod {
    /// A day, which begins at midnight.
    Day,
    /// A week, which begins on Monday.
    Week,
    /// A month, which begins on its first day.
    #[default]
    Month,
}

impl BudgetPeriod {
    /// Returns the name in the configuration file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }
}

/// Reads the time at which a key expires: an RFC 3339 time with an offset, or a date, which is its last second in UTC. `None` for
/// any other text.
pub(crate) fn parse_expiry(text: &str) -> Option<SystemTime> {
    match text.len() {
        10 => parse_rfc3339(&format!("{text}T23:59:59Z")),
        _ => parse_rfc3339(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_expires_at_its_end_and_a_time_at_once() {
        #[track_caller]
        fn check(text: &str, same_as: Option<&str>) {
            assert_eq!(parse_expiry(text), same_as.map(|text| parse_rfc3339(text).unwrap()), "{text}");
        }
        check("2026-12-31", Some("2026-12-31T23:59:59Z"));
        check("2024-02-29", Some("2024-02-29T23:59:59Z"));
        check("9999-12-31", Some("9999-12-31T23:59:59Z"));
        check("2026-12-31T18:00:00+02:00", Some("2026-12-31T16:00:00Z"));
        check("2026-12-31 18:00:00z", Some("2026-12-31T18:00:00Z"));
        for text in ["", "2026", "2026-02-30", "2026-12-31T18:00:00", "31.12.2026", "tomorrow", "2026-12-3é"]
        {
            check(text, None);
        }
    }

    #[test]
    fn a_model_is_allowed_in_every_spelling_of_its_name() {
        let patterns = ["claude-haiku-4-5", "claude-opus-4-5-20251101", "glm-*"];
        let models = ModelPatterns::from_iter(patterns.map(Pattern::new));
        for model in [
            "claude-haiku-4-5",
            "claude-haiku-4-5-20251001",
            "claude-haiku-4-5[1m]",
            "claude-opus-4-5",
            "glm-5",
        ] {
            assert!(models.allows(model), "{model}");
        }
        for model in ["", "claude-haiku-5-5", "claude-haiku-4-5-x", "my-claude-haiku-4-5", "GLM-5", "xglm-5"]
        {
            assert!(!models.allows(model), "{model}");
        }
    }
}
