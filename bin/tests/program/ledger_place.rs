//! The place of the usage ledger: none without a home directory, and a temporary one in a demonstration.

use std::path::Path;

use crate::admin::{admin_address, operator, request};
use crate::process::{Connection, User};

/// An operator whose relays keep a ledger.
fn user() -> User {
    operator().with_variable("CC_RELAY_USAGE__ENABLED", "true")
}

#[test]
fn without_a_home_directory_the_log_the_command_and_the_api_name_the_cause_and_the_fix() {
    const CAUSE: &str =
        "neither XDG_DATA_HOME nor HOME names an absolute directory for it; usage.path sets a file";
    for home in ["", "relative/home"] {
        let user = user().with_variable("HOME", home).with_variable("XDG_DATA_HOME", "relative");
        user.write("config.yaml", "providers: [{ name: a, type: mock }]\n");
        let (mut relay, _) = user.serve(&[]);
        let admin = admin_address(&mut relay);
        let warning = format!("the relay runs without a usage ledger: {CAUSE}");
        assert!(relay.seen().contains(&warning), "{}", relay.seen());
        let (status, answer) = request(admin, "GET", "/admin/v1/usage");
        assert_eq!(status, "HTTP/1.1 503 Service Unavailable", "{answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert_eq!(message, format!("there is no usage ledger: {CAUSE}"));
        let outcome = user.run(&["usage"]);
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        assert!(outcome.stderr.contains(&format!("there is no usage ledger: {CAUSE}")), "{outcome:?}");
        let disabled = user.with_variable("CC_RELAY_USAGE__ENABLED", "false").run(&["usage"]);
        assert!(disabled.stderr.contains("there is no usage ledger: usage.enabled is false"), "{disabled:?}");
    }
}

#[test]
fn a_demonstration_keeps_its_usage_apart_from_that_of_the_user_until_it_stops() {
    let user = user().with_variable("CC_RELAY_USAGE__PATH", "own.db");
    let (mut relay, address) = user.serve(&["--demo"]);
    let admin = admin_address(&mut relay);
    assert!(relay.seen().contains("dashboard and admin on http://"), "{}", relay.seen());
    let line =
        relay.seen().lines().find(|line| line.contains("the usage of the demonstration is kept")).unwrap();
    let file = line.split("file=").nth(1).unwrap().trim().to_owned();
    assert!(Connection::request_stream(address).read_to_end().starts_with("HTTP/1.1 200 OK\r\n"));
    let (_, report) = request(admin, "GET", "/admin/v1/usage");
    let total = &report["total"];
    assert_eq!(
        (&total["requests"], &total["cost_usd"], &total["unpriced_requests"]),
        (&1.into(), &0.0.into(), &0.into())
    );
    let outcome = user.run(&["usage", "--demo"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("a demonstration keeps its usage only until it stops"), "{outcome:?}");
    let outcome = user.run(&["usage", "--demo", "--file", &file]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    relay.signal("TERM");
    assert_eq!(relay.exit_code(), Some(0));
    assert!(!Path::new(&file).exists(), "{file}");
    assert!(!user.path("own.db").exists());
}
