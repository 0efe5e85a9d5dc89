//! Content that no remaining provider can read: a text takes its place, so that the conversation goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use relay_tests::fakes::{Reply, anthropic, bedrock, ollama};
use relay_tests::{Answer, Call, ClaudeCode, Relay, Request, Response, Upstream, provider, sse};
use serde_json::{Value, json};

const REPLACED: &str = "x-cc-relay-replaced";
const A_PDF: &str = "[a PDF that this model cannot read]";

fn body(blocks: &Value) -> Value {
    json!({"model": "claude-opus-5-5", "max_tokens": 8, "messages": [{"role": "user", "content": blocks}]})
}

fn pdf() -> Value {
    json!({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}})
}

fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

fn local(upstream: &Upstream) -> Value {
    json!({"name": "local", "type": "ollama", "base_url": upstream.url(), "model_mapping": {"*": "qwen3-coder:30b"}})
}

fn cloud(upstream: &Upstream) -> Value {
    json!({"name": "aws", "type": "bedrock", "base_url": upstream.url(), "aws_region": "eu-west-1",
           "aws_bearer_token": "token", "model_mapping": {"*": "eu.anthropic.claude-opus-4-7"}})
}

async fn send(relay: &Relay, body: &Value) -> Response {
    Call::messages(body.to_string()).send(relay.address()).await
}

async fn strict_ollama() -> Upstream {
    Upstream::builder().require(ollama::rules()).answering(ollama::answer).await
}

/// Sends `blocks` through a relay whose only provider is Ollama, and checks the blocks that it receives.
async fn check_ollama(blocks: Value, expected: Value, summary: &str) {
    let upstream = strict_ollama().await;
    let relay = Relay::start(&json!({"providers": [local(&upstream)]})).await;
    for stream in [true, false] {
        let mut sent = body(&blocks);
        sent["stream"] = json!(stream);
        let response = send(&relay, &sent).await;
        assert_eq!(response.status, 200, "{blocks}: {:?}", response.body());
        assert_eq!(response.headers.get(REPLACED), Some(summary), "{blocks}");
        let received = upstream.requests().last().expect("a request").json();
        assert_eq!(received["messages"][0]["content"], expected, "{blocks}");
    }
}

#[tokio::test]
async fn a_text_takes_the_place_of_each_kind_of_content() {
    let question = text("what is this?");
    let url = "https://example.com/cat.png";
    let image = json!({"type": "image", "source": {"type": "url", "url": url}});
    let an_image = text(&format!("[an image that this model cannot read] ({url})"));
    check_ollama(json!([question, pdf()]), json!([question, text(A_PDF)]), "document (1)").await;
    check_ollama(
        json!([image, question, pdf(), pdf()]),
        json!([an_image, question, text(A_PDF), text(A_PDF)]),
        "image (1), document (2)",
    )
    .await;
    let result = |content: Value| json!({"type": "tool_result", "tool_use_id": "t", "content": content});
    check_ollama(
        json!([result(json!([pdf(), image, question]))]),
        json!([result(json!([text(A_PDF), an_image, question]))]),
        "document (1), image (1)",
    )
    .await;
    let mut cached = pdf();
    cached["cache_control"] = json!({"type": "ephemeral"});
    let mut expected = text(A_PDF);
    expected["cache_control"] = json!({"type": "ephemeral"});
    check_ollama(json!([cached]), json!([expected]), "document (1)").await;
    let file = |kind: &str| json!({"type": kind, "source": {"type": "file", "file_id": "file_1"}});
    check_ollama(
        json!([file("image"), file("document"), {"type": "container_upload", "file_id": "file_1"}]),
        json!([
            text("[an image that this model cannot read]"),
            text(A_PDF),
            text("[an uploaded file that this model cannot read]")
        ]),
        "image (1), document (1), container_upload (1)",
    )
    .await;
    let plain = json!({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "the \"text\""}});
    check_ollama(json!([plain]), json!([text("the \"text\"")]), "document (1)").await;
    let found = json!({"type": "search_result", "source": "https://a.example", "title": "A", "content": [text("b"), text("c")]});
    check_ollama(json!([found]), json!([text("https://a.example\nA\nb\nc")]), "search_result (1)").await;
}

