//! Amazon Bedrock behind the relay: signatures, dialect, streams, errors and credentials.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use relay_tests::fakes::bedrock::{self, ACCESS_KEY, REGION, SECRET_KEY};
use relay_tests::fakes::{Reply, anthropic};
use relay_tests::{
    Answer, Call, Client, End, Ending, Python, Relay, RelayProcess, Request, Response, Upstream, in_turn,
    provider, rule,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const MODEL: &str = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0";

const BODY: &str = r#"{"model":"claude-sonnet-4-5","max_tokens":8,"messages":[]}"#;
const STREAMED: &str = r#"{"model":"claude-sonnet-4-5","max_tokens":8,"messages":[],"stream":true}"#;

/// A provider with keys of its own that maps every model to [`MODEL`].
fn bedrock_at(url: &str) -> Value {
    bedrock::provider(url, MODEL)
}

/// A provider like [`bedrock_at`] that takes its credentials from the environment.
fn ambient_at(url: &str) -> Value {
    json!({
        "name": "bedrock", "type": "bedrock", "base_url": url, "aws_region": REGION, "model_mapping": {"*": MODEL},
    })
}

async fn relay(providers: &[Value]) -> Relay {
    Relay::start(&json!({"providers": providers})).await
}

async fn strict(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Upstream {
    let signed = bedrock::signed_by(ACCESS_KEY, REGION, "bedrock");
    Upstream::builder().require(bedrock::rules()).require([signed]).answering(answer).await
}

fn reply() -> Reply {
    Reply::new("claude-sonnet-4-5")
        .thinking("Grüße 🚀", "c2lnbmF0dXJl")
        .text("two lines\nand a \"quote\"")
        .tool_use("toolu_1", "read", json!({"path": "/tmp/ä"}))
}

/// A request with the headers of Claude Code 2.1.330.
fn claude_code(body: &Value) -> Call {
    Call::messages(body.to_string())
        .header(
            "anthropic-beta",
            "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,\
             mid-conversation-tool-changes-2026-07-01,advanced-tool-use-2025-11-20,effort-2025-11-24",
        )
        .header("x-app", "cli")
        .header("x-stainless-lang", "js")
        .header("x-claude-code-session-id", "11111111-2222-3333-4444-555555555555")
        .header("user-agent", "claude-cli/2.1.330 (external, sdk-cli)")
        .header("x-api-key", "sk-ant-api03-of-the-client")
        .header("accept-encoding", "gzip, deflate, br, zstd")
}

/// Asserts that `authorization` of each request equals the value that botocore computes.
async fn assert_signed(requests: &[Request], service: &str, token: Option<&str>) {
    let Some(python) = Python::find() else { return };
    let calls: Vec<Value> = requests
        .iter()
        .map(|request| {
            json!({
                "method": request.method,
                "url": format!("http://{}{}", request.header("host"), request.target),
                "headers": {"content-type": request.header("content-type"), "host": request.header("host")},
                "body": base64_simd::STANDARD.encode_to_string(&request.body),
                "access_key": ACCESS_KEY, "secret_key": SECRET_KEY, "token": token,
                "region": REGION, "service": service, "date": request.header("x-amz-date"),
            })
        })
        .collect();
    for (request, expected) in requests.iter().zip(python.signatures(&calls).await) {
        assert_eq!(request.header("authorization"), expected, "{}", request.target);
        assert_eq!(request.headers.get("x-amz-security-token"), token);
    }
}

#[tokio::test]
async fn signatures_equal_those_of_botocore() {
    for token in [None, Some("FwoGZXIvYXdzTOKEN+/=")] {
        let upstream = strict(bedrock::answer).await;
        let mut provider = bedrock_at(&upstream.url());
        provider["model_mapping"] = json!({});
        if let Some(token) = token {
            provider["aws_session_token"] = json!(token);
        }
        let relay = relay(&[provider]).await;
        let models = [
            MODEL,
            "anthropic.claude-opus-5",
            "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-opus-5",
            "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abc123",
            "a b~c_d.e-f+g",
            "café;x?y#z%2F&=",
            "..",
        ];
        for model in models {
            for stream in [false, true] {
                let text = "hé ".repeat(10_000);
                let body = json!({"model": model, "max_tokens": 8, "stream": stream,
                    "messages": [{"role": "user", "content": text}]});
                let response = Call::messages(body.to_string()).send(relay.address()).await;
                assert_eq!(response.status, 200, "{:?}", response.body());
            }
            let count = json!({"model": model, "messages": []}).to_string();
            let count =
                Call::post("/v1/messages/count_tokens?beta=true").json(count).send(relay.address()).await;
            assert_eq!((count.status, count.json()), (200, json!({"input_tokens": 2095})));
        }
        let requests = upstream.requests();
        assert_eq!(requests.len(), models.len() * 3);
        let arn = &requests[2 * 3].target;
        assert_eq!(
            arn,
            "/model/arn:aws:bedrock:eu-west-1:123456789012:inference-profile%2Feu.anthropic.claude-opus-5/invoke"
        );
        assert_signed(&requests, "bedrock", token).await;
    }
}

#[tokio::test]
async fn a_request_to_the_messages_endpoint_is_signed_and_keeps_its_format() {
    let upstream = Upstream::builder()
        .require([bedrock::signed_by(ACCESS_KEY, REGION, "bedrock"), rule::without("x-api-key")])
        .answering(anthropic::answer)
        .await;
    let mut provider = bedrock_at(&format!("{}/anthropic", upstream.url()));
    provider["bedrock_api"] = json!("messages");
    provider["model_mapping"] = json!({"*": "anthropic.claude-opus-5"});
    let relay = relay(&[provider]).await;
    let body = json!({"model": "m", "max_tokens": 8, "messages": [], "stream": true, "speed": "fast"});
    let response = claude_code(&body).send(relay.address()).await;
    // The scripted API is at the root path: only the request matters here.
    assert_eq!(response.status, 404);
    let request = upstream.only_request();
    assert_eq!(request.target, "/anthropic/v1/messages");
    let mut expected = body;
    expected["model"] = json!("anthropic.claude-opus-5");
    assert_eq!(request.json(), expected);
    assert_eq!(request.header("anthropic-version"), "2023-06-01");
    let betas = request.header("anthropic-beta");
    assert!(betas.contains("tool-search-tool-2025-10-19") && !betas.contains("advanced-tool-use"), "{betas}");
    assert_signed(&[request], "bedrock", None).await;
}

#[tokio::test]
async fn a_bedrock_api_key_is_sent_as_a_bearer_token_without_a_signature() {
    let rules = [
        rule::header("authorization", "Bearer bedrock-api-key-of-the-relay"),
        rule::without("x-amz-date"),
        rule::without("x-amz-security-token"),
    ];
    let upstream =
        Upstream::builder().require(bedrock::rules()).require(rules).answering(bedrock::answer).await;
    let mut provider = ambient_at(&upstream.url());
    provider["aws_bearer_token"] = json!("bedrock-api-key-of-the-relay");
    let relay = relay(&[provider]).await;
    for body in [BODY, STREAMED] {
        let call = Call::messages(body).header("authorization", "Bearer sk-ant-api03-of-the-client");
        assert_eq!(call.send(relay.address()).await.status, 200);
    }
    assert!(!upstream.requests().iter().any(|request| request.mentions("sk-ant-")));
}

#[tokio::test]
async fn claude_code_request_is_adapted_to_bedrock() {
    let upstream = strict(bedrock::answer).await;
    let relay = relay(&[bedrock_at(&upstream.url())]).await;
    let body = json!({
        "model": "claude-sonnet-4-5",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "say hi"}]}],
        "system": [{"type": "text", "text": "You are", "cache_control": {"type": "ephemeral"}}],
        "tools": [{"name": "Read", "input_schema": {"type": "object"}, "defer_loading": true}],
        "metadata": {"user_id": "{}"},
        "max_tokens": 128_000,
        "thinking": {"type": "adaptive", "display": "omitted"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "medium"},
        "service_tier": "auto",
        "stream": true,
    });
    let response = claude_code(&body).send(relay.address()).await;
    assert_eq!(response.status, 200);
    let request = upstream.only_request();
    assert_eq!(request.target, format!("/model/{MODEL}/invoke-with-response-stream"));
    let mut expected = body;
    let members = expected.as_object_mut().expect("an object");
    members.retain(|name, _| {
        // The last is not for this model, and neither is its beta.
        !["model", "stream", "service_tier", "context_management", "output_config"].contains(&name.as_str())
    });
    members.insert("anthropic_version".to_owned(), json!("bedrock-2023-05-31"));
    let betas = [
        "interleaved-thinking-2025-05-14",
        "mid-conversation-tool-changes-2026-07-01",
        "tool-search-tool-2025-10-19",
    ];
    members.insert("anthropic_beta".to_owned(), json!(betas));
    assert_eq!(request.json(), expected);
    assert!(!request.mentions("sk-ant-"));
}

