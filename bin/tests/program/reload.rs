//! The configuration file is read again while `cc-relay serve` runs.

use std::net::SocketAddr;
use std::time::Duration;

use relay_tests::fakes::{Reply, anthropic};
use relay_tests::{Answer, Call, Upstream, provider, within};
use serde_json::{Value, json};

use crate::admin::{admin_address, get, operator, request};
use crate::process::{Connection, Process, User};

const APPLIED: &str = "the new configuration is in use";
const STREAMS: usize = 200;

/// Sends `text` as a request to the admin API with this token, and returns the answer.
fn with_token(address: SocketAddr, target: &str, host: &str, token: &str) -> String {
    let text = format!(
        "{target} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    );
    Connection::send(address, &text).read_to_end()
}

/// Returns the warnings that the state shows.
fn warnings(admin: SocketAddr) -> Vec<String> {
    let (_, state) = request(admin, "GET", "/admin/v1/state");
    let warnings = state["warnings"].as_array().unwrap();
    warnings.iter().map(|warning| warning.as_str().unwrap().to_owned()).collect()
}

fn count(relay: &Process, phrase: &str) -> usize {
    relay.seen().lines().filter(|line| line.contains(phrase)).count()
}

#[test]
fn a_change_of_the_file_comes_into_use_and_the_log_has_the_differences_without_secrets() {
    let user = User::new();
    let config = |key: &str, attempts: u32| {
        json!({
            "providers": [{"name": "zai", "type": "zai", "keys": [{"key": key, "name": "team"}]}],
            "routing": {"max_attempts": attempts, "debug": true},
        })
    };
    user.write("config.yaml", &config("first-provider-key", 3).to_string());
    let (mut relay, _) = user.serve(&[]);
    user.write("config.yaml", &config("second-provider-key", 4).to_string());
    let line = relay.wait_for(APPLIED);
    for expected in
        ["INFO", "file change", "providers[zai].keys[team].key: changed", "routing.max_attempts: 3 -> 4"]
    {
        assert!(line.contains(expected), "no {expected:?} in {line}");
    }
    relay.signal("HUP");
    relay.wait_for("the configuration has not changed");
    relay.signal("TERM");
    assert_eq!(relay.exit_code(), Some(0));
    for secret in ["first-provider-key", "second-provider-key"] {
        assert!(!relay.seen().contains(secret), "{}", relay.seen());
    }
}

/// Returns the value of a metric.
fn metric(admin: SocketAddr, name: &str) -> f64 {
    let (_, metrics) = get(admin, "/metrics");
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name} in {metrics}")).parse().unwrap()
}

#[test]
fn the_metrics_count_reloads_and_show_that_the_file_is_not_in_use() {
    let user = operator();
    user.write("config.yaml", "providers: [{ name: a, type: mock }]");
    let (mut relay, _) = user.serve(&[]);
    let admin = admin_address(&mut relay);
    let results = || {
        ["applied", "unchanged", "rejected"]
            .map(|result| metric(admin, &format!("cc_relay_config_reloads_total{{result=\"{result}\"}}")))
    };
    let is_good = || metric(admin, "cc_relay_config_last_reload_successful") == 1.0;
    let good_at = || metric(admin, "cc_relay_config_last_reload_success_timestamp_seconds");
    let started = good_at();
    assert_eq!((results(), is_good(), started > 1.7e9), ([0.0; 3], true, true));

    user.write("config.yaml", "providers: [{ name: b, type: mock }]");
    relay.wait_for(APPLIED);
    let applied = good_at();
    assert_eq!((results()[0], is_good(), applied > started), (1.0, true, true));

    user.write("config.yaml", "providers: [{ name: b, type: moc }]");
    relay.wait_for("is invalid");
    assert!(results()[2] >= 1.0);
    assert_eq!((results()[0], is_good(), good_at()), (1.0, false, applied));

    user.write("config.yaml", "providers: [{ name: b, type: mock }]");
    let (status, _) = request(admin, "POST", "/admin/v1/reload");
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(results()[1] >= 1.0);
    assert_eq!((results()[0], is_good(), good_at() > applied), (1.0, true, true));

    std::fs::remove_file(user.path("config.yaml")).unwrap();
    let (status, _) = request(admin, "POST", "/admin/v1/reload");
    assert_eq!((&*status, is_good()), ("HTTP/1.1 422 Unprocessable Entity", false));
}