#[tokio::test]
async fn tools_that_run_at_the_server_are_removed_and_their_results_become_texts() {
    let upstream = Upstream::builder().require(bedrock::rules()).answering(bedrock::answer).await;
    let relay = Relay::start(&json!({"providers": [cloud(&upstream)]})).await;
    let search = json!({"type": "web_search_20250305", "name": "web_search", "max_uses": 8});
    let own = json!({"name": "t", "input_schema": {"type": "object"}});
    let last = || upstream.requests().last().expect("a request").json();

    let mut alone = body(&json!("find it"));
    (alone["tools"], alone["tool_choice"]) = (json!([search]), json!({"type": "auto"}));
    let response = send(&relay, &alone).await;
    assert_eq!(response.status, 200, "{:?}", response.body());
    assert_eq!(response.headers.get(REPLACED), Some("tool web_search_20250305 (1)"));
    assert_eq!((last().get("tools"), last().get("tool_choice")), (None, None));

    for (choice, left) in [
        (json!({"type": "auto"}), Some(json!({"type": "auto"}))),
        (json!({"type": "tool", "name": "t"}), Some(json!({"type": "tool", "name": "t"}))),
        (json!({"type": "tool", "name": "web_search"}), None),
    ] {
        let mut both = body(&json!("find it"));
        (both["tools"], both["tool_choice"]) = (json!([search, own]), choice);
        assert_eq!(send(&relay, &both).await.status, 200);
        assert_eq!((&last()["tools"], last().get("tool_choice").cloned()), (&json!([own]), left));
    }

    let call = json!({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}});
    let hit = json!({"type": "web_search_result", "url": "https://a.example", "title": "A", "encrypted_content": "x"});
    let result = json!({"type": "web_search_tool_result", "tool_use_id": "s", "content": [hit]});
    let mut history = body(&json!("find it"));
    let turn = json!({"role": "assistant", "content": [call, result, text("It is A.")]});
    history["messages"] = json!([history["messages"][0], turn, {"role": "user", "content": "go on"}]);
    let response = send(&relay, &history).await;
    assert_eq!(response.headers.get(REPLACED), Some("server_tool_use (1), web_search_tool_result (1)"));
    let expected = json!([
        text("[a call of web_search: {\"query\":\"q\"}]"),
        text("[web search tool result]\nA\nhttps://a.example"),
        text("It is A."),
    ]);
    assert_eq!(last()["messages"][1]["content"], expected);
}

#[tokio::test]
async fn citations_of_replaced_results_are_removed() {
    let upstream = Upstream::builder().require(bedrock::rules()).answering(bedrock::answer).await;
    let relay = Relay::start(&json!({"providers": [cloud(&upstream)]})).await;
    let call = json!({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}});
    let result = json!({"type": "web_search_tool_result", "tool_use_id": "s", "content": []});
    let cited = |kinds: &[&str]| {
        let citations: Vec<_> = kinds.iter().map(|kind| json!({"type": kind, "cited_text": "x"})).collect();
        json!({"type": "text", "text": "It is A.", "citations": citations})
    };
    let web = "web_search_result_location";
    let texts = [cited(&[web, web]), cited(&["char_location", web]), cited(&["page_location"])];
    let mut history = body(&json!("find it"));
    let mut content = vec![call, result];
    content.extend(texts.clone());
    let turn = json!({"role": "assistant", "content": content});
    history["messages"] = json!([history["messages"][0], turn, {"role": "user", "content": "go on"}]);
    let last = || upstream.requests().last().expect("a request").json()["messages"].clone();
    assert_eq!(send(&relay, &history).await.status, 200);
    let received = last()[1]["content"].as_array().expect("blocks").clone();
    assert_eq!(received[2..], [text("It is A."), cited(&["char_location"]), cited(&["page_location"])]);

    let file = json!({"type": "document", "source": {"type": "file", "file_id": "file_1"}});
    let turn = json!({"role": "assistant", "content": texts});
    history["messages"] =
        json!([{"role": "user", "content": [file]}, turn, {"role": "user", "content": "go on"}]);
    assert_eq!(send(&relay, &history).await.status, 200);
    assert_eq!(last()[1]["content"], json!([cited(&[web, web]), cited(&[web]), text("It is A.")]));
}