#[tokio::test]
async fn a_message_arrives_unchanged_except_for_bedrocks_metrics() {
    let message = Reply::new("claude-sonnet-4-5").text("Grüße").json().to_string();
    let with_metrics =
        message.replacen('{', r#"{"amazon-bedrock-invocationMetrics":{"inputTokenCount":9},"#, 1);
    for body in [message.clone(), with_metrics] {
        let answer = Answer::json(200, &json!(null)).with_body(body).with_header("x-amzn-requestid", "id-1");
        let upstream = strict(in_turn([answer])).await;
        let relay = relay(&[bedrock_at(&upstream.url())]).await;
        let response = Call::messages(BODY).send(relay.address()).await;
        assert_eq!((response.status, response.body()), (200, Bytes::from(message.clone())));
        assert_eq!(response.headers.get("request-id"), Some("id-1"));
    }
}

#[tokio::test]
async fn each_event_arrives_before_the_next_frame_is_sent() {
    let upstream = Upstream::builder().require(bedrock::rules()).manual().await;
    let relay = relay(&[bedrock_at(&upstream.url())]).await;
    let mut client = Client::connect(relay.address()).await;
    client.call(&Call::messages(STREAMED)).await;
    let (mut connection, _) = upstream.exchange().await;
    connection.send_head(&bedrock::event_stream()).await;
    for (number, event) in bedrock::events(&reply()).into_iter().enumerate() {
        connection.send_chunk(&bedrock::chunk(&event)).await;
        if number == 0 {
            let head = client.head().await;
            assert_eq!(
                (head.status, head.headers.get("content-type")),
                (200, Some("text/event-stream; charset=utf-8"))
            );
            assert_eq!(head.headers.get("request-id"), Some(bedrock::REQUEST_ID));
        }
        client.expect(&event).await;
    }
    assert_eq!(client.end(), None);
    connection.send_last_chunk().await;
    assert_eq!(client.chunk().await, None);
    assert_eq!(client.end(), Some(End::Complete));
}

#[tokio::test]
async fn a_stream_is_the_same_wherever_its_bytes_are_split() {
    const STREAMS: usize = 1000;
    let frames: Vec<u8> = bedrock::events(&reply()).iter().flat_map(|event| bedrock::chunk(event)).collect();
    let random = Mutex::new(fastrand::Rng::with_seed(20_261_122));
    let upstream = Upstream::answering(move |_| {
        let mut random = random.lock().expect("no thread panics while it holds the lock");
        // From a byte at a time, which is slow, to everything at once.
        let longest = if random.u8(..) < 4 { 1 } else { 1 << random.usize(4..14) };
        let mut rest = &frames[..];
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            let (piece, remaining) = rest.split_at(random.usize(1..=longest).min(rest.len()));
            pieces.push(Bytes::copy_from_slice(piece));
            rest = remaining;
        }
        bedrock::stream(pieces)
    })
    .await;
    let relay = relay(&[bedrock_at(&upstream.url())]).await;
    let expected = Bytes::from(bedrock::events(&reply()).concat());
    let mut client = Client::connect(relay.address()).await;
    for number in 0..STREAMS {
        client.call(&Call::messages(STREAMED)).await;
        let response = client.response().await;
        assert_eq!((response.body(), response.end), (expected.clone(), End::Complete), "stream {number}");
    }
}

