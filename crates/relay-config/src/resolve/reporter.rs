//! Problems and warnings of the resolver, each with the place of its setting.

use std::path::Path;
use std::time::Duration;

use crate::environment::Environment;
use crate::error::{Concern, Fault, Place};
use crate::layer::Layers;
use crate::report::Report;
use crate::rules::Problems;
pub(in crate::resolve) use crate::rules::value_fault;
use crate::secret_text::{self, Cleaned};
use crate::tree::KeyPath;

/// The report, with the layers that give the place of each path, and the variables of other tools.
pub(in crate::resolve) struct Reporter<'a> {
    pub(in crate::resolve) layers: &'a Layers,
    pub(in crate::resolve) environment: Environment<'a>,
    pub(in crate::resolve) report: &'a mut Report,
}

impl Problems for Reporter<'_> {
    fn problem(&mut self, path: &KeyPath, fault: Fault) {
        self.report.problem(self.layers.place_of(path), path, fault);
    }
}

impl Reporter<'_> {
    pub(in crate::resolve) fn problem(&mut self, path: &KeyPath, fault: Fault) {
        Problems::problem(self, path, fault);
    }

    pub(in crate::resolve) fn warning(&mut self, path: &KeyPath, concern: Concern) {
        self.report.warning(self.layers.place_of(path), path, concern);
    }

    /// Reports a problem with a variable of another tool that provides the setting at `path`.
    pub(in crate::resolve) fn problem_in_variable(&mut self, variable: &str, path: &KeyPath, fault: Fault) {
        self.report.problem(Place::Environment { variable: variable.into() }, path, fault);
    }

    /// Reports a warning about a variable of another tool that provides the setting at `path`.
    pub(in crate::resolve) fn warning_in_variable(
        &mut self,
        variable: &str,
        path: &KeyPath,
        concern: Concern,
    ) {
        self.report.warning(Place::Environment { variable: variable.into() }, path, concern);
    }
}

impl Reporter<'_> {
    /// Checks the secret in a variable of another tool, which provides the setting at `path`. The slips around it are
    /// removed where it is used.
    pub(in crate::resolve) fn check_secret_variable(&mut self, variable: &str, path: &KeyPath) {
        let Some(value) = self.environment.raw(variable) else { return };
        self.check_secret_at(Place::Environment { variable: variable.into() }, &value, path);
    }

    /// Refuses a path that starts with `~`, which only a shell expands. Returns `true` if it was refused.
    pub(in crate::resolve) fn check_path(&mut self, file: &Path, path: &KeyPath) -> bool {
        let Ok(rest) = file.strip_prefix("~") else { return false };
        let hint = format!("write ${{HOME}}/{}", rest.display());
        self.problem(
            path,
            value_fault(format!("{:?}", file.display().to_string()), "a path without ~", hint),
        );
        true
    }

    /// Checks a secret at a place outside of the configuration, which provides the setting at `path`.
    pub(in crate::resolve) fn check_secret_at(&mut self, place: Place, value: &str, path: &KeyPath) {
        let Cleaned { text, removed } = secret_text::clean(value);
        if text.is_empty() {
            return;
        }
        if let Some(fault) = secret_text::fault(text) {
            self.report.problem(place, path, fault);
            return;
        }
        if let Some(reason) = secret_text::doubt(text) {
            self.report.warning(place.clone(), path, Concern::DoubtfulSecret { reason });
        }
        if let Some(removed) = removed {
            self.report.warning(place, path, Concern::SecretTrimmed { removed });
        }
    }
}

pub(in crate::resolve) fn millis(value: Option<u64>, default: Duration) -> Duration {
    value.map_or(default, Duration::from_millis)
}
