//! Checks a tree against the schema, and converts its values to the types of the schema.
//!
//! Invalid values are reported and removed, so that later steps see a tree of the right shape and can report
//! further problems.

use crate::describe::{bounds, describe, expected, range};
use crate::error::{Concern, Fault, Place};
use crate::kinds::{KeyNeed, KindSpec};
use crate::other_relays;
use crate::report::Report;
use crate::schema::{self, Rule, Schema};
use crate::secret_text::{self, Cleaned};
use crate::suggest::nearest;
use crate::syntax::{missing_blank, odd_character, odd_in_value};
use crate::tree::{Entry, KeyPath, Node, Number, Value};
use crate::unimplemented_keys;

/// Checks `root`, and returns `true` if it contains a secret as plain text. A key that is never sent is none.
pub(crate) fn validate(root: &mut Node, schema: &Schema, report: &mut Report) -> bool {
    let mut validator = Validator { schema, report, secrets: Vec::new() };
    if let Some(rule) = schema.root() {
        let path = KeyPath::default();
        if let Err(fault) = validator.check(root, rule, &path) {
            validator.report.problem(root.at.clone(), &path, fault);
            root.value = Value::Map(Vec::new());
        }
    }
    let secrets = validator.secrets;
    secrets.iter().any(|path| !is_never_sent(root, path))
}

/// Returns `true` for the key of a provider whose type sends none.
fn is_never_sent(root: &Node, path: &KeyPath) -> bool {
    let kind = |provider: &Node| match provider.get("type").map(|kind| &kind.value) {
        Some(Value::Text(name) | Value::Loose(name)) => KindSpec::named(name),
        _ => None,
    };
    path.pattern() == "providers[].keys[].key"
        && path
            .first_index()
            .and_then(|index| root.get("providers")?.items().get(index))
            .and_then(kind)
            .is_some_and(|kind| kind.keys == KeyNeed::NeverSent)
}

struct Validator<'a> {
    schema: &'a Schema,
    report: &'a mut Report,
    /// The secrets that are written out.
    secrets: Vec<KeyPath>,
}