#[tokio::test]
async fn a_changed_mapping_applies_to_the_next_request() {
    let upstream = Upstream::answering(anthropic::answer).await;
    let user = User::new();
    let config = |model: &str| {
        let mut provider = provider("a", "anthropic", &upstream.url());
        provider["model_mapping"] = json!({"claude-*": model});
        json!({"providers": [provider]}).to_string()
    };
    user.write("config.yaml", &config("first"));
    let (mut relay, address) = user.serve(&[]);
    let call =
        Call::messages(r#"{"model":"claude-x","max_tokens":8,"messages":[{"role":"user","content":"hi"}]}"#);
    for (model, next) in [("first", "second"), ("second", "third")] {
        assert_eq!(within(Duration::from_secs(20), "answer", call.send(address)).await.status, 200);
        let body: Value = serde_json::from_slice(&upstream.requests().last().unwrap().body).unwrap();
        assert_eq!(body["model"], model);
        user.write("config.yaml", &config(next));
        relay.wait_for(&format!("providers[a].model_mapping.\"claude-*\": {model} -> {next}"));
    }
    assert_eq!(upstream.connections(), 1, "the connection of the provider stays");
}

#[tokio::test]
async fn streams_of_a_removed_provider_end_whole() {
    let upstream = Upstream::manual().await;
    let user = User::new();
    user.write(
        "config.yaml",
        &json!({"providers": [provider("a", "anthropic", &upstream.url())]}).to_string(),
    );
    let (mut relay, address) = user.serve(&[]);
    let body =
        r#"{"model":"claude-x","max_tokens":8,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
    let clients: Vec<_> =
        (0..STREAMS).map(|_| tokio::spawn(async move { Call::messages(body).send(address).await })).collect();
    let events = Reply::new("claude-x").text("Hello!").events();
    let (begin, end) = events.split_at(events.len() / 2);
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        let (mut stream, _) = upstream.exchange().await;
        stream.send_head(&Answer::event_stream()).await;
        stream.send_chunk(&begin.concat()).await;
        streams.push(stream);
    }
    user.write("config.yaml", &json!({"providers": [{"name": "b", "type": "mock"}]}).to_string());
    let line = relay.wait_for(APPLIED);
    assert!(line.contains("providers[b]: added; providers[a]: removed"), "{line}");
    user.write("config.yaml", "providers: [{ name: a, type: moc }]");
    relay.wait_for("ERROR");
    for mut stream in streams {
        stream.send_chunk(&end.concat()).await;
        stream.send_last_chunk().await;
    }
    for client in clients {
        let response = within(Duration::from_secs(20), "answer", client).await.unwrap();
        assert_eq!(response.events().last().map(|event| event.name.clone()).as_deref(), Some("message_stop"));
    }
    let next = Call::messages(body).send(address).await;
    assert_eq!(next.status, 200, "{}", next.text());
}

#[test]
fn an_invalid_file_is_reported_once_with_all_problems_and_the_relay_goes_on() {
    let user = operator();
    user.write("config.yaml", "providers: [{ name: a, type: mock }]\n");
    let (mut relay, address) = user.serve(&[]);
    let admin = admin_address(&mut relay);
    let invalid = "providers: [{ name: a, type: mock, weigth: 2 }]\nserver: { liste: x }\n";
    user.write("config.yaml", invalid);
    let line = relay.wait_for("ERROR");
    for expected in [
        "invalid",
        "config.yaml:1:36: providers[0].weigth: unknown key; did you mean `weight`?",
        "config.yaml:2:11: server.liste",
    ] {
        assert!(line.contains(expected), "no {expected:?} in {line}");
    }
    assert!(warnings(admin)[0].contains("the configuration file is not in use"), "{:?}", warnings(admin));
    let variables = [("CC_RELAY_ADMIN__LISTEN", admin.to_string())];
    let status = user.spawn_with(&["status", "--url", &format!("http://{address}")], &variables).outcome();
    assert!(status.stdout.contains("the configuration file is not in use"), "{status:?}");
    // The same text again is no change.
    user.write("config.yaml", invalid);
    user.write("config.yaml", "providers: [{ name: a, type: mock, weight: 2 }]\n");
    relay.wait_for(APPLIED);
    assert_eq!(count(&relay, "ERROR"), 1);
    assert_eq!(warnings(admin), [""; 0]);
    assert!(Connection::request_stream(address).read_to_end().contains("message_stop"));
}