/// Frames from other implementations: name, bytes, and `true` if they are valid.
fn vectors() -> Vec<(String, Bytes, bool)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/bedrock/eventstream.json");
    let vectors = std::fs::read(path).expect("the vectors are there");
    let vectors: Vec<Value> = serde_json::from_slice(&vectors).expect("the vectors are JSON");
    let frame = |vector: &Value| {
        let frame = vector["frame"].as_str().expect("a frame");
        Bytes::from(base64_simd::STANDARD.decode_to_vec(frame).expect("base64"))
    };
    let name = |vector: &Value| vector["name"].as_str().expect("a name").to_owned();
    vectors.iter().map(|vector| (name(vector), frame(vector), vector["valid"] == true)).collect()
}

#[tokio::test]
async fn recorded_frames_arrive_if_valid_and_break_the_stream_otherwise() {
    let (valid, invalid): (Vec<_>, Vec<_>) = vectors().into_iter().partition(|(_, _, valid)| *valid);
    let of = |name: &str| valid.iter().find(|vector| vector.0 == name).expect("a vector").1.clone();
    let opening = [of("chunk"), of("chunk with unicode")];
    let whole = bedrock::stream(opening.iter().cloned().chain([of("metrics")]));
    let upstream = strict(in_turn([whole])).await;
    let relay_ = relay(&[bedrock_at(&upstream.url())]).await;
    let response = Call::messages(STREAMED).send(relay_.address()).await;
    assert_eq!(response.end, End::Complete);
    let events: Vec<String> = response.events().into_iter().map(|event| event.name).collect();
    assert_eq!(events, ["message_start", "content_block_delta", "message_stop"]);
    assert!(!String::from_utf8_lossy(&response.body()).contains("invocationMetrics"));

    assert!(!invalid.is_empty());
    for (name, frame, _) in invalid {
        let answer = bedrock::stream(opening.iter().cloned().chain([frame, of("metrics")]));
        let upstream = strict(in_turn([answer])).await;
        let relay = relay(&[bedrock_at(&upstream.url())]).await;
        let response = Call::messages(STREAMED).send(relay.address()).await;
        assert!(response.end.is_broken(), "{name}: {:?}", response.body());
        assert_eq!(response.events().len(), 2, "{name}");
    }
}

