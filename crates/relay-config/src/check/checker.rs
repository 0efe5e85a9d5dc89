//! The problems of a check, and the rules of the schema.

use std::time::Duration;

use super::problem::InvalidSetting;
use crate::describe::{bounds, expected, range};
use crate::error::{Fault, Place};
use crate::report::Report;
use crate::rules::{Problems, value_fault};
use crate::schema::Schema;
use crate::secret::Secret;
use crate::secret_text;
use crate::tree::KeyPath;

/// Collects the problems of a configuration. Numbers and texts are compared with the schema of the file.
pub(super) struct Checker {
    schema: &'static Schema,
    report: Report,
}

impl Problems for Checker {
    fn problem(&mut self, path: &KeyPath, fault: Fault) {
        self.report.problem(Place::Default, path, fault);
    }
}

impl Checker {
    pub(super) fn new() -> Self {
        Self { schema: Schema::shared(), report: Report::default() }
    }

    pub(super) fn finish(self) -> Vec<InvalidSetting> {
        let (problems, _) = self.report.finish();
        problems
            .into_iter()
            .map(|problem| InvalidSetting { path: problem.path, fault: problem.fault })
            .collect()
    }

    /// Checks a number by the bounds of the schema.
    pub(super) fn number(&mut self, path: &KeyPath, value: impl TryInto<i128>) {
        let value = value.try_into().unwrap_or(i128::MAX);
        let Some(rule) = self.schema.rule_at(path) else { return };
        let (min, max) = bounds(rule);
        if !(min..=max).contains(&value) {
            let fault = value_fault(format!("the number {value}"), expected(rule), "");
            self.problem(path, fault);
        }
    }

    /// Checks a number that may have a fraction by the bounds of the schema.
    pub(super) fn float(&mut self, path: &KeyPath, value: f64) {
        let Some(rule) = self.schema.rule_at(path) else { return };
        let (min, max) = range(rule);
        if !(min..=max).contains(&value) {
            self.problem(path, value_fault(format!("the number {value}"), expected(rule), ""));
        }
    }

    /// Checks a time by the bounds of the schema, which are milliseconds.
    pub(super) fn duration(&mut self, path: &KeyPath, value: Duration) {
        let Some(rule) = self.schema.rule_at(path) else { return };
        let (min, max) = bounds(rule);
        self.within(path, value, min, max);
    }

    /// Checks a time limit, in which `None` is no limit. The file writes this as 0.
    pub(super) fn limit(&mut self, path: &KeyPath, value: Option<Duration>) {
        let (Some(value), Some(rule)) = (value, self.schema.rule_at(path)) else { return };
        let (_, max) = bounds(rule);
        self.within(path, value, 1, max);
    }

    fn within(&mut self, path: &KeyPath, value: Duration, min: i128, max: i128) {
        let millis = |limit: i128| Duration::from_millis(u64::try_from(limit).unwrap_or_default());
        if value < millis(min) || value > millis(max) {
            let expected = format!("a time from {min} to {max} milliseconds");
            self.problem(path, value_fault(format!("{value:?}"), expected, ""));
        }
    }

    /// Refuses an empty text.
    pub(super) fn text(&mut self, path: &KeyPath, text: &str) {
        if text.trim().is_empty() {
            self.problem(path, value_fault("an empty string", "a non-empty string", ""));
        }
    }

    /// Refuses an empty secret, and one that a header cannot carry.
    pub(super) fn secret(&mut self, path: &KeyPath, secret: &Secret) {
        if secret.expose().trim().is_empty() {
            self.problem(path, value_fault("an empty string", "a secret", ""));
        } else if let Some(fault) = secret_text::fault(secret.expose()) {
            self.problem(path, fault);
        }
    }
}