impl Validator<'_> {
    /// Checks `node`. Faults inside of it are reported; a fault of the node itself is returned.
    fn check(&mut self, node: &mut Node, rule: &Rule, path: &KeyPath) -> Result<(), Fault> {
        match schema::type_of(rule) {
            Some("object") => self.check_table(node, rule, path),
            Some("array") => self.check_list(node, rule, path),
            Some("integer") => check_integer(node, rule),
            Some("number") => check_number(node, rule),
            Some("boolean") => check_boolean(node),
            Some("string") if schema::is_secret(rule) => self.check_secret(node, rule, path),
            Some("string") => {
                check_characters(node, rule, path)?;
                self.check_string(node, rule, path)
            }
            _ => self.check_any(node, rule, path),
        }
    }

    fn check_table(&mut self, node: &mut Node, rule: &Rule, path: &KeyPath) -> Result<(), Fault> {
        if matches!(node.value, Value::Null) {
            node.value = Value::Map(Vec::new());
        }
        let Value::Map(entries) = &mut node.value else {
            let hint = match table_hint(node) {
                hint if hint.is_empty() => {
                    other_relays::shape_hint(&path.pattern()).unwrap_or_default().to_owned()
                }
                hint => hint,
            };
            return Err(self.unexpected(node, rule, "a table of keys and values", &hint));
        };
        entries.retain_mut(|entry| {
            let path = path.key(&entry.key);
            if unimplemented_keys::is_without_effect(&path.pattern()) {
                self.report.warning(entry.at.clone(), &path, Concern::NoEffect);
                return false;
            }
            let checked = self.check_entry(entry, rule, &path);
            let is_right = checked.is_ok();
            if let Err((place, fault)) = checked {
                self.report.problem(place, &path, fault);
            }
            is_right
        });
        self.check_required(node, rule, path);
        Ok(())
    }

    fn check_entry(&mut self, entry: &mut Entry, table: &Rule, path: &KeyPath) -> Result<(), (Place, Fault)> {
        if let Some(fault) = unimplemented_keys::refusal(&path.pattern(), &entry.node) {
            return Err((entry.at.clone(), fault));
        }
        let Some(value) = self.schema.property(table, &entry.key) else {
            // The schema contains no feature of later versions. A value that means "off" is accepted.
            return match unimplemented_keys::is_listed(&path.pattern()) {
                true => Ok(()),
                false => Err((entry.at.clone(), self.unknown(&entry.key, table, path))),
            };
        };
        let Some(rule) = self.schema.rule(value) else { return Ok(()) };
        self.check(&mut entry.node, rule, path).map_err(|fault| (entry.node.at.clone(), fault))
    }

    fn check_required(&mut self, table: &Node, rule: &Rule, path: &KeyPath) {
        for key in rule.get("required").and_then(|keys| keys.as_array()).into_iter().flatten() {
            let Some(key) = key.as_str().filter(|key| table.get(key).is_none()) else { continue };
            let own = self.schema.property(rule, key).and_then(|value| self.schema.rule(value));
            let expected = own.map_or_else(String::new, |own| format!("give {}", expected(own)));
            self.report.problem(table.at.clone(), &path.key(key), Fault::Missing { expected });
        }
    }

    fn check_list(&mut self, node: &mut Node, rule: &Rule, path: &KeyPath) -> Result<(), Fault> {
        match &node.value {
            Value::Null => node.value = Value::List(Vec::new()),
            Value::Loose(text) => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                let items = items.map(|item| Node::new(node.at.clone(), Value::Loose(item.to_owned())));
                node.value = Value::List(items.collect());
            }
            _ => {}
        }
        let Value::List(items) = &mut node.value else {
            let brackets = if matches!(node.value, Value::Text(_)) { "put it in brackets: [ ]" } else { "" };
            let hint = other_relays::shape_hint(&path.pattern()).unwrap_or(brackets);
            return Err(self.unexpected(node, rule, "a list", hint));
        };
        if items.is_empty() && rule.contains_key("minItems") {
            return Err(Fault::Value {
                found: "an empty list".to_owned(),
                expected: "at least one item".to_owned(),
                hint: String::new(),
            });
        }
        let Some(rule) = rule.get("items").and_then(|items| self.schema.rule(items)) else { return Ok(()) };
        for (index, item) in items.iter_mut().enumerate() {
            let path = path.index(index);
            if let Err(fault) = self.check(item, rule, &path) {
                self.report.problem(item.at.clone(), &path, fault);
                item.value = match schema::type_of(rule) {
                    Some("object") => Value::Map(Vec::new()),
                    _ => Value::Text(String::new()),
                };
            }
        }
        Ok(())
    }

    fn check_string(&mut self, node: &mut Node, rule: &Rule, path: &KeyPath) -> Result<(), Fault> {
        if let Value::Number(Number { text, whole: Some(_) }) = &node.value
            && schema::takes_number(rule)
        {
            node.value = Value::Text(text.clone());
        }
        if let Value::Date(text) = &node.value
            && schema::is_expiry(rule)
        {
            node.value = Value::Text(text.clone());
        }
        let (Value::Text(text) | Value::Loose(text)) = &node.value else {
            let hint = match &node.value {
                Value::Bool(_) | Value::Number(_) if schema::is_expiry(rule) => String::new(),
                Value::Bool(_) | Value::Number(_) | Value::Date(_) if schema::is_secret(rule) => {
                    "put it in quotes".to_owned()
                }
                Value::Number(Number { text, .. }) if is_listener(path) => format!("write 127.0.0.1:{text}"),
                Value::Bool(value) => format!("put it in quotes: \"{value}\""),
                Value::Number(Number { text, .. }) | Value::Date(text) => {
                    format!("put it in quotes: \"{text}\"")
                }
                Value::Null => "give a value, or remove the line".to_owned(),
                _ => String::new(),
            };
            return Err(unexpected(node, rule, &expected(rule), &hint));
        };
        if text.trim().is_empty() && rule.contains_key("minLength") {
            return Err(unexpected(node, rule, "a non-empty string", ""));
        }
        let choices = schema::choices(rule);
        if !choices.is_empty() && !choices.contains(&text.as_str()) {
            let near =
                || nearest(text, choices.iter().copied()).map(|near| format!("did you mean `{near}`?"));
            let hint = other_relays::value_hint(&path.pattern(), text)
                .map(str::to_owned)
                .or_else(near)
                .unwrap_or_default();
            return Err(unexpected(node, rule, &expected(rule), &hint));
        }
        if schema::is_secret(rule) && matches!(node.value, Value::Text(_)) {
            self.secrets.push(path.clone());
        }
        Ok(())
    }

    /// Checks a secret after the slips of copying around it have been removed from `node`.
    fn check_secret(&mut self, node: &mut Node, rule: &Rule, path: &KeyPath) -> Result<(), Fault> {
        if let Value::Text(text) | Value::Loose(text) = &mut node.value {
            let Cleaned { text: cleaned, removed } = match schema::is_header(rule) {
                true => secret_text::clean_ends(text),
                false => secret_text::clean(text),
            };
            if cleaned.is_empty() {
                return Err(mismatch("an empty string".to_owned(), "a secret", "set it, or remove the line"));
            }
            if let Some(fault) = secret_text::fault(cleaned) {
                return Err(fault);
            }
            if let Some(reason) = secret_text::doubt(cleaned).filter(|_| !schema::is_header(rule)) {
                self.report.warning(node.at.clone(), path, Concern::DoubtfulSecret { reason });
            }
            if let Some(removed) = removed {
                self.report.warning(node.at.clone(), path, Concern::SecretTrimmed { removed });
                *text = cleaned.to_owned();
            }
        }
        self.check_string(node, rule, path)
    }

    /// Checks a rule with alternatives. A list is checked against the alternative for lists, any other value
    /// against the other one.
    fn check_any(&mut self, node: &mut Node, rule: &Rule, path: &KeyPath) -> Result<(), Fault> {
        let Some(alternatives) = rule.get("anyOf").and_then(|any| any.as_array()) else { return Ok(()) };
        let is_list = matches!(node.value, Value::List(_));
        let mut alternatives = alternatives.iter().filter_map(|value| self.schema.rule(value));
        match alternatives.find(|rule| (schema::type_of(rule) == Some("array")) == is_list) {
            Some(rule) => self.check(node, rule, path),
            None => Ok(()),
        }
    }

    /// Returns the fault of a value in place of a table or list. If that can hold secrets, the value may be one and
    /// is not shown.
    fn unexpected(&self, node: &Node, rule: &Rule, expected: &str, hint: &str) -> Fault {
        mismatch(describe(node, self.schema.holds_secret(rule)), expected, hint)
    }

    fn unknown(&self, key: &str, rule: &Rule, path: &KeyPath) -> Fault {
        if let Some(hint) = other_relays::key_hint(&path.pattern()) {
            return Fault::UnknownKey { hint: hint.to_owned() };
        }
        let known = rule.get("properties").and_then(|properties| properties.as_object());
        let known: Vec<&str> = known.into_iter().flatten().map(|(key, _)| key.as_str()).collect();
        let mut tables = self.schema.tables_with(key);
        // Of several tables, the one that encloses this table was probably meant.
        let pattern = path.pattern();
        let is_around = |table: &str| pattern.strip_prefix(table).is_some_and(|rest| rest.starts_with('.'));
        if let Some(around) = tables.iter().find(|table| is_around(table)).cloned() {
            tables = vec![around];
        } else if tables.iter().any(|table| !is_rare(table)) {
            tables.retain(|table| !is_rare(table));
        }
        let hint = if let Some(near) = nearest(key, known.iter().copied()) {
            format!("did you mean `{near}`?")
        } else if tables.is_empty() {
            let is_usable = |key: &&str| unimplemented_keys::is_usable(&path.beside(key).pattern());
            format!("known here: {}", known.into_iter().filter(is_usable).collect::<Vec<_>>().join(", "))
        } else {
            let tables: Vec<_> =
                tables.iter().map(|table| if table.is_empty() { "the top level" } else { table }).collect();
            format!("it belongs to {}", tables.join(" or "))
        };
        Fault::UnknownKey { hint }
    }
}

