//! The result of a reload, for the log, the admin API and the command.

use std::fmt;
use std::path::PathBuf;

use relay_admin::api::{ReloadError, Reloaded};
use relay_admin::metrics::ReloadResult;

use super::cause::Cause;

/// The most differences, problems and warnings that a text names. Further ones are counted.
const NAMED: usize = 30;

/// The result of a reload. It contains no secret.
#[derive(Debug, Clone)]
pub(crate) struct ReloadReport {
    pub(crate) outcome: Outcome,
    /// The settings that have come into use, one text for each.
    pub(crate) differences: Vec<String>,
    /// The settings of the file that need a restart, one text for each.
    pub(crate) restart: Vec<String>,
    /// The warnings of the configuration in use.
    pub(crate) warnings: Vec<String>,
}

/// The kind of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The configuration of the file is in use.
    Applied,
    /// No setting has changed, except those that need a restart.
    Unchanged,
    /// The configuration is invalid, with all problems. The one before stays in use.
    Rejected(Vec<String>),
    /// The file is gone. The configuration stays in use.
    Missing(PathBuf),
    /// There is no file that could be read again, for this reason.
    NoFile(String),
}

impl Outcome {
    /// The result that is counted; `None` if there was no file to read.
    pub(super) fn result(&self) -> Option<ReloadResult> {
        match self {
            Self::Applied => Some(ReloadResult::Applied),
            Self::Unchanged => Some(ReloadResult::Unchanged),
            Self::Rejected(_) | Self::Missing(_) => Some(ReloadResult::Rejected),
            Self::NoFile(_) => None,
        }
    }
}

impl ReloadReport {
    pub(super) fn new(outcome: Outcome) -> Self {
        Self { outcome, differences: Vec::new(), restart: Vec::new(), warnings: Vec::new() }
    }

    /// Logs the result, and the warnings that are not among `known`. Without a change, a change of a file is logged at level debug
    /// only: an editor may have saved the same text.
    pub(super) fn log(&self, cause: Cause, known: &[String]) {
        let text = self.summary("; ");
        match &self.outcome {
            Outcome::Applied => tracing::info!(%cause, "{text}"),
            Outcome::Unchanged if cause == Cause::FileChange && self.restart.is_empty() => {
                tracing::debug!(%cause, "{text}");
            }
            Outcome::Unchanged if self.restart.is_empty() => tracing::info!(%cause, "{text}"),
            Outcome::Unchanged | Outcome::Missing(_) | Outcome::NoFile(_) => tracing::warn!(%cause, "{text}"),
            Outcome::Rejected(_) => tracing::error!(%cause, "{text}"),
        }
        let new = self.warnings.iter().filter(|warning| !known.contains(warning));
        new.take(NAMED).for_each(|warning| tracing::warn!("{warning}"));
    }

    /// Returns the result without the warnings. `separator` stands between the problems.
    fn summary(&self, separator: &str) -> String {
        let mut text = match &self.outcome {
            Outcome::Applied => format!("the new configuration is in use: {}", list(&self.differences, "; ")),
            Outcome::Unchanged => "the configuration has not changed".to_owned(),
            Outcome::Rejected(problems) => {
                let problems = list(problems, separator);
                format!("the configuration stays as it was, because the new one is invalid: {problems}")
            }
            Outcome::Missing(file) => {
                format!(
                    "the configuration file {} is gone; the configuration stays as it was",
                    file.display()
                )
            }
            Outcome::NoFile(reason) => format!("nothing is reloaded: {reason}"),
        };
        if !self.restart.is_empty() {
            text.push_str(&format!("; needs a restart: {}", list(&self.restart, "; ")));
        }
        text
    }

