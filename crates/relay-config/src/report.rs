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
    /// Adds a problem, unless it is a consequence of one that is known.
    pub(crate) fn problem(&mut self, place: Place, path: &KeyPath, fault: Fault) {
        let is_new =
            |(known, problem): &(KeyPath, Problem)| !is_consequence(known, problem, &place, path, &fault);
        if self.problems.len() < LIMIT && self.problems.iter().all(is_new) {
            self.problems.push((path.clone(), Problem { place, path: path.to_string(), fault }));
        }
    }

    pub(crate) fn warning(&mut self, place: Place, path: &KeyPath, concern: Concern) {
        self.warnings.push(Warning { place, path: path.to_string(), concern });
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

/// Returns `true` if a fault at `path` follows from a problem at the path `known`: a later step found it at the same
/// path, above it or below it. Two variables at one path, and two faults of one value, are independent.
fn is_consequence(known: &KeyPath, problem: &Problem, place: &Place, path: &KeyPath, fault: &Fault) -> bool {
    let root = KeyPath::default();
    if *path == root || *known == root || !known.is_related_to(path) {
        return false;
    }
    let is_variable = |place: &Place| matches!(place, Place::Environment { .. });
    if problem.place != *place && (is_variable(place) || is_variable(&problem.place)) {
        return false;
    }
    known != path
        || problem.fault == *fault
        || !problem.fault.has_value()
        || matches!(fault, Fault::Missing { .. })
        || (is_empty_text(fault) && !is_empty_text(&problem.fault))
}

/// Returns `true` for a fault of an empty text. One takes the place of an item of another type once that is reported.
fn is_empty_text(fault: &Fault) -> bool {
    matches!(fault, Fault::Value { found, .. } if found == "\"\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(entries: &[(&str, &str, Fault)], expected: usize) {
        let mut report = Report::default();
        for (place, path, fault) in entries {
            let place = match place.strip_prefix('$') {
                Some(variable) => Place::Environment { variable: variable.into() },
                None => Place::File { name: "c.yaml".into(), line: place.len(), column: 1 },
            };
            let path = path.split('.').fold(KeyPath::default(), |path, key| path.key(key));
            report.problem(place, &path, fault.clone());
        }
        assert_eq!(report.finish().0.len(), expected, "{entries:?}");
    }

    #[test]
    fn only_consequences_of_a_known_problem_are_dropped() {
        let value = |found: &str| Fault::Value {
            found: found.to_owned(),
            expected: String::new(),
            hint: String::new(),
        };
        let missing = || Fault::Missing { expected: String::new() };
        let unset = || Fault::Unset { variable: "V".to_owned(), is_optional: false };
        // Two variables of one setting, and two faults of one value, are independent.
        check(&[("$A", "a", value("x")), ("$B", "a", value("x"))], 2);
        check(&[("$A", "a.b", value("x")), ("$B", "a", value("x"))], 2);
        check(&[("l", "a", value("x")), ("$A", "a", value("x"))], 2);
        check(&[("l", "a", value("x")), ("l", "a", value("y"))], 2);
        check(&[("l", "a", value("x")), ("l", "b", value("x"))], 2);
        // A repeated fault, and one that follows from another, are not.
        check(&[("$A", "a", value("x")), ("$A", "a", value("x"))], 1);
        check(&[("l", "a", value("x")), ("l", "a", missing())], 1);
        check(&[("l", "a", unset()), ("l", "a", value(""))], 1);
        check(&[("l", "a", value("the number 1")), ("l", "a", value("\"\""))], 1);
        check(&[("l", "a", value("x")), ("ll", "a.b", value("y"))], 1);
        check(&[("$A", "a", value("x")), ("$A", "a.b", missing())], 1);
    }
}
