//! Fidelity: the relay forwards requests and responses byte for byte.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use relay_tests::fakes::anthropic::{self, Credential};
use relay_tests::fakes::{Reply, ollama};
use relay_tests::{Answer, Call, PROVIDER_KEY, Relay, Upstream, in_turn, provider, sse};
use serde_json::json;

/// A body with everything that parsing and serializing would change: whitespace, order, duplicate keys, forms of
/// numbers, escapes, unknown fields. It contains a thinking block, whose signature a change would invalidate.
const BODY: &str = concat!(
    "{ \"model\" : \"claude-opus-5-5\",\t\"max_tokens\":1.0e2 ,\r\n \"zz\":1, \"aa\":[ ], \"zz\":-0, \"n\":12345678901234567890.10,",
    r#""messages":[{"role":"user","content":"caf\u00e9 \ud83d\ude80 \/ é 🚀"},{"role":"assistant","content":[{"type":"thinking","#,
    r#""thinking":"\u003cmodel\u003e \"model\":\"claude-opus-5-5\"","signature":"EqQBCgIYAhIM1gbcDa9GJwZA2b3h+/=="},"#,
    r#"{"type":"tool_use","id":"t","name":"n","input":{"model":"claude-opus-5-5","stream":true}}]},"#,
    r#"{"role":"system","content":"x","output_config":{"effort":"medium"}}],"some_new_field":{"b":null,"a":1e300},"#,
    "\"metadata\":{\"user_id\":\"{\\\"device_id\\\":\\\"d\\\"}\"} , \"stream\":false }\n",
);

async fn upstream() -> Upstream {
    let rules = anthropic::rules(Credential::Key(PROVIDER_KEY));
    Upstream::builder().require(rules).answering(anthropic::answer).await
}

#[tokio::test]
async fn a_body_is_forwarded_byte_for_byte() {
    let upstream = upstream().await;
    let relay = Relay::start(&json!({"providers": [provider("a", "anthropic", &upstream.url())]})).await;
    assert_eq!(Call::messages(BODY).send(relay.address()).await.status, 200);

    let request = upstream.only_request();
    assert_eq!(request.body, BODY);
    assert_eq!(request.header("content-length"), BODY.len().to_string());
}

#[tokio::test]
async fn a_chunked_body_is_forwarded_byte_for_byte() {
    let upstream = upstream().await;
    let relay = Relay::start(&json!({"providers": [provider("a", "anthropic", &upstream.url())]})).await;
    let chunks: String = BODY.as_bytes().chunks(7).fold(String::new(), |mut all, chunk| {
        all.push_str(&format!("{:x}\r\n", chunk.len()));
        all.extend(chunk.iter().map(|&b| char::from(b)));
        all + "\r\n"
    });
    let bytes: Vec<u8> = chunks.chars().map(|c| c as u8).chain(*b"0\r\n\r\n").collect();
    let call = Call::messages(bytes).header("transfer-encoding", "chunked");
    assert_eq!(call.send(relay.address()).await.status, 200);
    assert_eq!(upstream.only_request().body, BODY);
}