#[test]
fn a_file_that_vanishes_keeps_the_configuration_until_it_is_back() {
    let user = operator();
    user.write("config.yaml", "providers: [{ name: a, type: mock }]\n");
    let (mut relay, address) = user.serve(&[]);
    let admin = admin_address(&mut relay);
    std::fs::remove_file(user.path("config.yaml")).unwrap();
    let line = relay.wait_for("is gone");
    assert!(line.contains("WARN") && line.contains("stays as it was"), "{line}");
    assert!(warnings(admin)[0].contains("is gone"));
    assert!(Connection::request_stream(address).read_to_end().contains("message_stop"));
    user.write("config.yaml", "providers: [{ name: b, type: mock }]\n");
    relay.wait_for(APPLIED);
    assert_eq!(warnings(admin), [""; 0]);
}

#[test]
fn the_level_of_the_log_is_replaced() {
    let user = operator();
    let config = |level: &str| {
        let logging = json!({"level": level, "debug_options": {"log_request_body": true}});
        json!({"providers": [{"name": "a", "type": "mock"}], "logging": logging}).to_string()
    };
    user.write("config.yaml", &config("info"));
    let (mut relay, address) = user.serve(&[]);
    let admin = admin_address(&mut relay);
    for (level, lines) in [("debug", 1), ("error", 1), ("info", 2)] {
        user.write("config.yaml", &config(level));
        // The change may have been noticed before.
        assert_eq!(request(admin, "POST", "/admin/v1/reload").0, "HTTP/1.1 200 OK");
        assert!(Connection::request_stream(address).read_to_end().contains("message_stop"));
        if level != "error" {
            relay.wait_for("path=\"/v1/messages\"");
        }
        assert_eq!(count(&relay, "path=\"/v1/messages\""), lines, "{}", relay.seen());
    }
    assert!(relay.seen().contains("DEBUG"), "{}", relay.seen());
    relay.signal("TERM");
    assert_eq!(relay.exit_code(), Some(0));
    assert_eq!(count(&relay, "path=\"/v1/messages\""), 2, "{}", relay.seen());
}

#[test]
fn a_storm_of_signals_is_answered_and_ends_nothing() {
    let user = User::new();
    user.write("config.yaml", "providers: [{ name: a, type: mock }]\n");
    let (mut relay, address) = user.serve(&[]);
    for _ in 0..50 {
        relay.signal("HUP");
    }
    relay.wait_for("the configuration has not changed");
    assert!(Connection::request_stream(address).read_to_end().contains("message_stop"));
    relay.signal("TERM");
    assert_eq!(relay.exit_code(), Some(0));
    let unchanged = count(&relay, "the configuration has not changed");
    assert!((1..=51).contains(&unchanged), "{unchanged}");
}

#[test]
fn without_a_file_a_signal_changes_nothing_and_the_log_has_the_reason() {
    let (mut relay, address) = User::new().serve(&["--demo"]);
    relay.signal("HUP");
    let line = relay.wait_for("nothing is reloaded");
    assert!(line.contains("the relay was started with --demo") && line.contains("SIGHUP"), "{line}");
    assert!(Connection::request_stream(address).read_to_end().contains("message_stop"));
}