/// Returns the first events of a stream, and the client's response if `frames` and then `ending` follow them.
async fn stream_then(frames: Vec<Bytes>, ending: Ending) -> (Vec<Bytes>, Response) {
    let events: Vec<_> = bedrock::events(&reply()).into_iter().take(4).collect();
    let opening = events.iter().map(|event| bedrock::chunk(event));
    let upstream = strict(in_turn([bedrock::stream(opening.chain(frames)).with_ending(ending)])).await;
    let relay = relay(&[bedrock_at(&upstream.url())]).await;
    (events, Call::messages(STREAMED).send(relay.address()).await)
}

#[tokio::test]
async fn an_exception_in_mid_stream_becomes_an_error_event() {
    for (name, kind) in [
        ("throttlingException", "rate_limit_error"),
        ("modelStreamErrorException", "api_error"),
        ("serviceUnavailableException", "overloaded_error"),
    ] {
        let exception = bedrock::exception(name, "Too many tokens, please wait before trying again.");
        let (events, response) = stream_then(vec![exception], Ending::Clean).await;
        assert_eq!(response.end, End::Complete);
        assert!(response.body().starts_with(&events.concat()), "{name}");
        let last = response.events().pop().expect("an event");
        assert_eq!(last.name, "error");
        let message = "Too many tokens, please wait before trying again.";
        assert_eq!(last.json(), json!({"type": "error", "error": {"type": kind, "message": message}}));
    }
}

