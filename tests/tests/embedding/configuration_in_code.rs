//! A relay is built from a configuration in code only if the loader would accept it in a file.

use relay_config::{Config, KindSpec, ProviderConfig, ProviderKind};
use relay_server::{BuildError, Relay};

fn provider(name: &str, kind: &str) -> ProviderConfig {
    let kind = ProviderKind::with_defaults(KindSpec::named(kind).unwrap()).unwrap();
    ProviderConfig::new(name, kind)
}

/// Asserts the paths of the problems for which no relay is built.
#[track_caller]
fn check(providers: Vec<ProviderConfig>, expected: &[&str]) {
    let paths: Vec<String> = match Relay::builder(Config::new(providers)).without_proxy().build() {
        Ok(_) => Vec::new(),
        Err(BuildError::Config(invalid)) => {
            invalid.problems.into_iter().map(|problem| problem.path).collect()
        }
        Err(other) => panic!("{other}"),
    };
    assert_eq!(paths, expected);
}

#[test]
fn a_configuration_that_no_file_could_have_is_not_built() {
    check(vec![provider("a", "mock")], &[]);
    check(vec![], &["providers"]);
    check(vec![provider("a", "mock"), provider("a", "mock")], &["providers[1].name"]);
    check(vec![provider("", "mock"), provider("z", "zai")], &["providers[0].name", "providers[1].keys"]);
}

#[tokio::test]
async fn no_provider_is_accepted_on_request_and_still_breaks_no_other_rule() {
    assert!(Relay::builder(Config::default()).allow_no_provider().build().is_ok());
    let mut config = Config::default();
    config.server.max_body_bytes = 0;
    let error = Relay::builder(config).allow_no_provider().build().unwrap_err();
    assert!(matches!(&error, BuildError::Config(invalid) if invalid.problems.len() == 1), "{error}");
    let text = "the configuration is invalid:\nserver.max_body_bytes: found the number 0, expected";
    assert!(error.to_string().starts_with(text), "{error}");
}
