//! `cc-relay serve`.

use std::net::TcpListener;

use serde_json::Value;

use crate::process::{Connection, User};

#[test]
fn the_demonstration_streams_an_answer() {
    let (mut relay, address) = User::new().serve(&["--demo", "--debug"]);
    let hint = relay.wait_for("to use it: ");
    assert!(hint.contains(&format!("ANTHROPIC_BASE_URL=http://{address} ")), "{hint}");
    let answer = Connection::request_stream(address).read_to_end();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("x-cc-relay-provider: demo-primary\r\n"), "{answer}");
    assert!(answer.contains("event: message_stop\n"), "{answer}");
    assert!(answer.ends_with("\r\n0\r\n\r\n"), "{answer}");
}

#[test]
fn serve_is_the_default_command() {
    let mut relay = User::new().spawn(&["--demo", "--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0"]);
    let first = relay.wait_for("listening on http://127.0.0.1:");
    let second = relay.wait_for("listening on http://127.0.0.1:");
    assert_ne!(first.split("http").nth(1), second.split("http").nth(1));
}

#[test]
fn without_a_file_the_providers_come_from_the_environment() {
    let user = User::new().with_variable("ZAI_API_KEY", "sk-visible");
    let (relay, address) = user.serve(&[]);
    for expected in [
        "no configuration file; `cc-relay config init` writes one",
        "found anthropic: clients' own credentials are passed through",
        "found zai: ZAI_API_KEY",
        "for more, set MINIMAX_API_KEY to add minimax",
    ] {
        assert!(relay.seen().contains(expected), "no {expected:?} in {}", relay.seen());
    }
    assert!(!relay.seen().contains("sk-visible"), "{}", relay.seen());
    let request = "GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    assert!(Connection::send(address, request).read_to_end().starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
fn a_configuration_with_mistakes_prevents_the_start() {
    let user = User::new();
    user.write("config.yaml", "providers: [{ name: zai, type: zay }]\n");
    let outcome = user.run(&[]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.starts_with("error: config.yaml:1:32: providers[0].type: found "), "{outcome:?}");
}

#[test]
fn a_port_in_use_is_reported_with_the_fix() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let outcome = User::new().run(&["--demo", "--listen", &address]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let expected = format!("error: cannot listen on {address}: the address is in use");
    assert!(outcome.stderr.starts_with(&expected), "{outcome:?}");
    assert!(outcome.stderr.contains("choose another port with --listen"), "{outcome:?}");
}

#[test]
fn the_log_is_json_if_configured() {
    let (relay, _) = User::new().serve(&["--demo", "--log-format", "json"]);
    for line in relay.seen().lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        assert_eq!(event["level"], "INFO", "{line}");
        assert!(event["message"].is_string() && event["timestamp"].is_string(), "{line}");
    }
}

#[test]
fn the_log_filter_selects_targets() {
    let user = User::new().with_variable("CC_RELAY_LOG", "cc_relay=info,relay_server=off");
    let (mut relay, address) = user.serve(&["--demo", "--log-level", "error"]);
    relay.wait_for("to use it");
    Connection::request_stream(address).read_to_end();
    #[cfg(unix)]
    {
        relay.signal("TERM");
        assert_eq!(relay.exit_code(), Some(0));
        assert!(relay.seen().contains("stopped"), "{}", relay.seen());
    }
    assert!(!relay.seen().contains("/v1/messages"), "{}", relay.seen());

    let outcome = User::new().with_variable("CC_RELAY_LOG", "a=b=c").run(&["--demo"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.starts_with("error: $CC_RELAY_LOG: not a log filter"), "{outcome:?}");
}

#[cfg(unix)]
#[test]
fn a_log_file_is_appended_to() {
    let user = User::new().with_variable("CC_RELAY_LOGGING__OUTPUT", "relay.log");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for _ in 0..2 {
        let outcome = user.run(&["--demo", "--listen", &address]);
        assert_eq!(outcome.stdout, "", "{outcome:?}");
    }
    let log = std::fs::read_to_string(user.path("relay.log")).unwrap();
    assert_eq!(log.matches("demonstration").count(), 2, "{log}");
    assert!(!log.contains('\x1b'), "{log}");
    assert_eq!(crate::process::mode(&user.path("relay.log")), 0o600);
}
