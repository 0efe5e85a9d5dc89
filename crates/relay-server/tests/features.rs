//! A configuration with a provider whose feature is not compiled in is refused by name.

#![cfg(not(all(feature = "azure", feature = "bedrock", feature = "vertex")))]

use relay_config::{Format, Loader};
use relay_server::{BuildError, Relay};

/// Asserts that a provider of `kind` cannot be built, if its feature is not compiled in.
#[track_caller]
fn check(kind: &str, settings: &str, is_compiled_in: bool) {
    let text = format!("providers: [{{ name: cloud, type: {kind}, {settings} }}]");
    let config = Loader::new().with_text("c.yaml", Format::Yaml, text).load().expect("a valid file").config;
    match Relay::builder(config).build() {
        Err(error @ BuildError::Feature { .. }) => {
            assert!(!is_compiled_in, "{error}");
            let expected = format!(
                "provider `cloud`: `type: {kind}` needs the feature `{kind}` of relay-server, which is not compiled in"
            );
            assert_eq!(error.to_string(), expected);
        }
        other => assert!(is_compiled_in, "{kind}: {:?}", other.err()),
    }
}

#[test]
fn a_kind_without_its_feature_is_refused_by_name() {
    check("azure", "azure_resource_name: r, keys: [{ key: k }]", cfg!(feature = "azure"));
    check("bedrock", "aws_region: us-east-1", cfg!(feature = "bedrock"));
    check("vertex", "gcp_region: us-east5, gcp_project_id: p", cfg!(feature = "vertex"));
}
