//! Helpers of the tests: a loader with an environment, and its problems and warnings as lines.

use relay_config::{Format, LoadError, Loaded, Loader, schema};

/// The environment of every test.
pub(crate) const ENVIRONMENT: [(&str, &str); 6] = [
    ("KEY", "sk-key"),
    ("ODD", "a\"b'c#d$e${KEY}\\f: [{"),
    ("PORT", "9000"),
    ("YES", "true"),
    ("NO", "false"),
    ("EMPTY", ""),
];

pub(crate) fn loader(environment: &[(&str, &str)]) -> Loader {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Loader::new().with_environment(ENVIRONMENT.iter().chain(environment).map(owned))
}

pub(crate) fn load(format: Format, text: &str) -> Result<Loaded, LoadError> {
    let loaded = loader(&[]).with_text("c", format, text).load();
    if let Ok(Loaded { config, .. }) = &loaded
        && config.providers.iter().any(|provider| provider.enabled)
    {
        // A relay is built only from a configuration that passes this check as well.
        assert_eq!(config.check(), Ok(()), "{text}");
    }
    loaded
}

/// Returns the types of providers, as messages list them.
pub(crate) fn types() -> String {
    let schema: serde_json::Value = serde_json::from_str(&schema()).expect("JSON");
    let types = &schema["$defs"]["Provider"]["properties"]["type"]["oneOf"];
    let types = types.as_array().into_iter().flatten().filter_map(|rule| rule["const"].as_str());
    let types = types.map(|name| format!("`{name}`"));
    types.collect::<Vec<_>>().join(", ")
}

#[track_caller]
pub(crate) fn yaml(text: &str) -> Loaded {
    load(Format::Yaml, text).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
pub(crate) fn toml(text: &str) -> Loaded {
    load(Format::Toml, text).unwrap_or_else(|error| panic!("{error}"))
}

/// Asserts the problems of a YAML text, as `line:column: path: message`.
#[track_caller]
pub(crate) fn yaml_problems(text: &str, expected: &[&str]) {
    problems(load(Format::Yaml, text), expected);
}

/// Asserts the problems of a TOML text, as `line:column: path: message`.
#[track_caller]
pub(crate) fn toml_problems(text: &str, expected: &[&str]) {
    problems(load(Format::Toml, text), expected);
}

#[track_caller]
pub(crate) fn problems(loaded: Result<Loaded, LoadError>, expected: &[&str]) {
    let found: Vec<String> = match &loaded {
        Ok(_) => Vec::new(),
        Err(error) => error.to_string().lines().map(without_name).collect(),
    };
    assert_eq!(found, expected);
}

/// Asserts the warnings of a configuration without problems.
#[track_caller]
pub(crate) fn warnings(loaded: &Loaded, expected: &[&str]) {
    let found: Vec<String> =
        loaded.warnings.iter().map(|warning| without_name(&warning.to_string())).collect();
    assert_eq!(found, expected);
}

fn without_name(line: &str) -> String {
    line.strip_prefix("c:").unwrap_or(line).to_owned()
}
