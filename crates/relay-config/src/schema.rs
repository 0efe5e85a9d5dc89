//! The JSON Schema of the configuration file, and queries on it.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use crate::raw;
use crate::tree::KeyPath;
use crate::unimplemented_keys;

/// Returns the JSON Schema (draft 2020-12) of a configuration file as indented JSON, for editors and for
/// `cc-relay config schema`.
///
/// It is the schema that [`Loader`](crate::Loader) enforces. Settings of features that are not implemented are
/// included, and their description says so.
#[must_use]
pub fn schema() -> String {
    format!("{:#}", Schema::shared().root)
}

/// The schema that files are checked against.
#[derive(Debug)]
pub(crate) struct Schema {
    root: Value,
}

/// A subschema, with its `$ref` resolved.
pub(crate) type Rule = Map<String, Value>;

/// The schema of this version, which never changes.
static SCHEMA: LazyLock<Schema> = LazyLock::new(Schema::new);

impl Schema {
    /// Returns the schema. It is derived once in a process, which takes some milliseconds.
    pub(crate) fn shared() -> &'static Self {
        &SCHEMA
    }

    fn new() -> Self {
        let mut root =
            SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<raw::Root>().to_value();
        tidy(&mut root);
        let mut schema = Self { root };
        schema.mark_unavailable();
        schema
    }

    /// Marks settings that are not available in their description.
    fn mark_unavailable(&mut self) {
        let mut settings = Vec::new();
        self.visit(&mut |pattern, pointer| {
            if unimplemented_keys::is_listed(pattern) {
                settings.push(pointer.to_owned());
            }
        });
        for pointer in settings {
            if let Some(Value::Object(rule)) = self.root.pointer_mut(&pointer) {
                let about = rule.get("description").and_then(Value::as_str).unwrap_or_default();
                let about = format!("{about} Not available in this version.");
                rule.insert("description".to_owned(), about.into());
            }
        }
    }

    pub(crate) fn root(&self) -> Option<&Rule> {
        self.root.as_object()
    }

    /// Returns `value` as a rule, with its `$ref` resolved.
    pub(crate) fn rule<'a>(&'a self, value: &'a Value) -> Option<&'a Rule> {
        let rule = value.as_object()?;
        match rule.get("$ref").and_then(Value::as_str) {
            Some(reference) => self.root.pointer(reference.strip_prefix('#')?)?.as_object(),
            None => Some(rule),
        }
    }

    /// Returns the rule for `key` in a table: its own, otherwise the one for additional keys.
    pub(crate) fn property<'a>(&'a self, table: &'a Rule, key: &str) -> Option<&'a Value> {
        let own = table.get("properties").and_then(|properties| properties.get(key));
        own.or_else(|| table.get("additionalProperties").filter(|rest| **rest != Value::Bool(false)))
    }

    /// Returns the table at a path of keys. For a list, it is the table of its items.
    pub(crate) fn table(&self, keys: &[&str]) -> Option<&Rule> {
        keys.iter().try_fold(self.root()?, |rule, key| {
            let rule = self.rule(self.property(rule, key)?)?;
            rule.get("items").map_or(Some(rule), |items| self.rule(items))
        })
    }

    /// Returns the rule at a path, whose indices do not count.
    pub(crate) fn rule_at(&self, path: &KeyPath) -> Option<&Rule> {
        let pattern = path.pattern().replace("[]", "");
        let keys: Vec<&str> = pattern.split('.').collect();
        let (last, table) = keys.split_last()?;
        self.rule(self.property(self.table(table)?, last)?)
    }

    /// Returns `true` if a value of `rule`, or a part of it, is a secret.
    pub(crate) fn holds_secret(&self, rule: &Rule) -> bool {
        let properties = rule.get("properties").and_then(Value::as_object).into_iter().flatten();
        let parts = properties.map(|(_, part)| part);
        let mut parts = parts.chain(rule.get("items")).chain(rule.get("additionalProperties"));
        is_secret(rule) || parts.any(|part| self.rule(part).is_some_and(|part| self.holds_secret(part)))
    }

    /// Returns every setting that a variable or a flag can set: its path has no index, and its value is a scalar or
    /// a list of scalars.
    pub(crate) fn scalar_settings(&self) -> Vec<String> {
        let mut settings = Vec::new();
        self.visit(&mut |pattern, pointer| {
            let rule = self.root.pointer(pointer).and_then(|value| self.rule(value));
            let items = rule.and_then(|rule| rule.get("items")).and_then(|items| self.rule(items));
            let is_table = |rule: Option<&Rule>| rule.is_none_or(|rule| type_of(rule) == Some("object"));
            if !pattern.contains("[]") && !is_table(rule) && items.is_none_or(|items| !is_table(Some(items)))
            {
                settings.push(pattern.to_owned());
            }
        });
        settings
    }

    /// Returns the tables in which `key` can be used, as patterns such as `providers[]`. The root has an empty
    /// pattern.
    pub(crate) fn tables_with(&self, key: &str) -> Vec<String> {
        let mut tables = Vec::new();
        self.visit(&mut |pattern, _| {
            let (table, last) = pattern.rsplit_once('.').unwrap_or(("", pattern));
            if last == key && !unimplemented_keys::is_listed(table) && !unimplemented_keys::is_listed(pattern)
            {
                tables.push(table.to_owned());
            }
        });
        tables
    }

    /// Calls `seen` with the pattern of every key and the JSON pointer to its rule.
    fn visit(&self, seen: &mut dyn FnMut(&str, &str)) {
        self.visit_rule("", &self.root, seen);
    }

    fn visit_rule(&self, pattern: &str, value: &Value, seen: &mut dyn FnMut(&str, &str)) {
        let pointer = match value.get("$ref").and_then(Value::as_str) {
            Some(reference) => reference.trim_start_matches('#').to_owned(),
            None => String::new(),
        };
        let Some(rule) = self.rule(value) else { return };
        if let Some(items) = rule.get("items") {
            self.visit_rule(&format!("{pattern}[]"), items, seen);
        }
        for (key, value) in rule.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let pattern = if pattern.is_empty() { key.clone() } else { format!("{pattern}.{key}") };
            seen(&pattern, &format!("{pointer}/properties/{key}"));
            self.visit_rule(&pattern, value, seen);
        }
    }
}

