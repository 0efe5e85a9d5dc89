//! `cc-relay status`.

use std::net::TcpListener;

use relay_tests::fakes::anthropic;
use relay_tests::{Call, Upstream};
use serde_json::{Value, json};

use crate::process::User;

#[test]
fn a_ready_relay_lists_its_providers() {
    let user = User::new();
    let (_relay, address) = user.serve(&["--demo"]);
    for url in [format!("http://{address}"), format!("http://{address}/"), address.to_string()] {
        let outcome = user.run(&["status", "--url", &url]);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
        let lines: Vec<_> = outcome.stdout.lines().collect();
        assert_eq!(lines[0], format!("cc-relay {} at http://{address}: ready", env!("CARGO_PKG_VERSION")));
        assert_eq!(lines[2], "PROVIDER      TYPE  STATE  MODELS");
        assert_eq!(
            lines[3],
            "demo-primary  mock  ready  claude-sonnet-5-5, claude-opus-5-5, claude-haiku-5-5"
        );
        assert!(lines[4].starts_with("demo-backup   mock  ready  "));
    }
}

#[test]
fn the_address_and_the_key_come_from_the_configuration() {
    let config = "
server: { auth: { api_keys: [{ name: laptop, key: only-for-laptops }] } }
providers: [{ name: local, type: mock }]
";
    let user = User::new();
    user.write("config.yaml", config);
    let (_relay, address) = user.serve(&[]);
    let outcome = user.run(&["status", "--listen", &address.to_string()]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stdout.contains("\nlocal     mock  ready  any\n"), "{outcome:?}");

    let stranger = User::new().run(&["status", "--url", &address.to_string()]);
    assert_eq!(stranger.code, Some(0), "{stranger:?}");
    assert!(stranger.stdout.contains("lists its providers only for clients with a key"), "{stranger:?}");
}

#[test]
fn a_relay_without_a_usable_provider_exits_1() {
    let user = User::new();
    user.write("config.yaml", "providers: [{ name: local, type: mock, enabled: false }]\n");
    let (_relay, address) = user.serve(&[]);
    let outcome = user.run(&["status", "--url", &address.to_string()]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stdout.contains(": no usable provider\n"), "{outcome:?}");
    assert!(outcome.stdout.contains("local     mock  disabled  any\n"), "{outcome:?}");
}

/// An invalid provider, whose problem is at this place.
const INVALID: &str = "providers: [{ name: zai, type: zay }]\n";
const PROBLEM: &str = "config.yaml:1:32: providers[0].type: found ";

