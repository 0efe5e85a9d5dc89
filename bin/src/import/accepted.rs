//! The verdict of the loader on a draft.

use std::collections::BTreeMap;

use relay_config::{Document, Format, LoadError, Loader, Problem};

use super::error::ImportError;
use super::report::Report;
use super::tables::{Table, into_table, take};
use crate::settings::variable;

/// The most times that the loader reads the draft. It reports all that it finds, so that a second time is rare.
const ROUNDS: usize = 10;

/// Removes every setting that the loader refuses, until it accepts the rest.
pub(super) fn accepted(mut draft: Table, report: &mut Report) -> Result<Table, ImportError> {
    let mut rounds = 0..ROUNDS;
    loop {
        let is_empty = draft.iter().all(|(key, value)| key != "providers" || value.items().is_empty());
        if is_empty {
            return Err(ImportError::NoProvider { report: report.text() });
        }
        let Err(error) = load(&draft) else { return Ok(draft) };
        let refused = refused(error.problems(), &draft);
        if refused.is_empty() && !error.problems().is_empty() {
            return Ok(draft);
        }
        let mut removed = 0;
        // From the end, so that the indices of earlier items stay.
        for (steps, (path, reason)) in refused.into_iter().rev() {
            if remove(&mut draft, &steps) {
                report.skipped(path, reason);
                removed += 1;
            }
        }
        if removed == 0 || rounds.next().is_none() {
            return Err(ImportError::Invalid(error));
        }
    }
}

/// Loads the draft, with a value for every variable that it refers to.
fn load(draft: &Table) -> Result<(), LoadError> {
    let draft = Document::Table(draft.clone());
    let environment = draft.variables().into_iter().map(|name| (name, "1".to_owned()));
    let text = draft.to_text(Format::Yaml);
    Loader::new().with_text("import", Format::Yaml, text).with_environment(environment).load().map(drop)
}

/// Returns the paths to remove in their order, each with the loader's reason. The value of a variable that is not set is unknown:
/// a setting that refers to one is kept.
fn refused(problems: &[Problem], draft: &Table) -> BTreeMap<Vec<Step>, (String, String)> {
    let entry = |problem: &Problem| (steps(&problem.path), (problem.path.clone(), problem.fault.to_string()));
    let is_known = |path: &[Step]| {
        find(draft, path).is_none_or(|value| value.variables().iter().all(|name| variable(name).is_some()))
    };
    problems.iter().map(entry).filter(|(path, _)| is_known(path)).collect()
}

/// Returns the value at a path.
fn find<'a>(draft: &'a Table, path: &[Step]) -> Option<&'a Document> {
    let (first, rest) = path.split_first()?;
    let Step::Key(first) = first else { return None };
    let start = draft.iter().find(|(key, _)| key == first).map(|(_, value)| value)?;
    rest.iter().try_fold(start, |value, step| match step {
        Step::Key(key) => value.get(key),
        Step::Index(index) => value.items().get(*index),
    })
}

/// A step of a path: a key, or the index of an item.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Key(String),
    Index(usize),
}

/// Returns the steps of a path such as `providers[2].keys[0].key`.
fn steps(path: &str) -> Vec<Step> {
    let index = |step: &str| step.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let step = |step: &str| index(step).map_or_else(|| Step::Key(step.to_owned()), Step::Index);
    path.replace('[', ".[").split('.').map(step).collect()
}

/// Removes the value at a path; if it does not exist, the nearest value around it. The list of providers stays.
fn remove(draft: &mut Table, path: &[Step]) -> bool {
    (1..=path.len()).rev().any(|length| {
        let is_list = path[..length] == [Step::Key("providers".to_owned())];
        !is_list && remove_at(draft, &path[..length])
    })
}

fn remove_at(draft: &mut Table, path: &[Step]) -> bool {
    let Some((last, around)) = path.split_last() else { return false };
    let mut root = Document::Table(std::mem::take(draft));
    let mut place = Some(&mut root);
    for step in around {
        place = match (place, step) {
            (Some(Document::Table(entries)), Step::Key(key)) => {
                entries.iter_mut().find(|(known, _)| known == key).map(|(_, value)| value)
            }
            (Some(Document::List(items)), Step::Index(index)) => items.get_mut(*index),
            _ => None,
        };
    }
    let is_removed = match (place, last) {
        (Some(Document::Table(entries)), Step::Key(key)) => take(entries, key).is_some(),
        (Some(Document::List(items)), Step::Index(index)) if *index < items.len() => {
            items.remove(*index);
            true
        }
        _ => false,
    };
    *draft = into_table(root);
    is_removed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(text: &str) -> Table {
        super::super::tables::into_table(Document::read("t.yaml", Format::Yaml, text).unwrap())
    }

    #[test]
    fn what_the_loader_refuses_is_removed_with_its_reason_and_the_rest_stays() {
        let mut report = Report::default();
        let from = "server: { lisen: x, timeout_ms: 5 }\nproviders:\n- { name: a, type: mock }\n- { name: b, type: nothing }\n\
                    - { name: c, type: zai, keys: [{ key: '${UNSET}', rpm_limit: many }] }";
        let result = accepted(draft(from), &mut report).unwrap();
        let to = "server: { timeout_ms: 5 }\nproviders:\n- { name: a, type: mock }\n- { name: c, type: zai, keys: [{ key: '${UNSET}' }] }";
        assert_eq!(result, draft(to));
        assert!(report.reason("server.lisen").unwrap().contains("unknown key"), "{report:?}");
    }

    #[test]
    fn a_setting_with_an_unset_variable_is_kept_and_two_keys_differ() {
        let from = "providers:\n- { name: a, type: zai, base_url: '${UNSET_URL}', keys: [{ key: '${UNSET_A}' }, { key: '${UNSET_B}' }] }";
        assert_eq!(accepted(draft(from), &mut Report::default()).unwrap(), draft(from));
    }

    #[test]
    fn a_draft_without_a_provider_is_refused_with_the_report() {
        let mut report = Report::default();
        report.skipped("providers[0]", "not the Messages API");
        let error = accepted(draft("providers: []"), &mut report).unwrap_err();
        assert!(error.to_string().contains("not the Messages API"), "{error}");
    }
}