#[tokio::test]
async fn a_usable_provider_that_can_read_the_content_is_preferred() {
    let upstream = strict_ollama().await;
    let failures = Arc::new(AtomicUsize::new(0));
    let left = Arc::clone(&failures);
    let other = Upstream::answering(move |request| match left.load(Ordering::Relaxed) {
        0 => anthropic::answer(request),
        _ => anthropic::error(529),
    });
    let other = other.await;
    let mut first = local(&upstream);
    first["priority"] = json!(9);
    let relay = Relay::start(&json!({"providers": [first, provider("a", "anthropic", &other.url())]})).await;
    let sent = body(&json!([pdf()]));
    let response = send(&relay, &sent).await;
    assert_eq!((response.status, response.headers.get(REPLACED)), (200, None));
    assert_eq!(upstream.requests().len(), 0);
    assert_eq!(other.only_request().body, sent.to_string());

    failures.store(1, Ordering::Relaxed);
    let response = send(&relay, &sent).await;
    assert_eq!((response.status, response.headers.get(REPLACED)), (200, Some("document (1)")));
    assert_eq!((upstream.requests().len(), other.requests().len()), (1, 2));
    let plain = send(&relay, &body(&json!("no document"))).await;
    assert_eq!((plain.status, plain.headers.get(REPLACED)), (200, None));
}

/// Answers as Ollama does. The first turn calls the tool `Read` for a PDF.
fn read_a_pdf(request: &Request) -> Answer {
    let body = request.json();
    let has_result = body["messages"].to_string().contains("\"tool_result\"");
    let reply = match has_result || body["tools"].as_array().is_none_or(Vec::is_empty) {
        true => Reply::new("qwen3-coder:30b").text("Here is a summary of it."),
        false => {
            let input = json!({"file_path": "report.pdf"});
            Reply::new("qwen3-coder:30b").tool_use("toolu_1", "Read", input)
        }
    };
    anthropic::message(request, &reply)
}

/// A document with one empty page.
const REPORT: &str = "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n\
    3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>endobj\nxref\n0 4\n0000000000 65535 f \n0000000009 00000 n \n\
    0000000052 00000 n \n0000000101 00000 n \ntrailer<</Size 4/Root 1 0 R>>\nstartxref\n164\n%%EOF\n";

#[tokio::test]
async fn a_session_with_a_pdf_goes_on_is_compacted_and_continued() {
    let Some(claude) = ClaudeCode::find() else { return };
    std::fs::write(claude.project().join("report.pdf"), REPORT).expect("a directory of one's own");
    let upstream = Upstream::builder().require(ollama::rules()).answering(read_a_pdf).await;
    let relay = Relay::start(&json!({"providers": [local(&upstream)]})).await;
    let finished = claude.print(&relay.url(), ["read report.pdf", "--allowedTools", "Read"]).await;
    assert!(finished.status.success(), "{finished:#?}");
    let has_text = |request: &Request| request.mentions(A_PDF);
    assert!(upstream.requests().iter().any(has_text), "the tool sends the PDF");
    for prompt in ["go on", "/compact", "and now?"] {
        let finished = claude.print(&relay.url(), [prompt, "--continue"]).await;
        assert!(finished.status.success(), "{prompt}: {finished:#?}");
        assert!(!finished.stdout.contains("API Error"), "{prompt}: {finished:#?}");
    }
}

#[tokio::test]
async fn the_answer_of_a_stream_is_complete_although_content_was_replaced() {
    let upstream = Upstream::answering(|_| Answer::sse(sse::recorded("ollama/hello.sse"))).await;
    let relay = Relay::start(&json!({"providers": [local(&upstream)]})).await;
    let mut sent = body(&json!([pdf()]));
    sent["stream"] = json!(true);
    let response = send(&relay, &sent).await;
    assert_eq!(response.status, 200);
    assert!(response.events().iter().any(|event| event.json()["type"] == "message_stop"));
}
