//! The state of a settings file before `init`, as it is remembered.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::document::Document;

/// The state of one settings file before `init`. The values may be secrets: no output shows them.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct Record {
    /// True if there was no file.
    pub(crate) created_file: bool,
    /// True if its directory was created too.
    pub(crate) created_directory: bool,
    /// True if the file had no `env`.
    pub(crate) created_env: bool,
    /// The whole text, if it was only white space.
    pub(crate) blank: Option<String>,
    /// The white space in the object that the first new member was added to, if it was empty.
    pub(crate) interior: Option<String>,
    pub(crate) variables: BTreeMap<String, Variable>,
}

/// A variable that `init` has set.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Variable {
    /// The JSON text of the value before `init`; `None` if there was none.
    pub(crate) former: Option<String>,
    /// The values that `init` has written, the last one at the end.
    pub(crate) written: Vec<String>,
}

impl Variable {
    /// Returns `true` if `init` has written this value.
    pub(crate) fn wrote(&self, value: Option<&str>) -> bool {
        value.is_some_and(|value| self.written.iter().any(|written| written == value))
    }
}

impl Record {
    /// The record of a file before the first change.
    pub(crate) fn of(document: &Document, exists: bool) -> Self {
        Self {
            created_file: !exists,
            created_env: document.env().is_none(),
            blank: (exists && document.is_blank())
                .then(|| String::from_utf8_lossy(&document.to_bytes()).into_owned()),
            interior: document.empty_interior(),
            ..Self::default()
        }
    }

    /// The record as JSON.
    pub(crate) fn to_json(&self) -> Value {
        let variables: Map<String, Value> = self
            .variables
            .iter()
            .map(|(name, variable)| {
                (name.clone(), json!({ "former": variable.former, "written": variable.written }))
            })
            .collect();
        json!({
            "created_file": self.created_file,
            "created_directory": self.created_directory,
            "created_env": self.created_env,
            "blank": self.blank,
            "interior": self.interior,
            "variables": variables,
        })
    }

    /// Reads a record; `None` if its variables cannot be read.
    pub(crate) fn from_json(value: &Value) -> Option<Self> {
        let flag = |name: &str| value[name].as_bool().unwrap_or_default();
        let text = |name: &str| value[name].as_str().map(str::to_owned);
        let variable = |value: &Value| {
            let written = value["written"].as_array()?.iter().map(|text| text.as_str().map(str::to_owned));
            Some(Variable {
                former: value["former"].as_str().map(str::to_owned),
                written: written.collect::<Option<_>>()?,
            })
        };
        let variables = value["variables"].as_object()?.iter();
        Some(Self {
            created_file: flag("created_file"),
            created_directory: flag("created_directory"),
            created_env: flag("created_env"),
            blank: text("blank"),
            interior: text("interior"),
            variables: variables
                .map(|(name, value)| Some((name.clone(), variable(value)?)))
                .collect::<Option<_>>()?,
        })
    }
}