    /// Returns the reason that the file is not in use, as a warning of the running relay.
    pub(super) fn trouble(&self) -> Option<String> {
        match &self.outcome {
            Outcome::Applied | Outcome::Unchanged => {
                let restart = (!self.restart.is_empty()).then(|| list(&self.restart, "; "));
                restart.map(|settings| {
                    format!("the configuration file has settings that need a restart: {settings}")
                })
            }
            Outcome::Rejected(problems) => Some(format!(
                "the configuration file is not in use, because it is invalid: {}",
                list(problems, "; ")
            )),
            Outcome::Missing(_) => Some(self.to_string()),
            Outcome::NoFile(_) => None,
        }
    }
}

impl fmt::Display for ReloadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary("\n"))?;
        self.warnings.iter().take(NAMED).try_for_each(|warning| write!(f, "\nwarning: {warning}"))
    }
}

/// Joins `texts`, of which at most [`NAMED`] are named.
fn list(texts: &[String], separator: &str) -> String {
    let named = texts.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(separator);
    match texts.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named}{separator}and {more} more"),
    }
}

impl From<ReloadReport> for Result<Reloaded, ReloadError> {
    fn from(report: ReloadReport) -> Self {
        let message = report.to_string();
        let ReloadReport { outcome, mut differences, mut restart, .. } = report;
        match outcome {
            Outcome::Applied | Outcome::Unchanged => {
                differences.truncate(NAMED);
                restart.truncate(NAMED);
                Ok(Reloaded::new(outcome == Outcome::Applied, message).with_differences(differences, restart))
            }
            Outcome::NoFile(_) => Err(ReloadError::NoFile),
            Outcome::Rejected(problems) => {
                let problems = if problems.len() > 1 {
                    format!("\n{}", list(&problems, "\n"))
                } else {
                    list(&problems, "")
                };
                Err(ReloadError::Invalid { problems })
            }
            Outcome::Missing(file) => {
                let problems = format!("the file {} is gone", file.display());
                Err(ReloadError::Invalid { problems })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(report: &ReloadReport, text: &str, trouble: Option<&str>) {
        assert_eq!(report.to_string(), text);
        assert_eq!(report.trouble().as_deref(), trouble);
    }

    #[test]
    fn a_report_names_the_differences_and_the_settings_that_need_a_restart() {
        let mut report = ReloadReport::new(Outcome::Applied);
        report.differences = vec!["a: 1 -> 2".to_owned(), "b: changed".to_owned()];
        check(&report, "the new configuration is in use: a: 1 -> 2; b: changed", None);
        report.restart = vec!["server.listen: [x:1] -> [x:2]".to_owned()];
        report.warnings = vec!["doubtful".to_owned()];
        check(
            &report,
            "the new configuration is in use: a: 1 -> 2; b: changed; needs a restart: server.listen: [x:1] -> [x:2]\n\
             warning: doubtful",
            Some("the configuration file has settings that need a restart: server.listen: [x:1] -> [x:2]"),
        );
        check(&ReloadReport::new(Outcome::Unchanged), "the configuration has not changed", None);
    }

    #[test]
    fn a_report_of_an_invalid_file_has_all_problems() {
        let problems = ["c.yaml:1:2: a", "c.yaml:3:4: b"].map(str::to_owned).to_vec();
        check(
            &ReloadReport::new(Outcome::Rejected(problems)),
            "the configuration stays as it was, because the new one is invalid: c.yaml:1:2: a\nc.yaml:3:4: b",
            Some("the configuration file is not in use, because it is invalid: c.yaml:1:2: a; c.yaml:3:4: b"),
        );
    }

    #[test]
    fn a_report_is_bounded() {
        let mut report = ReloadReport::new(Outcome::Applied);
        report.differences = (0..10_000).map(|index| format!("providers[{index}]: added")).collect();
        let text = report.to_string();
        assert!(text.len() < 1000 && text.ends_with("; and 9970 more"), "{text}");
        let result: Result<Reloaded, ReloadError> = report.into();
        assert_eq!(result.unwrap().differences.len(), NAMED);
    }
}