#[tokio::test]
async fn a_damaged_or_cut_stream_is_broken_off_for_the_client() {
    let next = bedrock::chunk(&bedrock::events(&reply())[4]);
    let mut damaged = next.to_vec();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    for (frames, ending) in [
        (vec![Bytes::from(damaged)], Ending::Clean),
        (vec![next.slice(..next.len() / 2)], Ending::Clean),
        (vec![next.slice(..next.len() / 2)], Ending::Fin),
        (vec![], Ending::Clean),
        (vec![], Ending::Fin),
        (vec![], Ending::Reset),
    ] {
        let label = format!("{frames:?} {ending:?}");
        let (events, response) = stream_then(frames, ending).await;
        assert!(response.end.is_broken(), "{label}: {:?}", response.end);
        // A reset may overtake bytes that have not been read yet.
        assert!(events.concat().starts_with(&response.body()), "{label}");
        assert!(ending == Ending::Reset || response.body() == events.concat(), "{label}");
    }
}

#[tokio::test]
async fn a_failure_before_the_first_content_leads_to_the_next_provider() {
    let start = bedrock::chunk(&bedrock::events(&reply())[0]);
    let throughput = "Invocation of model ID m with on-demand throughput isn\u{2019}t supported. Retry your request \
        with the ID or ARN of an inference profile that contains this model.";
    for answer in [
        bedrock::error(429, "ThrottlingException", "Too many requests"),
        bedrock::error(429, "ModelNotReadyException", "Not ready"),
        bedrock::error(503, "ServiceUnavailableException", "Bedrock is unable to process your request."),
        bedrock::error(500, "InternalServerException", "Unexpected"),
        bedrock::error(408, "ModelTimeoutException", "Timed out"),
        bedrock::error(424, "ModelErrorException", "The model failed"),
        bedrock::error(403, "AccessDeniedException", "is not authorized to perform: bedrock:InvokeModel"),
        bedrock::error(403, "ExpiredTokenException", "The security token included in the request is expired"),
        bedrock::error(404, "ResourceNotFoundException", "Could not resolve the foundation model"),
        bedrock::error(400, "ValidationException", throughput),
        bedrock::stream([bedrock::exception("throttlingException", "Too many tokens")]),
        bedrock::stream([start.clone(), bedrock::exception("internalServerException", "Unexpected")]),
        bedrock::stream([start.clone()]),
        bedrock::stream([start.slice(..20)]).with_ending(Ending::Fin),
    ] {
        let label = format!("{answer:?}");
        let first = strict(in_turn([answer])).await;
        let second = Upstream::answering(anthropic::answer).await;
        let relay = relay(&[bedrock_at(&first.url()), provider("second", "anthropic", &second.url())]).await;
        let response = Call::messages(STREAMED).send(relay.address()).await;
        assert_eq!((response.status, response.end), (200, End::Complete), "{label}");
        assert_eq!((first.requests().len(), second.requests().len()), (1, 1), "{label}");
        // The other provider receives the request as the client sent it.
        assert_eq!(second.only_request().body, STREAMED);
    }
}

