//! The problems that a check finds.

use std::fmt;

use crate::error::Fault;

/// A configuration breaks a rule. The message has one line for each problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(problems))]
#[non_exhaustive]
pub struct InvalidConfig {
    /// All problems that were found, at most 500.
    pub problems: Vec<InvalidSetting>,
}

/// A problem of a setting, such as `providers[0].name: "a" is already used by providers[1].name`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidSetting {
    /// The path of the setting in a configuration file.
    pub path: String,
    /// The fault of the setting.
    pub fault: Fault,
}

impl fmt::Display for InvalidSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.fault)
    }
}

fn lines(problems: &[InvalidSetting]) -> String {
    problems.iter().map(InvalidSetting::to_string).collect::<Vec<_>>().join("\n")
}