#[tokio::test]
async fn a_model_mapping_changes_only_the_model() {
    let upstream = upstream().await;
    let mut mapped = provider("a", "anthropic", &upstream.url());
    mapped["model_mapping"] =
        json!({"claude-opus-*": "claude-haiku-5-5", "claude-opus-5-5": "claude-sonnet-\"5\""});
    let relay = Relay::start(&json!({"providers": [mapped]})).await;
    assert_eq!(Call::messages(BODY).send(relay.address()).await.status, 200);

    let expected = BODY.replacen(r#""claude-opus-5-5""#, r#""claude-sonnet-\"5\"""#, 1);
    assert_eq!(upstream.only_request().body, expected);
}

#[tokio::test]
async fn the_target_is_the_base_urls_path_with_the_clients_path_and_query() {
    let upstream = upstream().await;
    let url = format!("{}/pre/fix/", upstream.url());
    let relay = Relay::start(&json!({"providers": [provider("a", "anthropic", &url)]})).await;
    for (target, expected) in [
        ("/v1/messages", "/pre/fix/v1/messages"),
        ("/v1/messages?beta=true", "/pre/fix/v1/messages?beta=true"),
        ("/v1/messages?b=%2F&a=%C3%A9&a", "/pre/fix/v1/messages?b=%2F&a=%C3%A9&a"),
        ("/v1/messages/count_tokens?beta=true", "/pre/fix/v1/messages/count_tokens?beta=true"),
    ] {
        Call::post(target).header("anthropic-version", "2023-06-01").json(BODY).send(relay.address()).await;
        assert_eq!(upstream.requests().last().expect("a request").target, expected);
    }
}

#[tokio::test]
async fn end_to_end_headers_of_the_client_are_forwarded_and_hop_by_hop_headers_are_not() {
    let upstream = upstream().await;
    let relay = Relay::start(&json!({"providers": [provider("a", "anthropic", &upstream.url())]})).await;
    let forwarded = [
        ("accept", "application/json"),
        ("anthropic-version", "2026-10-21"),
        ("anthropic-beta", "claude-code-20250219,some-unknown-beta-2027-01-01"),
        ("anthropic-dangerous-direct-browser-access", "true"),
        ("anthropic-new-header", "of next month"),
        ("content-type", "application/json"),
        ("user-agent", "claude-cli/2.1.330 (external, sdk-cli)"),
        ("x-app", "cli"),
        ("x-claude-code-session-id", "20aa5c97-df0d-4ce7-b40b-3a32d07a11cf"),
        ("x-claude-code-agent-id", "0123456789abcdef0"),
        ("x-stainless-arch", "x64"),
        ("x-stainless-retry-count", "0"),
        ("x-stainless-timeout", "600"),
    ];
    let dropped = [
        ("connection", "keep-alive, x-of-this-hop"),
        ("x-of-this-hop", "yes"),
        ("keep-alive", "timeout=5"),
        ("te", "trailers"),
        ("proxy-authorization", "Basic eDp5"),
        ("cookie", "session=1"),
        ("forwarded", "for=10.0.0.1"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("x-real-ip", "10.0.0.1"),
        ("via", "1.1 proxy"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
    ];
    let call = forwarded
        .iter()
        .chain(&dropped)
        .fold(Call::post("/v1/messages"), |call, (name, value)| call.header(name, *value));
    assert_eq!(call.body(BODY).send(relay.address()).await.status, 200);

    let request = upstream.only_request();
    for (name, value) in forwarded {
        assert_eq!(request.headers.all(name).collect::<Vec<_>>(), [value], "{name}");
    }
    for (name, value) in dropped {
        assert_ne!(request.headers.get(name), Some(value), "{name}");
    }
}

#[tokio::test]
async fn end_to_end_headers_of_the_upstream_are_forwarded_and_hop_by_hop_headers_are_not() {
    let forwarded = [
        ("request-id", "req_of_the_upstream"),
        ("retry-after", "7"),
        ("retry-after-ms", "7000"),
        ("x-should-retry", "true"),
        ("anthropic-organization-id", "org"),
        ("anthropic-ratelimit-requests-remaining", "0"),
        ("anthropic-ratelimit-unified-status", "rejected"),
        ("cf-ray", "8f1"),
        ("server", "cloudflare"),
    ];
    let answer = forwarded.iter().fold(
        anthropic::error_with(400, "invalid_request_error", "no"),
        |answer, (name, value)| {
            if *name == "request-id" { answer } else { answer.with_header(name, *value) }
        },
    );
    let answer = answer.with_header("keep-alive", "timeout=5").with_header("connection", "x-of-this-hop");
    let answer = answer.with_header("x-of-this-hop", "yes");
    let upstream = Upstream::answering(in_turn([answer])).await;
    let relay = Relay::start(&json!({"providers": [provider("a", "anthropic", &upstream.url())]})).await;

    let response = Call::messages(BODY).send(relay.address()).await;
    for (name, value) in forwarded {
        let expected = if name == "request-id" { anthropic::REQUEST_ID } else { value };
        assert_eq!(response.headers.all(name).collect::<Vec<_>>(), [expected], "{name}");
    }
    assert_eq!(response.headers.get("x-of-this-hop"), None);
    assert_eq!(response.headers.get("keep-alive"), None);
}

#[tokio::test]
async fn a_request_id_is_added_to_a_response_without_one() {
    let upstream = Upstream::builder().require(ollama::rules()).answering(ollama::answer).await;
    let relay = Relay::start(&json!({"providers": [provider("a", "ollama", &upstream.url())]})).await;
    let body = r#"{"model":"qwen3-coder","max_tokens":8,"messages":[]}"#;
    let response = Call::messages(body).send(relay.address()).await;
    assert_eq!(response.status, 200);
    assert!(response.headers.get("request-id").is_some_and(|id| !id.is_empty()));
}

#[tokio::test]
async fn errors_of_the_request_are_forwarded_byte_for_byte() {
    // Errors that fail over, and errors of the provider's key, have their own tests.
    for status in [400, 409, 412, 413, 422] {
        let body = format!(
            r#"{{ "type":"error", "error":{{"message":"caf\u00e9 {status}","type":"x","details":null}} }}"#
        );
        let answer = Answer::json(status, &json!(null)).with_body(body.clone());
        let upstream = Upstream::answering(in_turn([answer])).await;
        let relay = Relay::start(&json!({"providers": [provider("a", "anthropic", &upstream.url())]})).await;
        let response = Call::messages(BODY).send(relay.address()).await;
        assert_eq!((response.status, response.body()), (status, body.into()));
    }
}

#[tokio::test]
async fn a_stream_is_forwarded_byte_for_byte_with_headers_against_buffering() {
    for (kind, name) in [
        ("anthropic", "anthropic/hello.sse"),
        ("anthropic", "anthropic/thinking_tool_use.sse"),
        ("anthropic_compatible", "zai/hello.sse"),
    ] {
        let upstream = Upstream::answering(in_turn([Answer::sse(sse::recorded(name))])).await;
        let relay = Relay::start(&json!({"providers": [provider("a", kind, &upstream.url())]})).await;
        let body = r#"{"model":"m","max_tokens":8,"messages":[],"stream":true}"#;
        let response = Call::messages(body).send(relay.address()).await;

        assert_eq!(response.body(), sse::recorded(name).concat(), "{name}");
        assert!(response.headers.get("content-type").is_some_and(|t| t.starts_with("text/event-stream")));
        assert_eq!(response.headers.all("cache-control").collect::<Vec<_>>(), ["no-cache, no-transform"]);
        assert_eq!(response.headers.get("x-accel-buffering"), Some("no"));
    }
}

#[tokio::test]
async fn the_models_name_in_the_response_is_restored_unless_configured_otherwise() {
    for (restore, expected) in [(false, "glm-5.3"), (true, "claude-opus-5-5")] {
        for stream in [false, true] {
            let upstream = upstream().await;
            let mut mapped = provider("a", "anthropic", &upstream.url());
            mapped["model_mapping"] = json!({"claude-opus-5-5": "glm-5.3"});
            let config = json!({"providers": [mapped], "routing": {"restore_model_name": restore}});
            let relay = Relay::start(&config).await;
            let body = json!({"model": "claude-opus-5-5", "max_tokens": 8, "messages": [], "stream": stream});
            let response = Call::messages(body.to_string()).send(relay.address()).await;
            let model = if stream {
                response.events()[0].json()["message"]["model"].clone()
            } else {
                response.json()["model"].clone()
            };
            assert_eq!(model, expected, "restore {restore}, stream {stream}");
        }
    }
}

/// Generates JSON whitespace.
fn space() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&["", "", "", " ", "\n  ", "\t\r\n"][..])
}

/// Generates a JSON string with all forms of escapes.
fn string() -> impl Strategy<Value = String> {
    let escapes = [r"\u00e9", r"\ud83d\ude80", r"\u003C", r"\/", r"\n", r#"\""#, r"\\", r"\ud800", r"\u0000"];
    let part =
        prop_oneof!["[a-z é🚀\u{7f}]{0,12}", prop::sample::select(escapes.map(str::to_owned).to_vec()),];
    prop::collection::vec(part, 0..4).prop_map(|parts| format!("\"{}\"", parts.concat()))
}

/// Generates a JSON value.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        prop::sample::select(["null", "true", "false"].map(str::to_owned).to_vec()),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,6})?([eE][+-]?[0-9]{1,3})?",
        string(),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        let item = (space(), inner.clone(), space()).prop_map(|(a, value, b)| format!("{a}{value}{b}"));
        prop_oneof![
            prop::collection::vec(item, 0..5).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(member(string(), inner), 0..5).prop_map(object),
        ]
    })
}

