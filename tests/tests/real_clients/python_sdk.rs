//! The `anthropic` Python package against a scripted upstream, directly and through the relay.

use relay_tests::fakes::Reply;
use relay_tests::fakes::anthropic::{self, REQUEST_ID};
use relay_tests::{Answer, Ending, Python, Relay, Request, Upstream, passthrough, sse};
use serde_json::{Value, json};

const API_KEY: &str = "sk-ant-api03-of-the-client";

/// The exception for each status.
const CLASSES: [(u16, &str); 15] = [
    (400, "anthropic.BadRequestError"),
    (401, "anthropic.AuthenticationError"),
    (402, "anthropic.PaymentRequiredError"),
    (403, "anthropic.PermissionDeniedError"),
    (404, "anthropic.NotFoundError"),
    (408, "anthropic.RequestTimeoutError"),
    (409, "anthropic.ConflictError"),
    (413, "anthropic.ContentTooLargeError"),
    (422, "anthropic.UnprocessableEntityError"),
    (429, "anthropic.RateLimitError"),
    (500, "anthropic.InternalServerError"),
    (501, "anthropic.HTTPNotImplementedError"),
    (503, "anthropic.ServiceUnavailableError"),
    (504, "anthropic.GatewayTimeoutError"),
    (529, "anthropic.OverloadedError"),
];

/// An upstream whose answer the model's name decides.
fn by_model(request: &Request) -> Answer {
    let model = request.json()["model"].as_str().unwrap_or_default().to_owned();
    let events = Reply::new(&*model).text("some text").events();
    match model.split_once('-') {
        Some(("status", status)) => anthropic::error(status.parse().expect("a status")),
        // after the first half of the text
        Some(("error", kind)) => {
            let events = events.into_iter().take(4).chain([sse::error(kind, "Overloaded")]);
            anthropic::success(Answer::sse(events))
        }
        Some(("cut", count)) => {
            let count = count.parse().expect("a count");
            Answer::sse(events.into_iter().take(count)).with_ending(Ending::Fin)
        }
        _ => anthropic::answer(request),
    }
}

fn call(method: &str, model: &str) -> Value {
    json!({"method": method, "model": model})
}

#[tokio::test]
async fn answers_arrive_whole() {
    let Some(python) = Python::find() else { return };
    let upstream = Upstream::answering(by_model).await;
    let calls = ["create", "stream", "count_tokens"].map(|method| call(method, "claude-opus-5-5"));
    let outcomes = python.calls(&upstream.url(), API_KEY, &calls).await;

    let [created, streamed, counted] = outcomes.try_into().expect("an outcome for each call");
    assert_eq!(created["message"]["content"][0]["text"], "Hello! How can I help you today?");
    assert_eq!(created["request_id"], REQUEST_ID);
    assert_eq!(streamed["text"], "Hello! How can I help you today?");
    assert_eq!(streamed["message"]["content"], created["message"]["content"]);
    assert_eq!(streamed["message"]["usage"], created["message"]["usage"]);
    assert_eq!(streamed["request_id"], REQUEST_ID);
    assert_eq!(counted["input_tokens"], 2095);
}

#[tokio::test]
async fn each_status_raises_its_exception() {
    let Some(python) = Python::find() else { return };
    let upstream = Upstream::answering(by_model).await;
    for method in ["create", "stream", "count_tokens"] {
        let calls = CLASSES.map(|(status, _)| call(method, &format!("status-{status}")));
        let outcomes = python.calls(&upstream.url(), API_KEY, &calls).await;
        assert_eq!(outcomes.len(), CLASSES.len());
        for ((status, class), outcome) in CLASSES.into_iter().zip(outcomes) {
            let error = &outcome["error"];
            assert_eq!((&error["class"], &error["status"]), (&json!(class), &json!(status)), "{outcome}");
            assert_eq!(error["request_id"], REQUEST_ID);
        }
    }
}

#[tokio::test]
async fn a_stream_that_fails_raises_the_exception_of_its_end() {
    let Some(python) = Python::find() else { return };
    let upstream = Upstream::answering(by_model).await;
    let models = ["error-overloaded_error", "cut-0", "cut-4"];
    let calls = models.map(|model| call("stream", model));
    let outcomes = python.calls(&upstream.url(), API_KEY, &calls).await;

    let [reported, cut_at_once, cut_later] = outcomes.try_into().expect("an outcome for each call");
    // The package builds it from the status 200: only the type in the body shows the error.
    assert_eq!(reported["text"], "some");
    assert_eq!(reported["error"]["class"], "anthropic.APIStatusError");
    assert_eq!(
        (&reported["error"]["status"], &reported["error"]["type"]),
        (&json!(200), &json!("overloaded_error"))
    );
    // It is none of the package's exceptions, but no caller can take it for a complete answer.
    for (outcome, text) in [(cut_at_once, ""), (cut_later, "some")] {
        assert_eq!(outcome["text"], text);
        assert_eq!(outcome["error"]["class"], "httpx2.RemoteProtocolError");
    }
}

/// A relay that passes the client's credential through, so that every status has the same meaning as without the relay.
async fn relay_before(upstream: &Upstream) -> Relay {
    Relay::start(&json!({"providers": [passthrough("a", &upstream.url())]})).await
}

#[tokio::test]
async fn through_the_relay_every_outcome_is_the_same() {
    let Some(python) = Python::find() else { return };
    let upstream = Upstream::answering(by_model).await;
    let relay = relay_before(&upstream).await;
    let statuses = CLASSES.map(|(status, _)| format!("status-{status}"));
    let mut calls = Vec::new();
    for method in ["create", "stream", "count_tokens"] {
        calls.push(call(method, "claude-opus-5-5"));
        calls.extend(statuses.iter().map(|model| call(method, model)));
    }
    calls.push(call("stream", "error-overloaded_error"));
    calls.push(call("stream", "cut-4"));
    let directly = python.calls(&upstream.url(), API_KEY, &calls).await;
    let relayed = python.calls(&relay.url(), API_KEY, &calls).await;
    for ((call, directly), relayed) in calls.iter().zip(&directly).zip(&relayed) {
        let status = directly["error"]["status"].as_u64().unwrap_or_default();
        // Without a mistake of the client's, a failed count is replaced by an estimate.
        match call["method"] == "count_tokens" && !matches!(status, 0 | 400 | 401 | 413 | 422) {
            true => assert!(relayed["input_tokens"].is_u64(), "{call}: {relayed}"),
            false => assert_eq!(directly, relayed, "{call}"),
        }
    }
}

#[tokio::test]
async fn through_the_relay_half_a_stream_is_never_taken_for_complete() {
    let Some(python) = Python::find() else { return };
    let upstream = Upstream::answering(|request| {
        let answer = by_model(request);
        // The stream ends cleanly, but without `message_stop`.
        if request.json()["model"] == "cut-4" { answer.with_ending(Ending::Clean) } else { answer }
    });
    let upstream = upstream.await;
    let relay = relay_before(&upstream).await;
    let calls = [call("stream", "cut-4")];

    let directly = python.calls(&upstream.url(), API_KEY, &calls).await;
    assert_eq!(directly[0]["error"], Value::Null, "the package alone does not notice");
    let relayed = python.calls(&relay.url(), API_KEY, &calls).await;
    assert_eq!(relayed[0]["text"], "some");
    assert_eq!(relayed[0]["error"]["class"], "httpx2.RemoteProtocolError");
}