#[test]
fn a_running_relay_is_found_by_its_listener_although_the_rest_of_the_file_is_invalid() {
    let user = User::new();
    let (_relay, address) = user.serve(&["--demo"]);
    user.write(
        "config.yaml",
        &format!("{INVALID}server: {{ listen: '{address}' }}\nadmin: {{ enabled: false }}\n"),
    );
    let outcome = user.run(&["status"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stdout.contains("demo-primary"), "{outcome:?}");
    let lines: Vec<_> = outcome.stderr.lines().collect();
    let [line] = lines[..] else { panic!("{outcome:?}") };
    assert!(line.starts_with("warning: the configuration cannot be loaded, "), "{line}");
    assert!(line.contains(PROBLEM) && line.ends_with(&format!("; using http://{address}")), "{line}");
    let json = user.run(&["status", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&json.stdout).unwrap()["status"], "ready", "{json:?}");

    // A variable in the place of a section that cannot be read either.
    user.write("config.yaml", &format!("{INVALID}server: {{ lisen: '127.0.0.1:1' }}\n"));
    let user = user.with_variable("CC_RELAY_SERVER__LISTEN", address.to_string());
    assert_eq!(user.run(&["status"]).code, Some(0));
    user.write("config.yaml", "providers: [\n");
    assert_eq!(user.run(&["status"]).code, Some(0));
}

#[test]
fn no_provider_is_looked_for_to_find_a_running_relay() {
    let ollama = TcpListener::bind("127.0.0.1:0").unwrap();
    ollama.set_nonblocking(true).unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let user = User::new()
        .with_variable("OLLAMA_HOST", ollama.local_addr().unwrap().to_string())
        .with_variable("CC_RELAY_ADMIN__LISTEN", closed.clone());
    for command in [&["status", "--listen", &closed][..], &["reload"], &["usage"]] {
        user.run(command);
        assert_eq!(ollama.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "{command:?}");
    }
}

#[test]
fn mistakes_in_the_configuration_do_not_matter_with_a_url() {
    let user = User::new();
    let (_relay, address) = user.serve(&["--demo"]);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    user.write("config.yaml", &format!("{INVALID}server: {{ listen: '{closed}' }}\n"));
    let named = user.run(&["status", "--url", &address.to_string()]);
    assert_eq!((named.code, &*named.stderr), (Some(0), ""), "{named:?}");
    let outcome = user.run(&["status"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains(&format!("no relay answers at http://{closed}; ")), "{outcome:?}");
    assert!(outcome.stderr.contains("--url"), "{outcome:?}");
    assert_eq!(outcome.stderr.matches(PROBLEM).count(), 1, "{outcome:?}");
}

#[test]
fn an_unreachable_relay_is_reported_with_the_fix() {
    // The port of a closed listener is free.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let outcome = User::new().run(&["status", "--listen", &address.to_string()]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains(&format!("no relay answers at http://{address}; start it with")));
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_an_upstream_rejects_are_listed() {
    let upstream = Upstream::answering(|request| match request.json().get("speed") {
        Some(_) => {
            anthropic::error_with(400, "invalid_request_error", "speed: Extra inputs are not permitted")
        }
        None => anthropic::answer(request),
    });
    let upstream = upstream.await;
    let config = format!(
        "providers: [{{ name: gateway, type: anthropic_compatible, auth: none, base_url: '{}' }}]",
        upstream.url()
    );
    let user = User::new();
    user.write("config.yaml", &config);
    let (mut relay, address) = user.serve(&[]);
    let body = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[],"speed":"fast"}"#;
    assert_eq!(Call::messages(body).send(address).await.status, 200);

    let line = relay.wait_for("it is removed from requests for an hour");
    assert!(line.contains("WARN") && line.contains("field speed"), "{line}");

    let outcome = user.run(&["status", "--url", &address.to_string()]);
    let expected = "gateway: removed from requests for an hour, since the provider rejected it:\n  claude-opus-5-5: field speed\n";
    assert!(outcome.stdout.contains(expected), "{outcome:?}");
}

#[test]
fn json_has_the_providers_and_says_which_are_usable() {
    let user = User::new();
    user.write(
        "config.yaml",
        "providers: [{ name: a, type: mock }, { name: b, type: mock, enabled: false }]\n",
    );
    let (_relay, address) = user.serve(&[]);
    let outcome = user.run(&["status", "--json", "--url", &address.to_string()]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(report["url"], format!("http://{address}"));
    assert_eq!((&report["status"], &report["is_ready"]), (&json!("ready"), &json!(true)));
    assert_eq!(report["has_keys"], json!(false), "no admin API answers");
    let usable: Vec<_> =
        report["providers"].as_array().unwrap().iter().map(|provider| &provider["is_usable"]).collect();
    assert_eq!(usable, [true, false]);

    user.write("config.yaml", "providers: [{ name: a, type: mock, enabled: false }]\n");
    let (_relay, address) = user.serve(&[]);
    let outcome = user.run(&["status", "--json", "--url", &address.to_string()]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!((&report["status"], &report["is_ready"]), (&json!("no usable provider"), &json!(false)));
}

#[test]
fn keys_are_listed_with_headroom_and_cooldown_if_the_admin_api_answers() {
    let admin = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = format!(
        "admin: {{ listen: '{admin}' }}
providers:
  - name: zai
    type: zai
    keys:
      - {{ name: first, key: secret-1, rpm_limit: 50 }}
      - {{ name: second, key: secret-2 }}
"
    );
    let user = User::new().with_variable("CC_RELAY_ADMIN__ENABLED", "true");
    user.write("config.yaml", &config);
    let (_relay, address) = user.serve(&[]);
    let listen = address.to_string();
    let outcome = user.run(&["status", "--listen", &listen]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let table = "\nPROVIDER  KEY     STATE   LEFT  LIMITS\n\
                 zai       first   ready  100 %  requests 50 of 50 per minute\n\
                 zai       second  ready      -\n";
    assert!(outcome.stdout.contains(table), "{}", outcome.stdout);

    let outcome = user.run(&["status", "--json", "--listen", &listen]);
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let keys = &report["providers"][0]["keys"];
    assert_eq!((&keys[0]["credential"], &keys[0]["headroom"]), (&json!("first"), &json!(1.0)), "{report}");
    assert_eq!((&keys[1]["credential"], &keys[1]["headroom"]), (&json!("second"), &json!(null)), "{report}");
    assert!(!outcome.stdout.contains("secret-"), "{}", outcome.stdout);
}