/// Returns `true` for a table that few configurations have. A key that other tables have too was probably meant for those.
fn is_rare(table: &str) -> bool {
    matches!(table, "metrics" | "admin" | "usage" | "server.auth.api_keys[]") || table.starts_with("prices[]")
}

/// Returns `true` at an address to listen on.
fn is_listener(path: &KeyPath) -> bool {
    matches!(&*path.pattern(), "server.listen" | "server.listen[]" | "admin.listen" | "metrics.listen")
}

/// Returns the hint for a text in the place of a table: a line `key:value` is a text.
fn table_hint(node: &Node) -> String {
    let Value::Text(text) = &node.value else { return String::new() };
    match (missing_blank(text), odd_character(text)) {
        (Some((_, key)), _) => {
            format!("a space is missing after the colon; write `{key}: ` before the value")
        }
        (_, Some(odd)) => format!("it contains {}; {}", odd.name, odd.fix),
        _ => String::new(),
    }
}

/// Refuses a text with characters that only look right, and a Windows path whose backslashes were read as escapes.
///
/// The names of models are not checked: an upstream defines them.
fn check_characters(node: &Node, rule: &Rule, path: &KeyPath) -> Result<(), Fault> {
    let Value::Text(text) = &node.value else { return Ok(()) };
    if path.pattern().contains("model") {
        return Ok(());
    }
    if let Some(odd) = odd_in_value(text) {
        let hint = format!("it contains {}; {}", odd.name, odd.fix);
        return Err(unexpected(node, rule, &expected(rule), &hint));
    }
    let is_path = text.get(1..2) == Some(":") && text.starts_with(|char: char| char.is_ascii_alphabetic());
    if is_path && text.contains(char::is_control) {
        let hint = "in double quotes `\\t`, `\\n` and others are control characters; write a Windows path in single quotes, as in \
                    'C:\\temp'";
        return Err(mismatch("a path with a control character".to_owned(), "a path", hint));
    }
    Ok(())
}