#[tokio::test]
async fn errors_arrive_in_anthropics_format() {
    let throughput = "Invocation of model ID m with on-demand throughput isn't supported. Retry your request with the \
        ID or ARN of an inference profile that contains this model.";
    for (answer, status, kind, words) in [
        (
            bedrock::error(400, "ValidationException", "Input is too long for requested model."),
            400,
            "invalid_request_error",
            "prompt is too long",
        ),
        (
            bedrock::error(400, "ValidationException", throughput),
            400,
            "invalid_request_error",
            "inference profile",
        ),
        (
            bedrock::error(429, "ThrottlingException", "Too many tokens, please wait before trying again."),
            429,
            "rate_limit_error",
            "Too many tokens",
        ),
        (
            bedrock::error(424, "ModelErrorException", "The model failed"),
            500,
            "api_error",
            "The model failed",
        ),
    ] {
        for body in [BODY, STREAMED] {
            let upstream = strict(in_turn([answer.clone()])).await;
            let relay = relay(&[bedrock_at(&upstream.url())]).await;
            let response = Call::messages(body).send(relay.address()).await;
            assert_eq!(response.status, status, "{:?}", response.body());
            let error = response.json();
            assert_eq!((&error["type"], &error["error"]["type"]), (&json!("error"), &json!(kind)));
            assert_eq!(error["request_id"], bedrock::REQUEST_ID);
            let message = error["error"]["message"].as_str().expect("a message");
            assert!(message.contains(words), "{message}");
        }
    }
}

#[tokio::test]
async fn tokens_are_estimated_for_a_model_without_token_counting() {
    let unsupported =
        bedrock::error(400, "ValidationException", "The provided model doesn't support counting tokens.");
    let upstream = strict(in_turn([unsupported])).await;
    let relay = relay(&[bedrock_at(&upstream.url())]).await;
    let response = Call::post("/v1/messages/count_tokens").json(BODY).send(relay.address()).await;
    assert_eq!((response.status, response.headers.get("x-cc-relay-estimated")), (200, Some("true")));
    assert!(response.json()["input_tokens"].is_u64());
    let target = &upstream.only_request().target;
    assert_eq!(target, "/model/anthropic.claude-sonnet-4-5-20250929-v1:0/count-tokens");
}

const RELAY: &str = env!("CARGO_BIN_EXE_relay-under-test");

/// The endpoint of a container's credentials. Returns `ASIA1`, `ASIA2`, …, each with its own token and a long validity.
async fn container() -> Upstream {
    let calls = AtomicUsize::new(0);
    Upstream::answering(move |_| {
        let number = calls.fetch_add(1, Ordering::Relaxed) + 1;
        Answer::json(
            200,
            &json!({
                "AccessKeyId": format!("ASIA{number}"), "SecretAccessKey": SECRET_KEY,
                "Token": format!("token-{number}"), "Expiration": "2099-01-01T00:00:00Z",
            }),
        )
    })
    .await
}

/// A relay whose only source of credentials is `container`.
async fn relay_in(container: &Upstream, upstream: &Upstream) -> RelayProcess {
    let uri = format!("{}/credentials", container.url());
    let environment = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri.as_str()),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("HOME", "/nonexistent"),
    ];
    RelayProcess::start(RELAY, &json!({"providers": [ambient_at(&upstream.url())]}), &environment).await
}

fn token(request: &Request) -> &str {
    request.header("x-amz-security-token")
}

#[tokio::test]
async fn refused_credentials_are_replaced_once_without_an_error_to_the_client() {
    let message = "The security token included in the request is expired";
    replaces_credentials(bedrock::error(403, "ExpiredTokenException", message)).await;
    // The name of the error is in a header, or only in the body.
    let in_body = json!({"__type": "com.amazon.coral.service#ExpiredTokenException", "message": message});
    replaces_credentials(Answer::json(403, &in_body)).await;
}