/// Returns the type of a rule: `string`, `integer`, `boolean`, `array` or `object`, or `None` if it has
/// alternatives. A string that may be written as a number has the type `string`.
pub(crate) fn type_of(rule: &Rule) -> Option<&str> {
    match rule.get("type").and_then(Value::as_str) {
        None if rule.contains_key("oneOf") || takes_number(rule) => Some("string"),
        kind => kind,
    }
}

/// Returns `true` if a string may be written as a whole number without quotes.
pub(crate) fn takes_number(rule: &Rule) -> bool {
    let Some(Value::Array(kinds)) = rule.get("type") else { return false };
    ["string", "integer"].iter().all(|kind| kinds.iter().any(|known| known == kind))
}

/// Returns the values of an enumeration; none for any other rule.
pub(crate) fn choices(rule: &Rule) -> Vec<&str> {
    let listed = rule.get("enum").and_then(Value::as_array).into_iter().flatten();
    let described = rule.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    let described = described.flat_map(|variant| {
        let constant = variant.get("const").into_iter();
        constant.chain(variant.get("enum").and_then(Value::as_array).into_iter().flatten())
    });
    listed.chain(described).filter_map(Value::as_str).collect()
}

/// Returns `true` if a value is a secret, which messages must not show.
pub(crate) fn is_secret(rule: &Rule) -> bool {
    rule.get("writeOnly") == Some(&Value::Bool(true))
}

/// Returns `true` if a secret is the whole value of a header, in which quotes and `Bearer` may have a meaning.
pub(crate) fn is_header(rule: &Rule) -> bool {
    rule.get("format").and_then(Value::as_str) == Some("header")
}

/// The values that the end of a key accepts.
pub(crate) const EXPIRY: &str = "a date or a time with an offset, as in 2026-12-31 or 2026-12-31T18:00:00Z";

/// Returns `true` if a string is the end of a key, which TOML may write as a date or a time.
pub(crate) fn is_expiry(rule: &Rule) -> bool {
    rule.get("format").and_then(Value::as_str) == Some("expiry")
}

/// Removes the alternative `null` that schemars adds for `Option`, since an unset key is absent here, and the line
/// breaks of doc comments.
fn tidy(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Object(rule) => {
            rule.values_mut().for_each(tidy);
            if rule.get("default") == Some(&Value::Null) {
                rule.remove("default");
            }
            if let Some(Value::String(about)) = rule.get_mut("description") {
                *about = about.replace('\n', " ");
            }
            if let Some(Value::Array(kinds)) = rule.get_mut("type") {
                kinds.retain(|kind| kind != "null");
                if let [only] = kinds.as_slice() {
                    let only = only.clone();
                    rule.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(choices)) = rule.get_mut("anyOf") {
                choices.retain(|choice| choice.get("type") != Some(&Value::from("null")));
                if let [Value::Object(only)] = choices.as_slice() {
                    let only = only.clone();
                    rule.remove("anyOf");
                    for (key, value) in only {
                        rule.entry(key).or_insert(value);
                    }
                }
            }
        }
        _ => {}
    }
}
