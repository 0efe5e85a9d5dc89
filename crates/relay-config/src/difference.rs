//! The differences of two configurations, setting by setting.

use std::collections::HashMap;
use std::fmt;

use crate::config::Config;
use crate::show::{Setting, SettingValue};

/// The longest path, and the longest value, in the text of a difference, in characters.
const LONGEST: usize = 120;

/// A setting whose value differs between two configurations. It contains no secret.
///
/// Its text has the path, the value before and the value after: `routing.max_attempts: 6 -> 3`. The values of secrets are not
/// part of it. An item of a list that exists on one side only is one difference.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The path, such as `providers[zai].keys[team].weight`. An item of a list has its name, or its index.
    pub path: String,
    /// The values.
    pub kind: DifferenceKind,
}

/// The values of a [`Difference`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DifferenceKind {
    /// The setting has another value.
    Changed {
        /// The value before, as YAML. `None` if the setting was not made.
        before: Option<String>,
        /// The value after, as YAML. `None` if the setting is no longer made.
        after: Option<String>,
    },
    /// The secret has another value, or exists on one side only.
    Secret,
    /// The item of a list is new.
    Added,
    /// The item of a list is gone.
    Removed,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = shortened(&self.path);
        match &self.kind {
            DifferenceKind::Changed { before, after } => {
                let shown = |value: &Option<String>| value.as_deref().map_or("not set".to_owned(), shortened);
                write!(f, "{path}: {} -> {}", shown(before), shown(after))
            }
            DifferenceKind::Secret => write!(f, "{path}: changed"),
            DifferenceKind::Added => write!(f, "{path}: added"),
            DifferenceKind::Removed => write!(f, "{path}: removed"),
        }
    }
}

impl Config {
    /// Returns the differences of `after` to this configuration, in the order of the settings. Defaults are compared like
    /// settings that were made. The order of providers and of keys is not compared.
    ///
    /// ```
    /// use relay_config::{Format, Loader};
    ///
    /// let load = |text: &str| Loader::new().with_text("c.yaml", Format::Yaml, text).load();
    /// let before = load("providers: [{ name: a, type: mock }]")?.config;
    /// let after = load("{ providers: [{ name: a, type: mock, priority: 2 }], server: { max_concurrent: 8 } }")?.config;
    /// let differences: Vec<_> = before.differences(&after).iter().map(ToString::to_string).collect();
    /// assert_eq!(differences, ["server.max_concurrent: 0 -> 8", "providers[a].priority: 1 -> 2"]);
    /// # Ok::<(), relay_config::LoadError>(())
    /// ```
    #[must_use]
    pub fn differences(&self, after: &Self) -> Vec<Difference> {
        let (before, after) = (self.settings(), after.settings());
        let (known, new) = (by_path(&before), by_path(&after));
        let changed = after.iter().filter_map(|setting| {
            let before = known.get(&*setting.path)?;
            (*before != &setting.value)
                .then(|| Difference::new(&setting.path, Some(before), Some(&setting.value)))
        });
        let added =
            only_in(&after, &known).map(|setting| Difference::new(&setting.path, None, Some(&setting.value)));
        let removed =
            only_in(&before, &new).map(|setting| Difference::new(&setting.path, Some(&setting.value), None));
        changed.chain(added).chain(removed).collect()
    }
}

impl Difference {
    fn new(path: &str, before: Option<&SettingValue>, after: Option<&SettingValue>) -> Self {
        let text = |value: Option<&SettingValue>| match value {
            Some(SettingValue::Text(text)) => Some(text.clone()),
            _ => None,
        };
        let kind = match (before, after) {
            (Some(SettingValue::Secret(_)), _) | (_, Some(SettingValue::Secret(_))) => DifferenceKind::Secret,
            (None, Some(SettingValue::Item)) => DifferenceKind::Added,
            (Some(SettingValue::Item), None) => DifferenceKind::Removed,
            (before, after) => DifferenceKind::Changed { before: text(before), after: text(after) },
        };
        Self { path: path.to_owned(), kind }
    }
}