fn check_integer(node: &mut Node, rule: &Rule) -> Result<(), Fault> {
    if let Value::Loose(text) = &node.value
        && let Ok(whole) = text.trim().parse()
    {
        node.value = Value::Number(Number { text: text.clone(), whole: Some(whole) });
    }
    let (min, max) = bounds(rule);
    match &node.value {
        Value::Number(Number { whole: Some(whole), .. }) if (min..=max).contains(whole) => Ok(()),
        Value::Text(text) if text.parse::<i128>().is_ok() => {
            Err(unexpected(node, rule, &expected(rule), "remove the quotes"))
        }
        Value::Null => Err(unexpected(node, rule, &expected(rule), "give a value, or remove the line")),
        _ => Err(unexpected(node, rule, &expected(rule), "")),
    }
}

fn check_number(node: &mut Node, rule: &Rule) -> Result<(), Fault> {
    if let Value::Loose(text) = &node.value
        && text.trim().parse::<f64>().is_ok()
    {
        let text = text.trim().to_owned();
        node.value = Value::Number(Number { whole: text.parse().ok(), text });
    }
    let (min, max) = range(rule);
    match &node.value {
        Value::Number(number) if number.float().is_some_and(|found| (min..=max).contains(&found)) => Ok(()),
        Value::Text(text) if text.parse::<f64>().is_ok() => {
            Err(unexpected(node, rule, &expected(rule), "remove the quotes"))
        }
        Value::Text(text) if text.contains(|char: char| char.is_ascii_digit()) => {
            Err(unexpected(node, rule, &expected(rule), "write the number alone, with a decimal point"))
        }
        Value::Null => Err(unexpected(node, rule, &expected(rule), "give a value, or remove the line")),
        _ => Err(unexpected(node, rule, &expected(rule), "")),
    }
}

fn check_boolean(node: &mut Node) -> Result<(), Fault> {
    if let Value::Loose(text) = &node.value
        && let Ok(value) = text.trim().parse()
    {
        node.value = Value::Bool(value);
    }
    let hint = match &node.value {
        Value::Bool(_) => return Ok(()),
        Value::Text(text) if text == "true" || text == "false" => "remove the quotes",
        Value::Text(text) if matches!(text.to_ascii_lowercase().as_str(), "yes" | "on") => "write true",
        Value::Text(text) if matches!(text.to_ascii_lowercase().as_str(), "no" | "off") => "write false",
        Value::Null => "give a value, or remove the line",
        _ => "",
    };
    Err(unexpected(node, &Rule::new(), "true or false", hint))
}

fn unexpected(node: &Node, rule: &Rule, expected: &str, hint: &str) -> Fault {
    mismatch(describe(node, schema::is_secret(rule)), expected, hint)
}

fn mismatch(found: String, expected: &str, hint: &str) -> Fault {
    Fault::Value { found, expected: expected.to_owned(), hint: hint.to_owned() }
}
