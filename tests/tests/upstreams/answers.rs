//! Defective answers: encoded without a request for it, incomplete, cut off, or errors with status 200.

use bytes::Bytes;
use relay_tests::fakes::{Reply, anthropic, ollama};
use relay_tests::{
    Answer, Call, Client, Coding, End, Ending, Relay, Response, Upstream, in_turn, minimal_provider,
    provider, send_to_lone_provider, sse,
};
use serde_json::{Value, json};

const BODY: &str = r#"{"model":"m","max_tokens":8,"messages":[]}"#;
const STREAMED: &str = r#"{"model":"m","max_tokens":8,"messages":[],"stream":true}"#;

/// Returns the client's response if a second provider follows the one that returns `answer`.
async fn saved(kind: &str, answer: Answer, body: &'static str) -> Response {
    let first = Upstream::answering(in_turn([answer])).await;
    let reply = Reply::new("m").text("from the second");
    let second = Upstream::answering(move |request| anthropic::message(request, &reply)).await;
    let providers =
        [minimal_provider("first", kind, &first.url()), provider("second", "anthropic", &second.url())];
    let relay = Relay::start(&json!({"providers": providers})).await;
    Call::messages(body).send(relay.address()).await
}

/// Returns `true` if the client can see that the stream failed, before or after its response head.
async fn fails(kind: &str, answer: Answer) -> bool {
    let upstream = Upstream::answering(in_turn([answer])).await;
    let relay = Relay::start(&json!({"providers": [minimal_provider("gw", kind, &upstream.url())]})).await;
    let mut client = Client::connect(relay.address()).await;
    client.call(&Call::messages(STREAMED)).await;
    if client.try_head().await.is_none() {
        return true;
    }
    while client.chunk().await.is_some() {}
    client.end().is_some_and(End::is_broken)
}

fn hello() -> Vec<Bytes> {
    sse::recorded("anthropic/hello.sse")
}

#[tokio::test]
async fn an_encoded_stream_is_decoded_and_watched() {
    for coding in Coding::ALL {
        let response =
            send_to_lone_provider("zai", Answer::sse(hello()).compressed(coding).await, STREAMED).await;
        assert_eq!((response.status, response.end), (200, End::Complete), "{coding:?}");
        assert_eq!(response.headers.get("content-encoding"), None);
        assert_eq!(response.body(), hello().concat());

        let cut = hello().len() - 1;
        let incomplete = Answer::sse(hello().into_iter().take(cut)).compressed(coding).await;
        assert!(
            fails("zai", incomplete).await,
            "{coding:?}: an end without message_stop passes for a clean one"
        );
    }
}

#[tokio::test]
async fn an_encoded_message_is_decoded() {
    let message = Reply::new("m").text("hello").json();
    for coding in Coding::ALL {
        let response =
            send_to_lone_provider("anthropic", Answer::json(200, &message).compressed(coding).await, BODY)
                .await;
        assert_eq!((response.status, response.end), (200, End::Complete), "{coding:?}");
        assert_eq!((response.json(), response.headers.get("content-encoding")), (message.clone(), None));
    }
}

#[tokio::test]
async fn a_stream_without_its_final_event_is_broken_off_for_every_kind() {
    for kind in ["anthropic", "zai", "minimax", "ollama"] {
        // A stream without any event is a 502: nothing has left for the client.
        for events in 1..hello().len() {
            let answer = Answer::sse(hello().into_iter().take(events));
            assert!(
                fails(kind, answer).await,
                "{kind}: a stream of only {events} events must not pass as complete"
            );
        }
    }
}

#[tokio::test]
async fn fields_that_ollama_omits_are_added() {
    let upstream = Upstream::builder().require(ollama::rules()).answering(ollama::answer).await;
    let relay =
        Relay::start(&json!({"providers": [minimal_provider("local", "ollama", &upstream.url())]})).await;

    let message = Call::messages(BODY).send(relay.address()).await.json();
    assert_eq!(message["content"], json!([]));
    assert_eq!(
        (&message["stop_reason"], message.get("stop_sequence")),
        (&json!("end_turn"), Some(&Value::Null))
    );

    let response = Call::messages(STREAMED).send(relay.address()).await;
    let start = response.events()[0].json()["message"].clone();
    for name in ["stop_reason", "stop_sequence"] {
        assert_eq!(start.get(name), Some(&Value::Null), "{start}");
    }
    assert_eq!((&start["content"], &start["usage"]["input_tokens"]), (&json!([]), &json!(9)));
    assert_eq!(response.end, End::Complete);
}

#[tokio::test]
async fn a_message_that_is_cut_off_is_answered_by_the_next_provider() {
    let whole = Reply::new("m").text("an answer").json().to_string();
    let half = Bytes::from(whole[..whole.len() / 2].to_owned());
    let json = |ending| {
        let answer = Answer::pieces(200, [half.clone()]).with_header("content-type", "application/json");
        answer.with_ending(ending)
    };
    for kind in ["anthropic", "zai", "ollama"] {
        for ending in [Ending::Clean, Ending::Fin, Ending::Reset] {
            let response = saved(kind, json(ending), BODY).await;
            assert_eq!(response.text(), "from the second", "{kind}, {ending:?}");

            let response = send_to_lone_provider(kind, json(ending), BODY).await;
            assert_eq!((response.status, &response.json()["error"]["type"]), (502, &json!("api_error")));
        }
    }
}

#[tokio::test]
async fn an_error_body_with_status_200_is_a_failure() {
    let overloaded = json!({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}});
    let expired = json!({"code": 401, "msg": "token expired or incorrect", "success": false});
    let page = "<!DOCTYPE html><html><head><title>Sign in</title></head></html>";
    for (answer, status, message) in [
        (Answer::json(200, &overloaded), 503, "busy"),
        (
            Answer::json(200, &expired),
            502,
            "provider `gw` refused the relay's own credential (401); its operator has to check the key",
        ),
        (Answer::text(200, "text/html", page), 502, "provider `gw` answered 200 with a page: Sign in"),
        (Answer::text(200, "text/plain", "Ollama is running"), 502, "Ollama is running (provider `gw`)"),
        (Answer::new(200), 502, "provider `gw` answered 200 with an empty body"),
    ] {
        for body in [BODY, STREAMED] {
            let response = send_to_lone_provider("zai", answer.clone(), body).await;
            let found = response.json();
            assert_eq!((response.status, &found["error"]["message"]), (status, &json!(message)));
            let response = saved("zai", answer.clone(), body).await;
            assert_eq!(response.status, 200, "{message}");
        }
    }
}