async fn replaces_credentials(refusal: Answer) {
    let container = container().await;
    let upstream = Upstream::builder()
        .require(bedrock::rules())
        .answering(move |request| match token(request) {
            "token-1" => refusal.clone(),
            _ => bedrock::answer(request),
        })
        .await;
    let relay = relay_in(&container, &upstream).await;
    assert_eq!(container.connections(), 0, "the credentials must not be loaded before the first request");
    let address = relay.address();
    let calls: JoinSet<_> =
        (0..8).map(|_| async move { Call::messages(STREAMED).send(address).await }).collect();
    for response in calls.join_all().await {
        assert_eq!((response.status, response.end), (200, End::Complete), "{:?}", response.body());
    }
    assert_eq!(container.requests().len(), 2, "expected one load, and one renewal for all requests");
    assert_eq!(Call::messages(BODY).send(relay.address()).await.status, 200);
    assert_eq!(container.requests().len(), 2);
    assert_eq!(token(&upstream.requests()[upstream.requests().len() - 1]), "token-2");
}

#[tokio::test]
async fn credentials_that_are_refused_again_are_reported_as_the_operators_error() {
    let container = container().await;
    let refusal = bedrock::error(403, "ExpiredTokenException", "The security token is expired");
    let upstream = Upstream::answering(in_turn([refusal])).await;
    let relay = relay_in(&container, &upstream).await;
    let response = Call::messages(BODY).send(relay.address()).await;
    assert_eq!(response.status, 502);
    assert!(response.json()["error"]["message"].as_str().is_some_and(|text| text.contains("bedrock")));
    assert_eq!(upstream.requests().len(), 2, "expected exactly one retry with new credentials");
}

#[tokio::test]
async fn missing_credentials_do_not_prevent_the_start_and_fail_the_first_request() {
    let upstream = Upstream::answering(bedrock::answer).await;
    let environment = [("AWS_EC2_METADATA_DISABLED", "true"), ("HOME", "/nonexistent")];
    let config = json!({"providers": [ambient_at(&upstream.url())]});
    let relay = RelayProcess::start(RELAY, &config, &environment).await;
    let response = Call::messages(BODY).send(relay.address()).await;
    assert_eq!(response.status, 502);
    let error = response.json();
    assert_eq!(error["error"]["type"], "api_error");
    let message = error["error"]["message"].as_str().expect("a message");
    assert!(message.contains("`bedrock`") && message.contains("no AWS credentials"), "{message}");
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn a_profile_provides_keys_and_region_and_overrides_the_environment() {
    let home = tempfile::TempDir::new().expect("a temporary directory");
    let file = |name: &str, text: &str| {
        let path = home.path().join(name);
        std::fs::write(&path, text).expect("a file can be written");
        path.to_str().expect("a path of plain characters").to_owned()
    };
    let process = json!({"Version": 1, "AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET_KEY}).to_string();
    let process = format!("cat {}", file("process.json", &process));
    let config = file(
        "config",
        &format!(
            "[profile work]\nregion = ap-southeast-2\n\
             aws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n\
             [profile process]\nregion = ap-southeast-2\ncredential_process = {process}\n"
        ),
    );
    let environment = [
        ("AWS_CONFIG_FILE", config.as_str()),
        ("AWS_ACCESS_KEY_ID", "AKIDAMBIENT"),
        ("AWS_SECRET_ACCESS_KEY", "ambient"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("HOME", "/nonexistent"),
    ];
    for profile in ["work", "process"] {
        let signed = bedrock::signed_by(ACCESS_KEY, "ap-southeast-2", "bedrock");
        let upstream =
            Upstream::builder().require(bedrock::rules()).require([signed]).answering(bedrock::answer).await;
        let config = json!({"providers": [{
            "name": "bedrock", "type": "bedrock", "base_url": upstream.url(), "aws_profile": profile,
        }]});
        let relay = RelayProcess::start(RELAY, &config, &environment).await;
        let body = json!({"model": MODEL, "max_tokens": 8, "messages": []}).to_string();
        assert_eq!(Call::messages(body).send(relay.address()).await.status, 200, "{profile}");
        assert_eq!(upstream.requests().len(), 1);
    }
}