#[test]
fn a_reload_by_the_admin_api_applies_its_own_settings_and_names_those_that_need_a_restart() {
    let user = operator();
    let mock = "providers: [{ name: a, type: mock }]\n";
    user.write("config.yaml", mock);
    let (mut relay, _) = user.serve(&[]);
    let admin = admin_address(&mut relay);
    let state = |host: &str, token: &str| {
        let answer = with_token(admin, "GET /admin/v1/state", host, token);
        answer.lines().next().unwrap().to_owned()
    };
    assert_eq!(state("relay.example", "none"), "HTTP/1.1 403 Forbidden");
    user.write(
        "config.yaml",
        &format!(
            "{mock}admin: {{ token: admin-token-1 }}\nserver: {{ allowed_hosts: [relay.example] }}\n\
             logging: {{ format: json }}\nmetrics: {{ path: /m }}\n"
        ),
    );
    relay.wait_for(APPLIED);
    assert_eq!(state("relay.example", "admin-token-0"), "HTTP/1.1 401 Unauthorized");
    assert_eq!(state("relay.example", "admin-token-1"), "HTTP/1.1 200 OK");
    for _ in 0..2 {
        let answer = with_token(admin, "POST /admin/v1/reload", "localhost", "admin-token-1");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["changed"], false, "{body}");
        let restart = ["logging.format: text -> json", "metrics.path: /metrics -> /m"];
        assert_eq!(body["restart"], json!(restart), "{body}");
        let message = body["message"].as_str().unwrap();
        assert!(message.contains("needs a restart: logging.format: text -> json"), "{message}");
    }
}

#[test]
fn the_command_for_claude_code_follows_the_configuration() {
    let user = operator();
    user.write("config.yaml", "providers: [{ name: a, type: mock }]\n");
    let (mut relay, address) = user.serve(&[]);
    let admin = admin_address(&mut relay);
    let command = || request(admin, "GET", "/admin/v1/state").1["client_command"].clone();
    let expected =
        |token: &str| format!("ANTHROPIC_BASE_URL=http://{address} ANTHROPIC_AUTH_TOKEN={token} claude");
    assert_eq!(command(), expected("managed-by-cc-relay"));
    let auth = "server: { auth: { api_key: a-client-key } }\n";
    user.write("config.yaml", &format!("{auth}providers: [{{ name: a, type: mock }}]\n"));
    relay.wait_for(APPLIED);
    assert_eq!(command(), expected("<server.auth.api_key>"));
}

#[test]
fn the_command_makes_a_running_relay_read_its_file_again() {
    let user = operator();
    let mock = "providers: [{ name: a, type: mock }]\n";
    let config =
        |admin: SocketAddr, token: &str| format!("{mock}admin: {{ listen: '{admin}', token: {token} }}\n");
    let file = user.write("config.yaml", &config("127.0.0.1:0".parse().unwrap(), "admin-token-1"));
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let (mut relay, _) = user.serve(&[]);
    let admin = admin_address(&mut relay);
    let url = format!("http://{admin}");
    let run = |arguments: &[&str]| user.run(&[&["reload", "--url", &url], arguments].concat());

    let same = run(&[]);
    assert_eq!((same.code, &*same.stdout), (Some(0), "the configuration has not changed\n"), "{same:?}");
    let json: Value = serde_json::from_str(&run(&["--json"]).stdout).unwrap();
    assert_eq!(json["changed"], false);

    user.write("config.yaml", "providers: [{ name: a, type: moc }]\n");
    let refused = user.spawn_with(&["reload", "--url", &url], &[]).outcome();
    assert!(refused.stderr.contains("refuses the token"), "{refused:?}");
    let token = [("CC_RELAY_ADMIN__TOKEN", "admin-token-1".to_owned())];
    let invalid = user.spawn_with(&["reload", "--url", &url], &token).outcome();
    assert_eq!((invalid.code, &*invalid.stdout), (Some(1), ""), "{invalid:?}");
    assert!(invalid.stderr.contains("config.yaml:1:30: providers[0].type"), "{invalid:?}");

    let nothing = user.spawn_with(&["reload", "--url", "http://127.0.0.1:1"], &token).outcome();
    assert_eq!(nothing.code, Some(1));
    assert!(nothing.stderr.contains("no relay answers at http://127.0.0.1:1"), "{nothing:?}");
    let wrong = user.run(&["reload", "--url", "ftp://x"]);
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
}
