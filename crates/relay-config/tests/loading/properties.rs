//! Properties that hold for any input.

use proptest::prelude::*;
use relay_config::{Format, Loader};

/// Pieces of configurations, so that random text gets past the first character.
const PIECES: &[&str] = &[
    "server",
    "providers",
    "keys",
    "key",
    "models",
    "model_mapping",
    "listen",
    "name",
    "type",
    "mock",
    "anthropic",
    ":",
    ": ",
    "- ",
    "\n",
    "\n  ",
    "\n    ",
    "[",
    "]",
    "{",
    "}",
    "[[providers]]\n",
    "[server]\n",
    " = ",
    "'",
    "\"",
    "\"\"\"",
    "'''",
    ",",
    "&a ",
    "*a",
    "!!str ",
    "<<: ",
    "${",
    "${A}",
    "$${",
    "}",
    "#",
    "|",
    ">-",
    "?",
    "---",
    "...",
    "1",
    "4.5",
    "true",
    "~",
    ".",
    "\t",
    "%YAML",
    "é",
    "\u{feff}",
    "\0",
    "@",
    "`",
];

fn any_text() -> impl Strategy<Value = String> {
    let pieces =
        prop::collection::vec(prop::sample::select(PIECES), 0..60).prop_map(|pieces| pieces.concat());
    prop_oneof![3 => pieces, 1 => any::<String>()]
}

/// A model name that needs no expansion.
fn plain_name() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9 :#'\"\\\\\\[\\]{},.&*!|>%@`~é\n\t-]{1,12}"
        .prop_filter("not blank", |name| !name.trim().is_empty())
}

#[derive(Debug, Clone)]
struct Tree {
    timeout: u32,
    http2: bool,
    providers: Vec<Upstream>,
}

/// Models, mapping, priority.
type Upstream = (Vec<String>, Vec<(String, String)>, i32);

fn tree() -> impl Strategy<Value = Tree> {
    let mapping = prop::collection::btree_map(plain_name(), plain_name(), 0..3);
    let mapping = mapping.prop_map(|map| {
        map.into_iter().map(|(name, target)| (name, target.replace('*', "-"))).collect::<Vec<_>>()
    });
    let provider = (prop::collection::vec(plain_name(), 0..3), mapping, any::<i32>());
    let providers = prop::collection::vec(provider, 0..4);
    (0..86_400_000_u32, any::<bool>(), providers).prop_map(|(timeout, http2, providers)| Tree {
        timeout,
        http2,
        providers,
    })
}

/// JSON strings are both YAML's and TOML's basic strings.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
}

impl Tree {
    fn yaml(&self) -> String {
        let mut text =
            format!("server:\n  timeout_ms: {}\n  enable_http2: {}\nproviders:\n", self.timeout, self.http2);
        for (index, (models, mapping, priority)) in self.providers.iter().enumerate() {
            text += &format!(
                "  - name: p{index}\n    type: mock\n    priority: {priority}\n    models: [{}]\n",
                list(models)
            );
            text += "    model_mapping:\n";
            for (name, target) in mapping {
                text += &format!("      {}: {}\n", quoted(name), quoted(target));
            }
        }
        text
    }

    fn toml(&self) -> String {
        let mut text = format!("[server]\ntimeout_ms = {}\nenable_http2 = {}\n", self.timeout, self.http2);
        for (index, (models, mapping, priority)) in self.providers.iter().enumerate() {
            text += &format!(
                "[[providers]]\nname = 'p{index}'\ntype = 'mock'\npriority = {priority}\nmodels = [{}]\n",
                list(models)
            );
            text += "[providers.model_mapping]\n";
            for (name, target) in mapping {
                text += &format!("{} = {}\n", quoted(name), quoted(target));
            }
        }
        text
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_text_makes_the_loader_panic(text in any_text()) {
        for format in [Format::Yaml, Format::Toml] {
            let loaded = Loader::new().with_text("c", format, text.clone()).load();
            if let Err(error) = loaded {
                prop_assert!(!error.problems().is_empty());
            }
        }
    }

    #[test]
    fn both_formats_of_one_tree_give_one_configuration(tree in tree()) {
        let load = |format, text| Loader::new().with_text("c", format, text).load().map(|loaded| loaded.config);
        let yaml = load(Format::Yaml, tree.yaml()).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let toml = load(Format::Toml, tree.toml()).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(format!("{yaml:?}"), format!("{toml:?}"));
        let shown = load(Format::Yaml, yaml.to_yaml()).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(format!("{:?}", shown.providers), format!("{:?}", yaml.providers));
    }

    #[test]
    fn a_value_is_expanded_once(value in any::<String>(), before in "[a-z$]{0,4}", after in "[a-z${]{0,4}") {
        prop_assume!(!value.trim().is_empty() && !before.ends_with('$') && !after.contains("${"));
        let environment = [("VALUE".to_owned(), value.clone()), ("a".to_owned(), "never".to_owned())];
        let text = format!("providers: [{{ name: a, type: mock, models: ['{before}${{VALUE}}{after}'] }}]");
        let loaded = Loader::new().with_environment(environment).with_text("c", Format::Yaml, text).load();
        let models = loaded.map_err(|error| TestCaseError::fail(error.to_string()))?.config.providers.remove(0).models;
        prop_assert_eq!(models, vec![format!("{before}{value}{after}")]);
    }

    #[test]
    fn a_literal_reference_survives(text in "[a-z{}]{0,8}") {
        let file = format!("providers: [{{ name: a, type: mock, models: ['$${{{text}'] }}]");
        let loaded = Loader::new().with_text("c", Format::Yaml, file).load();
        let models = loaded.map_err(|error| TestCaseError::fail(error.to_string()))?.config.providers.remove(0).models;
        prop_assert_eq!(models, vec![format!("${{{text}")]);
    }
}
