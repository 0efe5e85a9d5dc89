//! `cc-relay explain`.

use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::process::{Outcome, User};

const REQUEST: &str = r#"{"model":"claude-sonnet-5-5","max_tokens":8,"messages":[],"stream":true}"#;

const CONFIG: &str = "
providers:
  - name: anthropic
    type: anthropic
    passthrough: false
    keys: [{ key: one, priority: 3 }, { key: two, name: team, priority: 4 }]
  - { name: local, type: ollama, priority: 2, model_mapping: { 'claude-*': qwen3-coder } }
  - { name: off, type: mock, enabled: false }
  - { name: other, type: mock, models: [glm-5.3] }
routing: { strict_models: true }
";

fn user(config: &str) -> User {
    let user = User::new();
    user.write("config.yaml", config);
    user.write("request.json", REQUEST);
    user
}

/// The columns of each line before the reason, among them provider, type and model.
fn rows(outcome: &Outcome) -> Vec<Vec<&str>> {
    let lines = outcome.stdout.lines().skip(3);
    lines.map(|line| line.split_whitespace().take(5).collect()).collect()
}

#[test]
fn the_order_and_the_excluded_providers_are_shown() {
    let outcome = user(CONFIG).run(&["explain", "request.json"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
    assert!(
        outcome
            .stdout
            .starts_with("claude-sonnet-5-5, strategy failover: providers in the order of attempts\n\n"),
        "{outcome:?}"
    );
    let rows = rows(&outcome);
    let places: Vec<_> = rows.iter().map(|row| (row[0], row[1], row[2], row[4])).collect();
    let expected = [
        ("1", "anthropic", "anthropic", "claude-sonnet-5-5"),
        ("2", "anthropic", "anthropic", "claude-sonnet-5-5"),
        ("3", "local", "ollama", "qwen3-coder"),
        ("-", "other", "mock", "claude-sonnet-5-5"),
        ("-", "off", "mock", "claude-sonnet-5-5"),
    ];
    assert_eq!(places, expected, "{}", outcome.stdout);
    assert_eq!((rows[0][3], rows[1][3].len()), ("team", 8), "a key has its name, or else an id");
    for secret in ["one", "two"] {
        assert!(!outcome.stdout.split_whitespace().any(|word| word == secret), "{}", outcome.stdout);
    }
    assert!(outcome.stdout.contains("enabled: false"), "{}", outcome.stdout);
}

#[test]
fn the_plan_is_printed_as_json() {
    let outcome = user(CONFIG).run(&["explain", "--json", "request.json"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let explanation: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(
        (&explanation["model"], &explanation["strategy"]),
        (&json!("claude-sonnet-5-5"), &json!("failover"))
    );
    assert_eq!(explanation["refusal"], Value::Null);
    let names = |list: &str| {
        let list = explanation[list].as_array().unwrap().iter();
        list.map(|entry| entry["provider"].as_str().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(names("order"), ["anthropic", "anthropic", "local"]);
    assert_eq!(names("left_out"), ["other", "off"]);
    for entry in explanation["order"].as_array().unwrap() {
        let text = |key: &str| entry[key].as_str().is_some_and(|text| !text.is_empty());
        assert!(["provider", "type", "key", "model", "reason"].into_iter().all(text), "{entry}");
    }
    assert_eq!(explanation["left_out"][1]["reason"], "it has enabled: false");
}

#[test]
fn a_request_is_read_from_standard_input() {
    let user = user(CONFIG);
    let mut child = user.command(&["explain", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(REQUEST.as_bytes()).unwrap();
    let outcome = child.wait_with_output().unwrap();
    assert_eq!(outcome.status.code(), Some(0), "{outcome:?}");
}

#[test]
fn explain_sends_no_request() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let config = format!("providers: [{{ name: local, type: ollama, base_url: '{url}' }}]\n");
    assert_eq!(user(&config).run(&["explain", "request.json"]).code, Some(0));
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "explain has connected to the provider");
}

#[test]
fn a_request_without_a_usable_provider_exits_1_with_the_reason() {
    let config =
        "providers: [{ name: other, type: mock, models: [glm-5.3] }]\nrouting: { strict_models: true }\n";
    let outcome = user(config).run(&["explain", "request.json"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stdout.contains("no provider would receive it: "), "{outcome:?}");
    assert!(outcome.stdout.contains("claude-sonnet-5-5"), "{outcome:?}");
    assert!(outcome.stdout.contains("\n-  other"), "{outcome:?}");
    let as_json = user(config).run(&["explain", "--json", "request.json"]);
    let explanation: Value = serde_json::from_str(&as_json.stdout).unwrap();
    assert_eq!((as_json.code, explanation["order"].as_array().unwrap().len()), (Some(1), 0));
    assert!(explanation["refusal"].is_string());
}

#[test]
fn the_clients_credential_decides_about_candidates() {
    #[track_caller]
    fn check(settings: &str, client: &str, code: i32, stdout: &str, stderr: &str) {
        let config = format!("{settings}\nproviders: [{{ name: anthropic, type: anthropic }}]\n");
        let outcome = user(&config).run(&["explain", "--client", client, "request.json"]);
        assert_eq!(outcome.code, Some(code), "{outcome:?}");
        assert!(outcome.stdout.contains(stdout) && outcome.stderr.contains(stderr), "{outcome:?}");
    }
    check("", "nothing", 1, "no provider would receive it: no credential", "");
    check("", "subscription", 0, "client", "");
    check("", "api-key", 0, "client", "");
    check(
        "server: { auth: { api_key: k } }",
        "api-key",
        1,
        "no provider would receive it: no credential",
        "",
    );
    check("server: { auth: { api_key: k, allow_subscription: true } }", "subscription", 0, "client", "");
    check(
        "server: { auth: { allow_subscription: true } }",
        "nothing",
        1,
        "",
        "does not accept this credential",
    );
}

#[test]
fn a_subscription_comes_before_the_keys_at_anthropics_own_address() {
    #[track_caller]
    fn check(provider: &str, expected: &[&str], is_warned: bool) {
        let config = format!(
            "server: {{ auth: {{ allow_subscription: true }} }}\n\
             providers: [{{ name: a, type: anthropic, keys: [{{ key: k }}]{provider} }}]\n"
        );
        let user = user(&config);
        let outcome = user.run(&["explain", "--client", "subscription", "--json", "request.json"]);
        let explanation: Value = serde_json::from_str(&outcome.stdout).unwrap();
        let order = explanation["order"].as_array().unwrap();
        let keys: Vec<_> = order.iter().map(|candidate| candidate["key"].as_str().unwrap()).collect();
        assert_eq!(keys.len(), expected.len(), "{outcome:?}");
        assert!(
            keys.iter().zip(expected).all(|(key, expected)| *expected == "key" || key == expected),
            "{keys:?}"
        );
        let warned =
            user.run(&["config", "validate"]).stderr.contains("server.auth.allow_subscription: no enabled");
        assert_eq!(warned, is_warned, "{provider}");
    }
    check("", &["client", "key"], false);
    check(", base_url: 'https://api.anthropic.com'", &["client", "key"], false);
    check(", base_url: 'https://API.anthropic.com:443/'", &["client", "key"], false);
    check(", base_url: 'https://gateway.example'", &["key"], true);
    check(", passthrough: false", &["key"], true);
}

#[test]
fn a_request_that_cannot_be_read_is_reported() {
    let user = user("server: { max_body_bytes: 1024 }\nproviders: [{ name: a, type: mock }]\n");
    user.write("text", "hello");
    user.write("large", &" ".repeat(1025));
    for (file, expected) in [
        ("missing", "error: missing: cannot read the request: "),
        ("text", "error: the request would be refused: "),
        (
            "large",
            "error: large: larger than the 1024 bytes that a request may have (server.max_body_bytes)\n",
        ),
    ] {
        let outcome = user.run(&["explain", file]);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""), "{outcome:?}");
        assert!(outcome.stderr.starts_with(expected), "{outcome:?}");
    }
    assert_eq!(user.run(&["explain"]).code, Some(2));
}