fn member(
    name: impl Strategy<Value = String>,
    value: impl Strategy<Value = String>,
) -> impl Strategy<Value = String> {
    (space(), name, space(), space(), value, space())
        .prop_map(|(a, name, b, c, value, d)| format!("{a}{name}{b}:{c}{value}{d}"))
}

fn object(members: Vec<String>) -> String {
    format!("{{{}}}", members.join(","))
}

/// Generates an object of members with these names and of unknown members, in any order and with duplicates. Values come
/// from `value`.
fn object_with(
    names: &'static [&'static str],
    value: impl Strategy<Value = String> + Clone + 'static,
) -> impl Strategy<Value = String> {
    let name =
        prop_oneof![4 => prop::sample::select(names).prop_map(|name| format!("\"{name}\"")), 1 => string()];
    prop::collection::vec(member(name, value), 0..7).prop_map(object)
}

/// Generates the body of a request, with valid and invalid values.
fn request() -> impl Strategy<Value = String> {
    let kinds = [
        "text",
        "image",
        "document",
        "thinking",
        "redacted_thinking",
        "tool_use",
        "tool_result",
        "system",
        "user",
        "assistant",
        "ephemeral",
        "new_2027",
    ];
    let kind = prop::sample::select(kinds.map(|kind| format!("\"{kind}\"")).to_vec());
    let field = prop_oneof![kind, value()].boxed();
    let names = &[
        "type",
        "text",
        "role",
        "cache_control",
        "signature",
        "source",
        "content",
        "input",
        "output_config",
        "defer_loading",
    ];
    let block = object_with(names, field.clone()).boxed();
    let blocks = |block: BoxedStrategy<String>| {
        prop::collection::vec((space(), block), 0..4)
            .prop_map(|blocks| {
                format!(
                    "[{}]",
                    blocks
                        .iter()
                        .map(|(space, block)| format!("{space}{block}"))
                        .collect::<Vec<_>>()
                        .join(",")
                )
            })
            .boxed()
    };
    let message = object_with(names, prop_oneof![field, blocks(block.clone())].boxed()).boxed();
    let top = prop_oneof![
        member(Just("\"messages\"".to_owned()), blocks(message)),
        member(prop::sample::select(&["\"system\"", "\"tools\""][..]).prop_map(str::to_owned), blocks(block)),
        member(Just("\"metadata\"".to_owned()), object_with(&["user_id"], value().boxed())),
        member(
            prop::sample::select(
                &["\"safeguards\"", "\"context_management\"", "\"speed\"", "\"thinking\"", "\"max_tokens\""]
                    [..]
            )
            .prop_map(str::to_owned),
            value()
        ),
        member(string(), value()),
    ];
    let model = member(
        prop::sample::select(&["\"model\"", "\"mod\\u0065l\""][..]).prop_map(str::to_owned),
        "\"[a-z0-9é-]{1,20}\"",
    );
    (space(), prop::collection::vec(top.clone(), 0..6), model, prop::collection::vec(top, 0..4), space())
        .prop_map(|(a, before, model, after, b)| {
            let members = before.into_iter().chain([model]).chain(after).collect();
            format!("{a}{}{b}", object(members))
        })
}

#[tokio::test]
async fn a_thousand_generated_requests_are_forwarded_byte_for_byte() {
    // The comparison needs no parser on either side.
    let message = Reply::new("m").text("Hello!").json();
    let rules = anthropic::rules(Credential::Key(PROVIDER_KEY));
    let upstream = Upstream::builder().require(rules);
    let upstream = upstream.answering(move |_| anthropic::success(Answer::json(200, &message))).await;
    let relay = Relay::start(&json!({"providers": [provider("a", "anthropic", &upstream.url())]})).await;
    let mut runner = TestRunner::deterministic();
    let requests = request();
    let mut sent = Vec::new();
    while sent.len() < 1000 {
        let body = requests.new_tree(&mut runner).expect("a request can be made").current();
        let response =
            Call::messages(body.clone()).header("anthropic-beta", "a, b,a").send(relay.address()).await;
        assert_eq!(response.status, 200, "{body}");
        sent.push(body);
    }
    let received = upstream.requests();
    assert_eq!(received.len(), sent.len());
    for (sent, received) in sent.iter().zip(&received) {
        assert!(received.body == *sent, "{sent}\n\nwas received as\n\n{:?}", received.body);
        assert_eq!(received.header("anthropic-beta"), "a, b,a");
    }
}
