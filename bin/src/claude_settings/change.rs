//! The changes of a settings file that `init` and `remove` make, without I/O.
//!
//! ```text
//! Document, Record, wanted ─init──▶ Document, Record, Change…
//! Document, Record ────────remove─▶ After, Change…
//! ```

use serde_json::Value;

use super::document::Document;
use super::record::{Record, Variable};

/// The largest number of values that `init` has written and `remove` recognizes, for each variable. An `init` that is interrupted
/// between its two files leaves one value of each run.
const WRITTEN_MAX: usize = 4;

/// A variable that `init` writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) name: &'static str,
    pub(crate) value: String,
}

/// The change of one variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) name: String,
    pub(crate) kind: ChangeKind,
}

/// The kind of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    /// Set by `init`. There was no value before.
    Added,
    /// Set by `init` in the place of another value, which is remembered.
    Replaced,
    /// Set by an earlier `init` to this value.
    Unchanged,
    /// Set to this value, but not by `init`.
    AlreadySet,
    /// Set back to the value before `init`.
    Restored,
    /// Removed, since there was no value before `init`.
    Removed,
    /// Left as it is, since it has changed after `init`.
    LeftAlone,
    /// Not in the file any more.
    Gone,
}

impl ChangeKind {
    /// Returns `true` if the file is different afterwards.
    pub(crate) fn is_edit(self) -> bool {
        matches!(self, Self::Added | Self::Replaced | Self::Restored | Self::Removed)
    }
}

/// A settings file after `remove`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum After {
    /// The bytes of the file.
    Written(Vec<u8>),
    /// No file, since `init` has created it and nothing else was added.
    Deleted,
}

/// The result of a command.
pub(crate) struct Edited {
    pub(crate) after: After,
    /// The record to remember; `None` if there is nothing to restore.
    pub(crate) record: Option<Record>,
    pub(crate) changes: Vec<Change>,
}

/// Sets the wanted variables in `document`, and restores those that an earlier `init` has set and that are no longer wanted.
/// `exists` is false if there is no file; `record` is that of an earlier `init`.
pub(crate) fn init(
    document: &mut Document,
    exists: bool,
    record: Option<Record>,
    wanted: &[Wanted],
) -> (Record, Vec<Change>) {
    // If the file is gone, so are the values before the earlier `init`.
    let mut record = record.filter(|_| exists).unwrap_or_else(|| Record::of(document, exists));
    if document.env().is_none() {
        record.created_env = true;
        record.interior = document.empty_interior();
    }
    let mut changes = Vec::new();
    for (name, variable) in std::mem::take(&mut record.variables) {
        if wanted.iter().any(|wanted| wanted.name == name) {
            record.variables.insert(name, variable);
        } else {
            changes.push(restore(document, &name, &variable));
        }
    }
    for Wanted { name, value } in wanted {
        let kind = set(document, &mut record, name, value);
        changes.push(Change { name: (*name).to_owned(), kind });
    }
    (record, changes)
}

fn set(document: &mut Document, record: &mut Record, name: &str, value: &str) -> ChangeKind {
    let current = document.get(name).map(str::to_owned);
    let current_value = current.as_deref().and_then(text_of);
    let is_same = current_value.as_deref() == Some(value);
    let known = record.variables.get_mut(name).filter(|variable| variable.wrote(current_value.as_deref()));
    let is_known = known.is_some();
    if is_same {
        return if is_known { ChangeKind::Unchanged } else { ChangeKind::AlreadySet };
    }
    match known {
        Some(variable) => variable.written.push(value.to_owned()),
        None => {
            let variable = Variable { former: current.clone(), written: vec![value.to_owned()] };
            record.variables.insert(name.to_owned(), variable);
        }
    }
    if let Some(variable) = record.variables.get_mut(name) {
        let excess = variable.written.len().saturating_sub(WRITTEN_MAX);
        variable.written.drain(..excess);
    }
    document.set(name, &Value::from(value).to_string());
    if current.is_some() { ChangeKind::Replaced } else { ChangeKind::Added }
}

/// Restores the variables of `record` that still have a value which `init` has written.
pub(crate) fn remove(document: &mut Document, record: &Record) -> (After, Vec<Change>) {
    let restored = record.variables.iter().map(|(name, variable)| restore(document, name, variable));
    let changes: Vec<Change> = restored.collect();
    let is_edited = changes.iter().any(|change| change.kind.is_edit());
    if is_edited && record.created_env && document.env().is_some_and(|env| env.members().next().is_none()) {
        document.remove_env();
    }
    if let Some(interior) = record.interior.as_deref().filter(|_| is_edited)
        && record.created_env == document.env().is_none()
    {
        document.set_empty_interior(interior);
    }
    let after = match &record.blank {
        _ if !document.is_empty() || !is_edited => After::Written(document.to_bytes()),
        _ if record.created_file => After::Deleted,
        Some(blank) => After::Written(blank.clone().into_bytes()),
        None => After::Written(document.to_bytes()),
    };
    (after, changes)
}

fn restore(document: &mut Document, name: &str, variable: &Variable) -> Change {
    let current = document.get(name).map(text_of);
    let kind = match (current, &variable.former) {
        (None, _) => ChangeKind::Gone,
        (Some(value), _) if !variable.wrote(value.as_deref()) => ChangeKind::LeftAlone,
        (Some(_), Some(former)) => {
            document.set(name, former);
            ChangeKind::Restored
        }
        (Some(_), None) => {
            document.remove(name);
            ChangeKind::Removed
        }
    };
    Change { name: name.to_owned(), kind }
}

/// Returns the text of a JSON string; `None` for another value.
pub(super) fn text_of(json: &str) -> Option<String> {
    match serde_json::from_str(json) {
        Ok(Value::String(text)) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;
