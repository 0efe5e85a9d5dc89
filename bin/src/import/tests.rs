//! Whole files of other relays. The expected results are in `testdata`, in the form that the command writes.

use std::path::{Path, PathBuf};

use relay_config::{Document, Format, Loader};

use super::*;

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/import/testdata").join(name)
}

#[track_caller]
fn check(name: &str, from: Source, expected: &str) -> Report {
    let (source, document) = source::read(&testdata(name), None).unwrap();
    assert_eq!(source, from, "{name}");
    let mut report = Report::default();
    let draft = accepted::accepted(convert(source, document, &mut report), &mut report).unwrap();
    let expected = std::fs::read_to_string(testdata(expected)).unwrap();
    assert_eq!(text(source, Format::Yaml, &draft), expected);
    let document = Document::Table(draft);
    let variables = document.variables().into_iter().enumerate();
    let environment: Vec<_> = variables.map(|(index, name)| (name, format!("value-{index}"))).collect();
    for format in [Format::Yaml, Format::Toml] {
        let loader = Loader::new().with_text("t", format, document.to_text(format));
        let loader = loader.with_environment(environment.clone());
        let loaded = loader.load().unwrap();
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    }
    report
}

#[test]
fn a_configuration_of_claude_code_router_keeps_the_providers_that_speak_the_messages_api() {
    let report = check("claude-code-router.json", Source::Router, "claude-code-router.result.yaml");
    for path in [
        "Providers[3]",
        "Router.think",
        "Router.longContext",
        "LOG",
        "Providers[0].transformer",
        "config.json",
    ] {
        assert!(report.reason(path).is_some(), "{path}: {report:?}");
    }
}

#[test]
fn numbers_of_claude_code_router_may_be_text_or_references() {
    let file = r#"{ PORT: "4567", API_TIMEOUT_MS: "$TIMEOUT", Providers: [] }"#;
    let draft = router::convert(&json5::from_str(file).unwrap(), &mut Report::default());
    let server = Document::Table(draft).get("server").cloned().unwrap();
    assert_eq!(server.get("listen").and_then(Document::as_str), Some("127.0.0.1:4567"));
    assert_eq!(server.get("timeout_ms").and_then(Document::as_str), Some("${TIMEOUT}"));
    let file = "{ PORT: '${CCR_PORT}', Providers: [] }";
    let draft = router::convert(&json5::from_str(file).unwrap(), &mut Report::default());
    let server = Document::Table(draft).get("server").cloned().unwrap();
    assert_eq!(server.get("listen").and_then(Document::as_str), Some("127.0.0.1:${CCR_PORT}"));
}

#[test]
fn a_configuration_of_litellm_has_one_provider_for_each_upstream() {
    let report = check("litellm.yaml", Source::LiteLlm, "litellm.result.yaml");
    for path in ["model_list[4]", "router_settings.redis_host", "general_settings.database_url"] {
        assert!(report.reason(path).is_some(), "{path}: {report:?}");
    }
}

#[test]
fn a_configuration_of_the_go_cc_relay_keeps_the_defaults_of_that_program() {
    let report = check("cc-relay-go.yaml", Source::CcRelay, "cc-relay-go.result.yaml");
    for path in ["cache", "grpc", "providers[1].azure_api_version", "providers[1].enabled", "server.api_key"]
    {
        assert!(report.reason(path).is_some(), "{path}: {report:?}");
    }
}

#[test]
fn no_secret_is_in_the_report_or_in_the_text_for_standard_output() {
    for (name, secrets) in [
        ("claude-code-router.json", &["secret-ccr", "sk-literal"][..]),
        ("litellm.yaml", &["AKIAX", "sk-1234"]),
        ("cc-relay-go.yaml", &["abc"]),
    ] {
        let (source, document) = source::read(&testdata(name), None).unwrap();
        let mut report = Report::default();
        let mut draft = convert(source, document, &mut report);
        assert!(secrets.iter().all(|secret| text(source, Format::Yaml, &draft).contains(secret)), "{name}");
        references::replace_secrets(&mut draft, &mut report);
        let shown = report.text() + &text(source, Format::Yaml, &draft);
        assert!(secrets.iter().all(|secret| !shown.contains(secret)), "{shown}");
    }
}
