//! Features that this version does not implement: a value that needs one is an error, a value that means "off" is
//! not.

use crate::check::{yaml, yaml_problems};

/// Asserts that `setting` in `section` is refused with `hint`.
#[track_caller]
fn refused(section: &str, setting: &str, what: &str, hint: &str) {
    let (text, column) = placed(section, setting);
    let path = format!("{section}.{}", setting.split(':').next().expect("a split has a first part"));
    let path = path.replace("providers", "providers[0]").replace(".keys.", ".keys[0].");
    let hint = if hint.is_empty() { String::new() } else { format!("; {hint}") };
    let expected = format!("1:{column}: {path}: {what} not available in this version{hint}");
    yaml_problems(&text, &[&expected]);
}

#[track_caller]
fn accepted(section: &str, setting: &str) {
    yaml(&placed(section, setting).0);
}

fn placed(section: &str, setting: &str) -> (String, usize) {
    let (before, after) = match section {
        "providers" if setting.starts_with("type") => {
            ("providers: [{ name: a, ".to_owned(), " }]".to_owned())
        }
        "providers" => ("providers: [{ name: a, type: mock, ".to_owned(), " }]".to_owned()),
        "providers.keys" => ("providers: [{ name: a, type: mock, keys: [{ ".to_owned(), " }] }]".to_owned()),
        section => {
            let depth = section.split('.').count();
            let open: String = section.split('.').map(|key| format!("{key}: {{ ")).collect();
            (open, " }".repeat(depth))
        }
    };
    let column = before.len() + 1;
    (format!("{before}{setting}{after}"), column)
}

const SETTING: &str = "this setting is";

#[test]
fn sections_of_unimplemented_features_are_refused() {
    refused("logging.debug_options", "log_tls_metrics: true", SETTING, "");
    refused("usage", "database_url: 'postgres://host/db'", SETTING, "the ledger is a file: usage.path");
    let state = "1:1: state: this setting is not available in this version; the state is kept in memory";
    yaml_problems("state: { backend: redis }", &[state]);
}

#[test]
fn values_that_mean_off_are_accepted() {
    for (section, setting) in [
        ("state", "backend: memory"),
        ("routing", "strategy: failover"),
        ("routing", "model_mapping: {}"),
        ("logging.debug_options", "log_tls_metrics: false"),
        ("providers", "weight: 1"),
        ("providers", "capabilities: {}"),
        ("providers", "fetch_images: false"),
        ("providers.keys", "weight: 1"),
    ] {
        accepted(section, setting);
    }
}
