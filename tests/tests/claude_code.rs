//! The Claude Code CLI against a scripted upstream, with a tap that keeps what it sent.

use relay_tests::models::Reply;
use relay_tests::models::anthropic::{self, Credential};
use relay_tests::{Answer, ClaudeCode, Ending, Request, Upstream, in_turn, sse};
use serde_json::Value;

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

/// What the recorded stream says with all deltas of this kind in a row.
fn recorded_delta(events: &[bytes::Bytes], kind: &str) -> String {
    let events = sse::parse(&events.concat()).into_iter().map(|event| event.json());
    events.filter_map(|event| Some(event["delta"][kind].as_str()?.to_owned())).collect()
}

#[tokio::test]
async fn a_plain_answer_is_printed() {
    let Some(claude) = ClaudeCode::found() else { return };
    let rules = [relay_tests::rule::line("POST", "/v1/messages?beta=true")];
    let upstream = Upstream::builder().require(rules).answering(anthropic::answer).await;

    let finished = claude.print(&upstream.url(), ["say hello"]).await;
    assert!(finished.status.success(), "{finished:#?}");
    assert_eq!(finished.stdout.trim(), "Hello! How can I help you today?");

    let request = upstream.only_request();
    assert_eq!(request.header("x-api-key"), "sk-ant-api03-of-the-client");
    assert!(request.body.starts_with(br#"{"model":"claude-"#), "the model comes first");
    assert!(request.body.ends_with(br#","stream":true}"#), "the flag comes last");
}

#[tokio::test]
async fn a_tool_is_called_and_thinking_comes_back_as_it_went() {
    let Some(claude) = ClaudeCode::found() else { return };
    std::fs::write(claude.project().join("a-file-to-list"), "").expect("a directory of one's own");
    let recorded = sse::recorded("anthropic/thinking_tool_use.sse");
    let first = recorded.clone();
    let upstream = Upstream::answering(move |request| {
        if newest_turn(request).iter().any(is_tool_result) {
            anthropic::message(request, &Reply::of("claude-opus-5-5").text("There is one file."))
        } else {
            anthropic::success(Answer::sse(first.clone()))
        }
    });
    let upstream = upstream.await;

    let finished = claude.print(&upstream.url(), ["what is here?", "--allowedTools", "Bash"]).await;
    assert!(finished.status.success(), "{finished:#?}");
    assert_eq!(finished.stdout.trim(), "There is one file.");

    let [_, second] = upstream.requests().try_into().expect("two turns");
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
    let result = newest_turn(&second).into_iter().find(is_tool_result).expect("the result");
    assert_eq!(result["tool_use_id"], "toolu_01T1x1fJ34qAmk2tNTrN7Up6");
    assert!(result["content"].to_string().contains("a-file-to-list"), "{result:#}");
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_asked_for_again_unseen() {
    let Some(claude) = ClaudeCode::found() else { return };
    let events = || Reply::of("claude-opus-5-5").text("The whole answer.").events();
    let broken = Answer::sse(events().into_iter().take(4)).ending(Ending::Fin);
    let upstream = Upstream::answering(in_turn([broken, Answer::sse(events())])).await;

    let finished = claude.print(&upstream.url(), ["go on"]).await;
    assert_eq!(finished.stdout.trim(), "The whole answer.", "{finished:#?}");
    let [first, second] = upstream.requests().try_into().expect("one more try");
    assert_eq!(first.body, second.body);
}

#[tokio::test]
async fn an_error_is_shown_in_the_words_of_the_upstream() {
    let Some(claude) = ClaudeCode::found() else { return };
    let answer = anthropic::error_with(402, "billing_error", "words of the upstream");
    let upstream = Upstream::answering(in_turn([answer])).await;

    let finished = claude.print(&upstream.url(), ["hello"]).await;
    assert!(!finished.status.success());
    assert_eq!(finished.stdout.trim(), "API Error: 402 words of the upstream");
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn each_kind_of_credential_goes_into_its_header() {
    let cases = [
        ("ANTHROPIC_API_KEY", Credential::Key("sk-ant-api03-mine"), "sk-ant-api03-mine"),
        ("ANTHROPIC_AUTH_TOKEN", Credential::Bearer("some-token"), "some-token"),
        ("CLAUDE_CODE_OAUTH_TOKEN", Credential::Bearer("sk-ant-oat01-mine"), "sk-ant-oat01-mine"),
    ];
    for (variable, credential, value) in cases {
        let Some(claude) = ClaudeCode::found() else { return };
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
