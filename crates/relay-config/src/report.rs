//! The problems and warnings that are collected while a configuration is loaded.

use crate::error::{Concern, Fault, Place, Problem, Warning};
use crate::tree::KeyPath;

/// The largest number of reported problems. A file with more is not a configuration, and comparing their paths
/// takes time.
const LIMIT: usize = 500;

/// Problems and warnings, in the order in which they were found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    problems: Vec<(KeyPath, Problem)>,
    warnings: Vec<Warning>,
}

impl Report {
    /// Adds a problem, unless there is already one at `path`, above it or below it: a later step then found a
    /// consequence of the first.
    pub(crate) fn problem(&mut self, place: Place, path: &KeyPath, fault: Fault) {
        if self.problems.len() < LIMIT && !self.is_known(path) {
            self.problems.push((path.clone(), Problem { place, path: path.to_string(), fault }));
        }
    }

    pub(crate) fn warning(&mut self, place: Place, path: &KeyPath, concern: Concern) {
        self.warnings.push(Warning { place, path: path.to_string(), concern });
    }

    fn is_known(&self, path: &KeyPath) -> bool {
        *path != KeyPath::default()
            && self
                .problems
                .iter()
                .any(|(known, _)| *known != KeyPath::default() && known.is_related_to(path))
    }

    /// Returns all problems and warnings, each in the order of their places.
    pub(crate) fn finish(self) -> (Vec<Problem>, Vec<Warning>) {
        let mut problems: Vec<_> = self.problems.into_iter().map(|(_, problem)| problem).collect();
        let mut warnings = self.warnings;
        problems.sort_by(|a, b| a.place.cmp(&b.place));
        warnings.sort_by(|a, b| a.place.cmp(&b.place));
        (problems, warnings)
    }
}