fn by_path(settings: &[Setting]) -> HashMap<&str, &SettingValue> {
    settings.iter().map(|setting| (&*setting.path, &setting.value)).collect()
}

/// Returns the settings that `other` does not have. The settings of an item that it does not have are not listed one by one.
fn only_in<'a>(
    settings: &'a [Setting],
    other: &'a HashMap<&str, &SettingValue>,
) -> impl Iterator<Item = &'a Setting> {
    let mut item: Option<&str> = None;
    settings.iter().filter(move |setting| {
        let within = |item: &str| setting.path.strip_prefix(item).is_some_and(|rest| rest.starts_with('.'));
        if other.contains_key(&*setting.path) || item.is_some_and(within) {
            return false;
        }
        if setting.value == SettingValue::Item {
            item = Some(&setting.path);
        }
        true
    })
}

/// Returns `value` with at most [`LONGEST`] characters.
fn shortened(value: &str) -> String {
    match value.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Format, Loader};

    fn load(text: &str) -> Config {
        Loader::new().with_text("c.yaml", Format::Yaml, text).load().unwrap().config
    }

    #[track_caller]
    fn check(before: &str, after: &str, expected: &[&str]) {
        let found = load(before).differences(&load(after));
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
    }

    const ZAI: &str = "{ name: zai, type: zai, keys: [{ key: first-secret, name: team }] }";

    #[test]
    fn each_setting_that_differs_is_listed_with_both_values() {
        let same = format!("providers: [{ZAI}]");
        check(&same, &same, &[]);
        check(&same, &format!("{{ server: {{ timeout_ms: 600000 }}, providers: [{ZAI}] }}"), &[]);
        check(
            &same,
            "providers: [{ name: zai, type: zai, keys: [{ key: first-secret, name: team, weight: 2 }], models: [glm-4.7], \
             model_mapping: { a: b } }]",
            &[
                "providers[zai].keys[team].weight: 1 -> 2",
                "providers[zai].models: [] -> [glm-4.7]",
                "providers[zai].model_mapping.a: not set -> b",
            ],
        );
        check(
            "{ prices: [{ models: [m], input: 1 }], providers: [{ name: a, type: mock }] }",
            "providers: [{ name: a, type: mock }]",
            &["prices[0]: removed"],
        );
    }

    #[test]
    fn an_item_of_a_list_is_one_difference() {
        let one = format!("providers: [{ZAI}]");
        let two = format!("providers: [{{ name: b, type: mock }}, {ZAI}]");
        check(&one, &two, &["providers[b]: added"]);
        check(&two, &one, &["providers[b]: removed"]);
        let other = "providers: [{ name: zai, type: zai, keys: [{ key: first-secret, name: team }, { key: k-2, name: b }] }]";
        check(&one, other, &["providers[zai].keys[b]: added"]);
    }

    #[test]
    fn the_values_of_secrets_are_not_shown() {
        let config = |key: &str, token: &str, header: &str| {
            format!(
                "{{ providers: [{{ name: zai, type: zai, keys: [{{ key: {key}, name: team }}], headers: {{ x-a: {header} }} }}], \
                 admin: {{ token: {token} }} }}"
            )
        };
        let expected = [
            "providers[zai].keys[team].key: changed",
            "providers[zai].headers.x-a: changed",
            "admin.token: changed",
        ];
        check(
            &config("secret-1", "secret-2", "secret-3"),
            &config("secret-4", "secret-5", "secret-6"),
            &expected,
        );
        let without = config("secret-1", "secret-2", "secret-3").replace("token: secret-2", "");
        check(&without, &config("secret-1", "secret-2", "secret-3"), &["admin.token: changed"]);
    }

    #[test]
    fn a_long_value_is_cut() {
        let models = |model: &str| {
            format!("providers: [{{ name: a, type: mock, models: [{}] }}]", [model; 40].join(", "))
        };
        let found = load(&models("a")).differences(&load(&models("bbbb")));
        let text = found[0].to_string();
        assert!(text.ends_with('…') && text.chars().count() < 300, "{text}");
    }
}
