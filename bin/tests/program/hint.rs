//! The start-up hint of `cc-relay serve`: a client that follows it is served.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use crate::process::{Connection, Process, User};

const SUBSCRIPTION: &str = "sk-ant-oat01-of-the-user";
const BODY: &str =
    r#"{"model":"claude-sonnet-5-5","max_tokens":8,"messages":[{"role":"user","content":"hi"}]}"#;

const NO_AUTH: &str = "";
const API_KEY: &str = "api_key: secret-one";
const API_KEYS: &str = "api_keys: [{ name: a, key: secret-one }, { name: b, key: secret-two }]";
const BEARER: &str = "bearer_secret: secret-bearer";
const SUBSCRIPTION_ONLY: &str = "allow_subscription: true";
const KEY_AND_SUBSCRIPTION: &str = "api_key: secret-one, allow_subscription: true";
const ALL: &str =
    "api_keys: [{ name: a, key: secret-one }], bearer_secret: secret-bearer, allow_subscription: true";

const MOCK: &str = "{ name: m, type: mock }";

const OWN_LOGIN: &str = " claude (with your own Claude login or ANTHROPIC_API_KEY)";
const OWN_SUBSCRIPTION: &str = " claude (with your own Claude subscription)";
const PLACEHOLDER: &str = " ANTHROPIC_AUTH_TOKEN=managed-by-cc-relay claude";
const ONE_KEY: &str = " ANTHROPIC_AUTH_TOKEN=<server.auth.api_key> claude";
const ANY_KEY: &str = " ANTHROPIC_AUTH_TOKEN=<one of server.auth.api_keys> claude";
const BEARER_KEY: &str = " ANTHROPIC_AUTH_TOKEN=<server.auth.bearer_secret> claude";

/// Starts an upstream that accepts the subscription of the user and no other credential. Returns its address.
fn anthropic() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || listener.incoming().flatten().for_each(answer));
    address
}

fn answer(stream: TcpStream) {
    let mut reader = BufReader::new(stream);
    let (mut length, mut is_accepted) = (0, false);
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok() && line != "\r\n" && !line.is_empty() {
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        is_accepted |= lower.trim_end() == format!("authorization: bearer {SUBSCRIPTION}");
        assert!(!lower.contains("secret-"), "a client key of the relay was sent upstream");
        line.clear();
    }
    let mut body = vec![0; length];
    let _ = reader.read_exact(&mut body);
    let status = if is_accepted { "200 OK" } else { "401 Unauthorized" };
    let text = r#"{"type":"message","content":[]}"#;
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
        text.len()
    );
    let _ = reader.get_mut().write_all(answer.as_bytes());
}

