//! The log of a relay whose clients, upstreams and operator do what they can to bring a secret into it.

use std::time::Duration;

use relay_tests::{Answer, Call, Request, Upstream, sse, within};
use serde_json::{Value, json};

use crate::process::User;

/// The secrets of the configuration. Some characters of them are written in another way in URLs, JSON and `Debug`.
const CLIENT: &str = "key-of-a-client/with+marks=%&\"'\\";
const BEARER: &str = "bearer-secret-of-a-client\\\"?";
const PROVIDER: &str = "sk/key-of-the-first+provider==\"\\'";
const SECOND: &str = "plainkeyofthesecondprovider";
const HEADER: &str = "value-of-a-header/&+\"";
const ADMIN: &str = "token-of-the-admin\\api\"/";
/// Tokens that clients send, and that no configuration has.
const SUBSCRIPTION: &str = "sk-ant-oat01-subscription-of-a-person";
const UNKNOWN: &str = "sk-ant-api03-of-an-unknown-client";

const SECRETS: [&str; 8] = [CLIENT, BEARER, PROVIDER, SECOND, HEADER, ADMIN, SUBSCRIPTION, UNKNOWN];

/// Returns `text` with every byte percent-encoded that is reserved in a URL.
fn in_url(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

fn in_json(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// The forms of a secret that a reader of the log could use.
fn forms(secret: &str) -> Vec<String> {
    let debug = format!("{secret:?}");
    let debug = debug[1..debug.len() - 1].to_owned();
    let (twice, header) = (in_json(&in_json(secret)), secret.replace('"', "\\\""));
    vec![
        secret.to_owned(),
        in_json(secret),
        in_json(&debug),
        debug,
        twice,
        in_json(&header),
        header,
        in_url(secret),
        in_url(secret).to_lowercase(),
    ]
}

/// An upstream that repeats every credential of a request, as the model's name demands.
fn echo(request: &Request) -> Answer {
    let credentials: Vec<_> = ["x-api-key", "authorization", "x-extra"]
        .map(|name| request.headers.get(name).unwrap_or_default().to_owned())
        .into();
    let seen = credentials.join(" ");
    let text = format!("{seen} {} https://host/?key={}", "x".repeat(150), in_url(&seen));
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let model = body["model"].as_str().unwrap_or_default().to_owned();
    let error = |kind: &str| json!({"type": "error", "error": {"type": kind, "message": text}});
    let answer = match model.split_once('-') {
        Some(("status", status)) => Answer::json(status.parse().unwrap(), &error("api_error")),
        Some(("text", status)) => {
            Answer::new(status.parse().unwrap()).with_content_type("text/plain").with_body(text.clone())
        }
        Some(("redirect", _)) => Answer::new(302).with_header("location", format!("/?key={}", in_url(&seen))),
        Some(("event", kind)) => Answer::sse([sse::error(kind, &text)]),
        Some(("broken", _)) => Answer::json(200, &json!({"message": text})),
        _ => Answer::json(200, &error("authentication_error")),
    };
    answer.with_header("x-echo", in_url(&seen)).with_header("x-raw", seen.replace(['\n', '\r'], ""))
}

/// Returns the requests of clients that send their tokens wherever they can.
fn calls() -> Vec<Call> {
    let models =
        ["status-400", "status-401", "status-403", "status-500", "text-401", "text-502", "redirect-1"];
    let models =
        models.into_iter().chain(["event-api_error", "event-authentication_error", "broken-1", "other"]);
    let mut calls = Vec::new();
    for model in models {
        for token in [CLIENT, SUBSCRIPTION] {
            let stream = model.starts_with("event");
            let body = json!({"model": model, "max_tokens": 8, "stream": stream, "messages": [
                {"role": "user", "content": SECRETS.join(" ")}]});
            calls.push(Call::messages(body.to_string()).header("x-api-key", token));
        }
    }
    for secret in SECRETS {
        let body = json!({"model": format!("{}{secret}", "m".repeat(170)), "max_tokens": 8, "messages": [],
                          "metadata": {"user_id": format!("user_1_account_2_session_{secret}")}});
        let url = in_url(secret);
        let plain = secret.replace(' ', "");
        calls.push(
            Call::messages(body.to_string())
                .header("x-api-key", CLIENT)
                .header("x-claude-code-session-id", plain.clone()),
        );
        calls.push(Call::messages("{}").header("x-api-key", secret).header("x-request-id", plain.clone()));
        calls.push(
            Call::messages("{}")
                .header("authorization", format!("Bearer {secret}"))
                .header("content-type", secret),
        );
        calls.push(Call::get(format!("/v1/{url}?key={url}")).header("x-api-key", CLIENT));
        calls.push(
            Call::get(format!("/{}{url}", "p".repeat(180)))
                .header("x-api-key", CLIENT)
                .header("origin", secret),
        );
        calls.push(Call::get(format!("/v1/models/{url}?after_id={url}")).header("x-api-key", secret));
    }
    calls
}

fn config(upstream: &str) -> String {
    let provider = |name: &str, key: &str, priority: u32| {
        json!({"name": name, "type": "anthropic", "base_url": upstream, "priority": priority, "keys": [{"key": key}],
               "headers": {"x-extra": HEADER}})
    };
    let debug = json!({"log_request_body": true, "log_response_headers": true, "max_body_log_size": 300});
    json!({
        "server": {"auth": {"api_keys": [{"name": "team", "key": CLIENT}], "bearer_secret": BEARER, "allow_subscription": true}},
        "providers": [provider("first", PROVIDER, 2), provider("second", SECOND, 1)],
        "admin": {"token": ADMIN},
        "logging": {"debug_options": debug},
    })
    .to_string()
}

/// A token of no known form, which the relay passes through to an upstream that repeats it.
#[tokio::test]
async fn a_token_that_an_upstream_repeats_is_not_in_the_log() {
    const TOKEN: &str = "virtual/key\\of \"a\" client";
    for format in ["json", "text"] {
        let upstream = Upstream::answering(echo).await;
        let user = User::new()
            .with_variable("CC_RELAY_LOGGING__FORMAT", format)
            .with_variable("CC_RELAY_LOG", "trace");
        let provider =
            json!({"name": "a", "type": "anthropic", "base_url": upstream.url(), "passthrough": true});
        let debug = json!({"log_request_body": true, "log_response_headers": true, "max_body_log_size": 60});
        let config = json!({"providers": [provider], "logging": {"debug_options": debug}});
        user.write("config.yaml", &config.to_string());
        let (mut relay, address) = user.serve(&[]);
        for model in
            ["status-400", "status-401", "status-403", "status-500", "text-401", "redirect-1", "broken-1"]
        {
            for place in 0..60 {
                let body = json!({"a": "x".repeat(place), "b": TOKEN, "model": model, "max_tokens": 8, "messages": []});
                let call = Call::messages(body.to_string()).header("x-api-key", TOKEN);
                let _ = within(Duration::from_secs(20), "answer", call.send(address)).await;
                if place == 0 && model != "status-401" {
                    break;
                }
            }
        }
        relay.signal("TERM");
        assert_eq!(relay.exit_code(), Some(0));
        let log = relay.seen();
        assert!(log.contains("x-echo") && log.contains("***"), "{log}");
        for form in [
            TOKEN.to_owned(),
            in_json(TOKEN),
            in_json(&in_json(TOKEN)),
            in_url(TOKEN),
            "virtual/k".to_owned(),
        ] {
            let line = log.lines().find(|line| line.contains(&form));
            assert_eq!(line, None, "{format}: {form}");
        }
    }
}

#[tokio::test]
async fn no_secret_of_the_configuration_and_no_token_of_a_client_is_in_the_log() {
    for (format, pretty) in [("json", "false"), ("text", "false"), ("text", "true")] {
        let upstream = Upstream::answering(echo).await;
        let user = User::new()
            .with_variable("CC_RELAY_LOGGING__FORMAT", format)
            .with_variable("CC_RELAY_LOGGING__PRETTY", pretty)
            .with_variable("CC_RELAY_LOG", "trace");
        user.write("config.yaml", &config(&upstream.url()));
        let (mut relay, address) = user.serve(&[]);
        for call in calls() {
            let _ = within(Duration::from_secs(20), "answer", call.send(address)).await;
        }
        relay.signal("TERM");
        assert_eq!(relay.exit_code(), Some(0));
        let log = relay.seen();
        assert!(
            upstream.requests().len() > 20 && log.contains("***") && log.contains("request body"),
            "{log}"
        );
        for secret in SECRETS {
            for form in forms(secret) {
                let line = log.lines().find(|line| line.contains(&form));
                assert_eq!(line, None, "{format}: {form}");
            }
            // The part of it before a cut.
            let line = log.lines().find(|line| line.contains(&format!("{}…", &secret[..9])));
            assert_eq!(line, None, "{format}: {secret}");
        }
    }
}
