//! The Claude Code CLI against a scripted upstream, directly and through the relay.

use relay_tests::fakes::Reply;
use relay_tests::fakes::anthropic::{self, Credential};
use relay_tests::fakes::{azure, bedrock, google, vertex};
use relay_tests::{
    Answer, ClaudeCode, Ending, PROVIDER_KEY, Relay, Request, Tee, Upstream, in_turn, passthrough, provider,
    rule, sse,
};
use serde_json::{Value, json};

/// The text blocks of the newest turn and its tool results.
fn newest_turn(request: &Request) -> Vec<Value> {
    let body = request.json();
    let messages = body["messages"].as_array().expect("messages");
    let user = messages.iter().rfind(|message| message["role"] == "user").expect("a user's turn");
    user["content"].as_array().cloned().unwrap_or_default()
}

fn is_tool_result(block: &Value) -> bool {
    block["type"] == "tool_result"
}

/// Concatenates all deltas of this kind in the recorded stream.
fn recorded_delta(events: &[bytes::Bytes], kind: &str) -> String {
    let events = sse::parse(&events.concat()).into_iter().map(|event| event.json());
    events.filter_map(|event| Some(event["delta"][kind].as_str()?.to_owned())).collect()
}

#[tokio::test]
async fn a_plain_answer_is_printed() {
    let Some(claude) = ClaudeCode::find() else { return };
    let rules = [rule::request_line("POST", "/v1/messages?beta=true")];
    let upstream = Upstream::builder().require(rules).answering(anthropic::answer).await;

    let finished = claude.print(&upstream.url(), ["say hello"]).await;
    assert!(finished.status.success(), "{finished:#?}");
    assert_eq!(finished.stdout.trim(), "Hello! How can I help you today?");

    let request = upstream.only_request();
    assert_eq!(request.header("x-api-key"), "sk-ant-api03-of-the-client");
    assert!(request.body.starts_with(br#"{"model":"claude-"#), "the model must be the first field");
    assert!(request.body.ends_with(br#","stream":true}"#), "the flag must be the last field");
}

/// Answers a first turn with a recorded tool call, and its result with a text.
fn with_a_tool_call(request: &Request) -> Answer {
    if newest_turn(request).iter().any(is_tool_result) {
        anthropic::message(request, &Reply::new("claude-opus-5-5").text("There is one file."))
    } else {
        anthropic::success(Answer::sse(sse::recorded("anthropic/thinking_tool_use.sse")))
    }
}

/// Lets the CLI answer a question with that tool call.
async fn run_tool_round_trip(claude: &ClaudeCode, base_url: &str) {
    std::fs::write(claude.project().join("a-file-to-list"), "").expect("a directory of one's own");
    let finished = claude.print(base_url, ["what is here?", "--allowedTools", "Bash"]).await;
    assert!(finished.status.success(), "{finished:#?}");
    assert_eq!(finished.stdout.trim(), "There is one file.");
}

/// Asserts that the second turn contains the first answer unchanged, and the tool's result.
#[track_caller]
fn assert_second_turn(second: &Request) {
    let recorded = sse::recorded("anthropic/thinking_tool_use.sse");
    let body = second.json();
    let messages = body["messages"].as_array().expect("messages");
    let assistant = messages.iter().find(|message| message["role"] == "assistant").expect("the first answer");
    let [thinking, tool_use] = assistant["content"].as_array().expect("blocks").as_slice() else {
        panic!("{assistant:#}");
    };
    assert_eq!(thinking["thinking"], recorded_delta(&recorded, "thinking"));
    assert_eq!(thinking["signature"], recorded_delta(&recorded, "signature"));
    assert_eq!(tool_use["id"], "toolu_01T1x1fJ34qAmk2tNTrN7Up6");
    assert_eq!(tool_use["input"]["command"], "ls -a");
    let result = newest_turn(second).into_iter().find(is_tool_result).expect("the result");
    assert_eq!(result["tool_use_id"], "toolu_01T1x1fJ34qAmk2tNTrN7Up6");
    assert!(result["content"].to_string().contains("a-file-to-list"), "{result:#}");
}

#[tokio::test]
async fn a_tool_is_called_and_thinking_is_sent_back_unchanged() {
    let Some(claude) = ClaudeCode::find() else { return };
    let upstream = Upstream::answering(with_a_tool_call).await;
    run_tool_round_trip(&claude, &upstream.url()).await;

    let [_, second] = upstream.requests().try_into().expect("two turns");
    assert_second_turn(&second);
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_retried_without_output() {
    let Some(claude) = ClaudeCode::find() else { return };
    let events = || Reply::new("claude-opus-5-5").text("The whole answer.").events();
    let broken = Answer::sse(events().into_iter().take(4)).with_ending(Ending::Fin);
    let upstream = Upstream::answering(in_turn([broken, Answer::sse(events())])).await;

    let finished = claude.print(&upstream.url(), ["go on"]).await;
    assert_eq!(finished.stdout.trim(), "The whole answer.", "{finished:#?}");
    let [first, second] = upstream.requests().try_into().expect("one more try");
    assert_eq!(first.body, second.body);
}

#[tokio::test]
async fn an_error_is_shown_with_the_message_of_the_upstream() {
    let Some(claude) = ClaudeCode::find() else { return };
    let answer = anthropic::error_with(402, "billing_error", "words of the upstream");
    let upstream = Upstream::answering(in_turn([answer])).await;

    let finished = claude.print(&upstream.url(), ["hello"]).await;
    assert!(!finished.status.success());
    assert_eq!(finished.stdout.trim(), "API Error: 402 words of the upstream");
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn each_kind_of_credential_is_sent_in_its_header() {
    let cases = [
        ("ANTHROPIC_API_KEY", Credential::Key("sk-ant-api03-mine"), "sk-ant-api03-mine"),
        ("ANTHROPIC_AUTH_TOKEN", Credential::Bearer("some-token"), "some-token"),
        ("CLAUDE_CODE_OAUTH_TOKEN", Credential::Bearer("sk-ant-oat01-mine"), "sk-ant-oat01-mine"),
    ];
    for (variable, credential, value) in cases {
        let Some(claude) = ClaudeCode::find() else { return };
        let claude = claude.with(variable, value);
        let upstream = Upstream::answering(anthropic::answer).await;
        let finished = claude.print(&upstream.url(), ["hello"]).await;
        assert!(finished.status.success(), "{variable}: {finished:#?}");

        let request = upstream.only_request();
        let key = request.headers.get("x-api-key");
        let bearer = request.headers.get("authorization").and_then(|value| value.strip_prefix("Bearer "));
        match credential {
            Credential::Key(value) => assert_eq!((key, bearer), (Some(value), None)),
            Credential::Bearer(value) => assert_eq!((key, bearer), (None, Some(value))),
        }
        let betas = request.header("anthropic-beta");
        assert_eq!(betas.contains("oauth-2025-04-20"), value.starts_with("sk-ant-oat"), "{betas}");
    }
}

#[tokio::test]
async fn through_the_relay_a_tool_round_trip_arrives_byte_for_byte() {
    let Some(claude) = ClaudeCode::find() else { return };
    let rules = anthropic::rules(Credential::Key(PROVIDER_KEY));
    let rules = rules.into_iter().chain([rule::request_line("POST", "/v1/messages?beta=true")]);
    let upstream = Upstream::builder().require(rules).answering(with_a_tool_call).await;
    let relay = Relay::start(&json!({"providers": [provider("a", "anthropic", &upstream.url())]})).await;
    let tee = Tee::before(relay.address()).await;
    run_tool_round_trip(&claude, &tee.url()).await;

    let sent: [Request; 2] = tee.requests().await.try_into().expect("two turns");
    let received: [Request; 2] = upstream.requests().try_into().expect("two turns");
    for (sent, received) in sent.iter().zip(&received) {
        assert!(sent.body == received.body, "a body was changed");
        for name in ["anthropic-beta", "anthropic-version", "user-agent", "x-claude-code-session-id", "x-app"]
        {
            assert_eq!(sent.header(name), received.header(name));
        }
    }
    assert_second_turn(&received[1]);
    upstream.assert_clean();
}

#[tokio::test]
async fn through_the_relay_a_mapping_changes_only_the_model() {
    let Some(claude) = ClaudeCode::find() else { return };
    let upstream = Upstream::answering(with_a_tool_call).await;
    let mut mapped = provider("a", "anthropic", &upstream.url());
    mapped["model_mapping"] = json!({"claude-*": "glm-5.3"});
    let relay = Relay::start(&json!({"providers": [mapped]})).await;
    let tee = Tee::before(relay.address()).await;
    run_tool_round_trip(&claude, &tee.url()).await;

    let sent = tee.requests().await;
    let received = upstream.requests();
    assert_eq!((sent.len(), received.len()), (2, 2));
    for (sent, received) in sent.iter().zip(&received) {
        let model = sent.json()["model"].to_string();
        let rest =
            sent.body.strip_prefix(format!("{{\"model\":{model}").as_bytes()).expect("the model first");
        let expected = [br#"{"model":"glm-5.3""#, rest].concat();
        assert!(received.body == expected, "more than the model was changed");
    }
}

#[tokio::test]
async fn through_the_relay_a_subscription_keeps_its_token_and_its_beta() {
    let Some(claude) = ClaudeCode::find() else { return };
    let claude = claude.with("CLAUDE_CODE_OAUTH_TOKEN", "sk-ant-oat01-mine");
    let rules = anthropic::rules(Credential::Bearer("sk-ant-oat01-mine"));
    let upstream = Upstream::builder().require(rules).answering(anthropic::answer).await;
    let config = json!({
        "server": {"auth": {"api_key": "for others", "allow_subscription": true}},
        "providers": [passthrough("a", &upstream.url())],
    });
    let relay = Relay::start(&config).await;
    let finished = claude.print(&relay.url(), ["hello"]).await;
    assert!(finished.status.success(), "{finished:#?}");
    assert!(upstream.only_request().header("anthropic-beta").contains("oauth-2025-04-20"));
}

#[tokio::test]
async fn through_the_relay_a_broken_stream_is_retried_without_output() {
    let Some(claude) = ClaudeCode::find() else { return };
    let events = || Reply::new("claude-opus-5-5").text("The whole answer.").events();
    // The stream ends cleanly in the middle: without the relay, the CLI would take the partial answer as complete.
    let half = Answer::sse(events().into_iter().take(4));
    let upstream = Upstream::answering(in_turn([half, Answer::sse(events())])).await;
    let relay = Relay::start(&json!({"providers": [provider("a", "anthropic", &upstream.url())]})).await;

    let finished = claude.print(&relay.url(), ["go on"]).await;
    assert_eq!(finished.stdout.trim(), "The whole answer.", "{finished:#?}");
    let [first, second] = upstream.requests().try_into().expect("one more try");
    assert!(first.body == second.body);
}

#[tokio::test]
async fn a_refused_client_reports_the_error_without_a_retry() {
    let Some(claude) = ClaudeCode::find() else { return };
    let upstream = Upstream::answering(anthropic::answer).await;
    let config = json!({
        "server": {"auth": {"api_key": "another key"}},
        "providers": [provider("a", "anthropic", &upstream.url())],
    });
    let relay = Relay::start(&config).await;
    let tee = Tee::before(relay.address()).await;
    let finished = claude.print(&tee.url(), ["hello"]).await;
    assert!(!finished.status.success());
    assert!(finished.stdout.contains("Invalid API key"), "{finished:#?}");
    assert_eq!(tee.requests().await.len(), 1, "the CLI must not retry");
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn a_tool_round_trip_goes_through_foundry() {
    let Some(claude) = ClaudeCode::find() else { return };
    let upstream =
        Upstream::builder().require(azure::key_rules(PROVIDER_KEY)).answering(with_a_tool_call).await;
    let url = format!("{}{}", upstream.url(), azure::PREFIX);
    let relay = Relay::start(&json!({"providers": [provider("a", "azure", &url)]})).await;
    run_tool_round_trip(&claude, &relay.url()).await;
    let [_, second] = upstream.requests().try_into().expect("two turns");
    assert_second_turn(&second);
}

#[tokio::test]
async fn a_tool_round_trip_goes_through_vertex() {
    let Some(claude) = ClaudeCode::find() else { return };
    let tokens = Upstream::answering(|request| google::answer(request, "a-token", 3600)).await;
    let upstream = Upstream::builder().require(vertex::rules()).answering(|request| {
        if newest_turn(request).iter().any(is_tool_result) {
            return Answer::sse(vertex::events(&Reply::new("claude-opus-5-5").text("There is one file.")));
        }
        let mut events = sse::recorded("anthropic/thinking_tool_use.sse");
        events.insert(events.len() - 1, vertex::foreign_event());
        Answer::sse(events)
    });
    let upstream = upstream.await;
    let credentials = google::credentials_file(&google::service_account(&tokens.url()));
    let vertex = vertex::provider(&upstream.url(), credentials.path());
    let relay = Relay::start(&json!({"providers": [vertex]})).await;
    run_tool_round_trip(&claude, &relay.url()).await;
    let [_, second] = upstream.requests().try_into().expect("two turns");
    assert_second_turn(&second);
    assert_eq!(tokens.requests().len(), 1);
}

#[tokio::test]
async fn a_tool_round_trip_goes_through_bedrock() {
    let Some(claude) = ClaudeCode::find() else { return };
    let upstream = Upstream::builder().require(bedrock::rules()).answering(|request| {
        if newest_turn(request).iter().any(is_tool_result) {
            return bedrock::message(request, &Reply::new("claude-opus-5-5").text("There is one file."));
        }
        let events = sse::recorded("anthropic/thinking_tool_use.sse");
        bedrock::stream(
            events.iter().filter(|event| **event != sse::ping()).map(|event| bedrock::chunk(event)),
        )
    });
    let upstream = upstream.await;
    let bedrock = bedrock::provider(&upstream.url(), "us.anthropic.claude-opus-5-5");
    let relay = Relay::start(&json!({"providers": [bedrock]})).await;
    run_tool_round_trip(&claude, &relay.url()).await;
    let [_, second] = upstream.requests().try_into().expect("two turns");
    assert_second_turn(&second);
}
