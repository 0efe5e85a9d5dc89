//! Collects what is found on the way from text to configuration.

use crate::error::{Concern, Fault, Place, Problem, Warning};
use crate::tree::KeyPath;

/// Problems that are told. What has more of them is no configuration, and comparing their paths takes time.
const LIMIT: usize = 500;

/// Problems and warnings, in the order in which they were found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    problems: Vec<(KeyPath, Problem)>,
    warnings: Vec<Warning>,
}

impl Report {
    /// Adds a problem, unless something at `path`, around it or inside of it is already known to be wrong: what a later
    /// step finds there is a consequence.
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

    /// Everything that was found, each in the order of its place.
    pub(crate) fn finish(self) -> (Vec<Problem>, Vec<Warning>) {
        let mut problems: Vec<_> = self.problems.into_iter().map(|(_, problem)| problem).collect();
        let mut warnings = self.warnings;
        problems.sort_by(|a, b| a.place.cmp(&b.place));
        warnings.sort_by(|a, b| a.place.cmp(&b.place));
        (problems, warnings)
    }
}