/// Follows the hint in `line` as a user does, and returns the status.
fn follow(line: &str, address: SocketAddr) -> String {
    let token =
        line.split_once("ANTHROPIC_AUTH_TOKEN=").map(|(_, rest)| rest.split(" claude").next().unwrap());
    let token = match token {
        None => SUBSCRIPTION,
        Some("<server.auth.api_key>" | "<one of server.auth.api_keys>") => "secret-one",
        Some("<server.auth.bearer_secret>") => "secret-bearer",
        Some(token) => token,
    };
    let request = format!(
        "POST /v1/messages?beta=true HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    Connection::send(address, &request).read_to_end().lines().next().unwrap_or_default().to_owned()
}

/// Starts a relay with these client credentials and providers. Asserts its hints, and that a client that follows any of
/// them is served.
#[track_caller]
fn check(auth: &str, providers: &str, expected: &[&str]) {
    let user = User::new();
    user.write("config.yaml", &format!("server: {{ auth: {{ {auth} }} }}\nproviders: [{providers}]\n"));
    check_user(&user, expected);
}

#[track_caller]
fn check_user(user: &User, expected: &[&str]) {
    let (mut relay, address) = user.serve(&[]);
    let lines = hints(&mut relay, expected.len());
    let url = format!("ANTHROPIC_BASE_URL=http://{address}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.ends_with(&format!("{url}{expected}")), "{line}\nexpected {expected}");
        assert_eq!(follow(line, address), "HTTP/1.1 200 OK", "{line}");
    }
    assert!(!relay.seen().contains("secret-"), "{}", relay.seen());
}

fn hints(relay: &mut Process, count: usize) -> Vec<String> {
    (0..count).map(|index| relay.wait_for(if index == 0 { " to use it: " } else { " or: " })).collect()
}

#[test]
fn the_hint_works_with_providers_that_have_keys() {
    check(NO_AUTH, MOCK, &[PLACEHOLDER]);
    check(API_KEY, MOCK, &[ONE_KEY]);
    check(API_KEYS, MOCK, &[ANY_KEY]);
    check(BEARER, MOCK, &[BEARER_KEY]);
    check(SUBSCRIPTION_ONLY, MOCK, &[OWN_SUBSCRIPTION]);
    check(KEY_AND_SUBSCRIPTION, MOCK, &[ONE_KEY, OWN_SUBSCRIPTION]);
}

#[test]
fn the_hint_works_with_a_provider_that_passes_credentials_through() {
    let anthropic =
        format!("{{ name: a, type: anthropic, base_url: 'http://{}', passthrough: true }}", anthropic());
    check(NO_AUTH, &anthropic, &[OWN_LOGIN]);
    check(SUBSCRIPTION_ONLY, &anthropic, &[OWN_SUBSCRIPTION]);
    // A key admits a client here, but the provider needs the client's own credential.
    check(KEY_AND_SUBSCRIPTION, &anthropic, &[OWN_SUBSCRIPTION]);
    check(ALL, &anthropic, &[OWN_SUBSCRIPTION]);
}

#[test]
fn the_hint_works_with_both_kinds_of_providers() {
    let both = format!(
        "{{ name: a, type: anthropic, base_url: 'http://{}', passthrough: true }}, {MOCK}",
        anthropic()
    );
    check(NO_AUTH, &both, &[OWN_LOGIN, PLACEHOLDER]);
    check(API_KEY, &both, &[ONE_KEY]);
    check(BEARER, &both, &[BEARER_KEY]);
    check(SUBSCRIPTION_ONLY, &both, &[OWN_SUBSCRIPTION]);
    check(ALL, &both, &[ANY_KEY, OWN_SUBSCRIPTION]);
}

#[test]
fn discovered_providers_and_the_demonstration_have_a_hint() {
    let (mut relay, address) = User::new().serve(&["--demo"]);
    let line = hints(&mut relay, 1).remove(0);
    assert!(line.ends_with(PLACEHOLDER), "{line}");
    assert_eq!(follow(&line, address), "HTTP/1.1 200 OK");

    let (mut relay, _) = User::new().serve(&[]);
    assert!(hints(&mut relay, 1)[0].ends_with(OWN_LOGIN));
    let (mut relay, _) = User::new().with_variable("ZAI_API_KEY", "secret-of-zai").serve(&[]);
    let lines = hints(&mut relay, 2);
    assert!(lines[0].ends_with(OWN_LOGIN) && lines[1].ends_with(PLACEHOLDER), "{lines:?}");
    let user = User::new().with_variable("CC_RELAY_SERVER__AUTH__API_KEY", "secret-one");
    let (mut relay, _) = user.with_variable("ZAI_API_KEY", "secret-of-zai").serve(&[]);
    assert!(hints(&mut relay, 1)[0].ends_with(ONE_KEY));
    assert!(!relay.seen().contains("secret-"), "{}", relay.seen());
}

#[test]
fn a_relay_that_can_serve_no_client_says_so() {
    #[track_caller]
    fn check(server: &str, providers: &str, expected: &str) {
        let user = User::new();
        user.write("config.yaml", &format!("server: {{ {server} }}\nproviders: [{providers}]\n"));
        let (mut relay, _) = user.serve(&[]);
        let line = relay.wait_for("no client can be served: ");
        assert!(line.contains(expected), "{line}");
    }
    check(
        &format!("auth: {{ {API_KEY} }}"),
        "{ name: a, type: anthropic }",
        "set server.auth.allow_subscription",
    );
    let closed = "auth: { allow_subscription: true, subscription_may_use_keys: false }";
    check(closed, "{ name: z, type: zai, keys: [{ key: k }] }", "server.auth.subscription_may_use_keys");
}
