//! Tests of the circuit breaker: providers and models that are skipped after failures, and their recovery.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use relay_tests::fakes::{Reply, anthropic};
use relay_tests::{
    Answer, Call, Client, Connection, Ending, Relay, Request, Response, STEP_TIMEOUT, Upstream, in_turn,
    provider, sse, within_limit,
};
use serde_json::{Value, json};

const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[]}"#;
const STREAMED: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[],"stream":true}"#;
const OTHER_MODEL: &str = r#"{"model":"claude-haiku-5-5","max_tokens":8,"messages":[]}"#;

/// A circuit that opens after `failures` and does not close within a test, unless `changes` override it.
fn circuit(failures: u32, changes: &Value) -> Value {
    let mut breaker = json!({"failure_threshold": failures, "open_duration_ms": 3_600_000});
    for (name, value) in changes.as_object().into_iter().flatten() {
        breaker[name] = value.clone();
    }
    json!({"circuit_breaker": breaker, "health_check": {"enabled": false}})
}

/// A relay over `first` and, if given, `second`, in this order.
async fn relay(upstreams: &[&Upstream], health: Value) -> Relay {
    let names = ["first", "second"].iter().zip(upstreams);
    let providers: Vec<_> =
        names.map(|(name, upstream)| provider(name, "anthropic", &upstream.url())).collect();
    Relay::start(&json!({"providers": providers, "health": health})).await
}

async fn send(relay: &Relay, body: &'static str) -> Response {
    Call::messages(body).send(relay.address()).await
}

#[tokio::test]
async fn a_provider_is_skipped_after_consecutive_failures() {
    let opening = || sse::recorded("anthropic/hello.sse").into_iter();
    for answer in [
        anthropic::error(500),
        anthropic::error(504),
        Answer::text(502, "text/html", "<h1>Bad Gateway</h1>"),
        Answer::text(503, "text/plain", "no healthy upstream"),
        Answer::sse(opening().take(2)).with_ending(Ending::Fin),
    ] {
        let label = format!("{answer:?}");
        let first = Upstream::answering(in_turn([answer])).await;
        let second = Upstream::answering(anthropic::answer_with("second")).await;
        let relay = relay(&[&first, &second], circuit(3, &json!({}))).await;
        for _ in 0..5 {
            assert_eq!(send(&relay, STREAMED).await.text(), "second", "{label}");
        }
        assert_eq!(first.requests().len(), 3, "{label}");
    }
}

#[tokio::test]
async fn an_unreachable_provider_is_skipped_too() {
    let first = Upstream::scripted(|connection| async move { connection.reset() }).await;
    let second = Upstream::answering(anthropic::answer_with("second")).await;
    let relay = relay(&[&first, &second], circuit(1, &json!({}))).await;
    assert_eq!(send(&relay, BODY).await.text(), "second");
    let connections = first.connections();
    assert!(connections > 0);
    for _ in 0..3 {
        assert_eq!(send(&relay, BODY).await.text(), "second");
    }
    assert_eq!(first.connections(), connections);
}

#[tokio::test]
async fn a_first_byte_timeout_counts_as_a_failure() {
    let first = Upstream::scripted(|mut connection| async move {
        let _ = connection.receive().await;
        connection.peer_closed().await;
    });
    let first = first.await;
    let second = Upstream::answering(anthropic::answer_with("second")).await;
    let mut slow = provider("first", "anthropic", &first.url());
    slow["first_byte_timeout_ms"] = json!(100);
    let providers = [slow, provider("second", "anthropic", &second.url())];
    let relay = Relay::start(&json!({"providers": providers, "health": circuit(1, &json!({}))})).await;
    for _ in 0..3 {
        assert_eq!(send(&relay, STREAMED).await.text(), "second");
    }
    assert_eq!(first.requests().len(), 1);
}

#[tokio::test]
async fn a_stream_that_breaks_off_after_its_first_content_counts_as_a_failure() {
    for on_break in ["abort", "error_event"] {
        let opening = sse::recorded("anthropic/hello.sse").into_iter().take(4);
        let first = Upstream::answering(in_turn([Answer::sse(opening).with_ending(Ending::Fin)])).await;
        let second = Upstream::answering(anthropic::answer_with("second")).await;
        let relay = Relay::start(&json!({
            "providers": [
                provider("first", "anthropic", &first.url()),
                provider("second", "anthropic", &second.url()),
            ],
            "health": circuit(2, &json!({})),
            "routing": {"on_stream_break": on_break},
        }))
        .await;
        for _ in 0..2 {
            assert_eq!(send(&relay, STREAMED).await.end.is_broken(), on_break == "abort");
        }
        assert_eq!(send(&relay, STREAMED).await.text(), "second", "{on_break}");
        assert_eq!(first.requests().len(), 2, "{on_break}");
    }
}

#[tokio::test]
async fn errors_of_the_request_do_not_open_the_circuit() {
    for status in [400, 404, 413, 422] {
        let first = Upstream::answering(in_turn([anthropic::error(status)])).await;
        let relay = relay(&[&first], circuit(1, &json!({}))).await;
        for count in 1..=3 {
            assert_eq!(send(&relay, BODY).await.status, status);
            assert_eq!(first.requests().len(), count, "{status}");
        }
    }
}

#[tokio::test]
async fn a_client_that_disconnects_is_not_a_failure() {
    let first = Upstream::manual().await;
    let relay = relay(&[&first], circuit(1, &json!({}))).await;
    for _ in 0..2 {
        let mut client = Client::connect(relay.address()).await;
        client.call(&Call::messages(BODY)).await;
        let (mut connection, _) = first.exchange().await;
        client.disconnect();
        connection.peer_closed().await;
    }
}

#[tokio::test]
async fn a_success_resets_the_count_of_failures() {
    let failed = anthropic::error(500);
    let success = anthropic::success(Answer::json(200, &Reply::new("claude-opus-5-5").text("first").json()));
    let answers = [failed.clone(), failed.clone(), success, failed.clone(), failed.clone(), failed];
    let first = Upstream::answering(in_turn(answers)).await;
    let second = Upstream::answering(anthropic::answer_with("second")).await;
    let relay = relay(&[&first, &second], circuit(3, &json!({}))).await;
    let mut answered = Vec::new();
    for _ in 0..8 {
        answered.push(send(&relay, BODY).await.text());
    }
    assert_eq!(answered.join(" "), "second second first second second second second second");
    assert_eq!(first.requests().len(), 6);
}

/// Sends a request whose answer is read later.
async fn begin(relay: &Relay) -> Client {
    let mut client = Client::connect(relay.address()).await;
    client.call(&Call::messages(BODY)).await;
    client
}

/// Answers with the name of the first provider.
async fn answer(mut connection: Connection, request: &Request) {
    connection.answer(&anthropic::answer_with("first")(request)).await.expect("the relay listens");
}

async fn fail(mut connection: Connection) {
    connection.answer(&anthropic::error(500)).await.expect("the relay listens");
}

/// A relay whose first provider is answered by the test and has failed once, which opened its circuit for a second, and
/// the time of that failure.
async fn opened(first: &Upstream, second: &Upstream, probes: u32) -> (Relay, Instant) {
    let changes = json!({"open_duration_ms": 1_000, "half_open_probes": probes});
    let relay = relay(&[first, second], circuit(1, &changes)).await;
    let mut client = begin(&relay).await;
    let (connection, _) = first.exchange().await;
    fail(connection).await;
    let failed = Instant::now();
    assert_eq!(client.response().await.text(), "second");
    (relay, failed)
}

/// Sends requests until one reaches the first provider. Returns the client that waits for its answer.
async fn trial(relay: &Relay, first: &Upstream) -> (Client, Connection, Request) {
    let trying = async {
        loop {
            let mut client = begin(relay).await;
            tokio::select! {
                (connection, request) = first.exchange() => return (client, connection, request),
                response = client.response() => assert_eq!(response.text(), "second"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within_limit("trial", trying).await
}

#[tokio::test]
async fn trials_are_sent_one_at_a_time_and_enough_successes_close_the_circuit() {
    let (first, second) =
        (Upstream::manual().await, Upstream::answering(anthropic::answer_with("second")).await);
    let (relay, failed) = opened(&first, &second, 2).await;
    for _ in 0..2 {
        let (mut client, connection, request) = trial(&relay, &first).await;
        assert!(failed.elapsed() >= Duration::from_millis(900), "{:?}", failed.elapsed());
        assert_eq!(send(&relay, BODY).await.text(), "second", "only one trial may be in flight");
        answer(connection, &request).await;
        assert_eq!(client.response().await.text(), "first");
    }
    // The circuit is closed: requests are no longer limited.
    let mut clients = [begin(&relay).await, begin(&relay).await];
    let exchanges = [first.exchange().await, first.exchange().await];
    for (connection, request) in exchanges {
        answer(connection, &request).await;
    }
    for client in &mut clients {
        assert_eq!(client.response().await.text(), "first");
    }
}

#[tokio::test]
async fn a_failed_trial_opens_the_circuit_again() {
    let (first, second) =
        (Upstream::manual().await, Upstream::answering(anthropic::answer_with("second")).await);
    let (relay, _) = opened(&first, &second, 1).await;
    let (mut client, connection, _) = trial(&relay, &first).await;
    fail(connection).await;
    let failed = Instant::now();
    assert_eq!(client.response().await.text(), "second", "a failed trial fails over for its client");
    let (mut client, connection, request) = trial(&relay, &first).await;
    assert!(failed.elapsed() >= Duration::from_millis(900), "{:?}", failed.elapsed());
    answer(connection, &request).await;
    assert_eq!(client.response().await.text(), "first");
}

#[tokio::test]
async fn a_trial_whose_client_disconnects_is_replaced_by_the_next() {
    let (first, second) =
        (Upstream::manual().await, Upstream::answering(anthropic::answer_with("second")).await);
    let (relay, _) = opened(&first, &second, 1).await;
    let (client, mut connection, _) = trial(&relay, &first).await;
    client.disconnect();
    connection.peer_closed().await;
    let (mut client, connection, request) = trial(&relay, &first).await;
    answer(connection, &request).await;
    assert_eq!(client.response().await.text(), "first");
}

/// An upstream that fails until the flag is set.
async fn failing() -> (Upstream, Arc<AtomicBool>) {
    let is_well = Arc::new(AtomicBool::new(false));
    let well = Arc::clone(&is_well);
    let upstream = Upstream::answering(move |request| match well.load(Ordering::Relaxed) {
        true if request.method == "POST" => anthropic::answer_with("first")(request),
        true => Answer::new(404),
        false => anthropic::error(500),
    });
    (upstream.await, is_well)
}

#[tokio::test]
async fn a_successful_probe_closes_a_circuit_early() {
    let (first, is_well) = failing().await;
    let second = Upstream::answering(anthropic::answer_with("second")).await;
    let mut health = circuit(1, &json!({"half_open_probes": 1}));
    health["health_check"] = json!({"interval_ms": 100});
    let relay = relay(&[&first, &second], health).await;
    assert_eq!(send(&relay, BODY).await.text(), "second");
    is_well.store(true, Ordering::Relaxed);
    let back = async {
        while send(&relay, BODY).await.text() != "first" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    within_limit("recovery", back).await;
    for request in first.requests() {
        assert!(
            request.method != "POST" || request.body == BODY,
            "a probe must not cost tokens: {request:?}"
        );
    }
}

#[tokio::test]
async fn the_open_circuit_of_a_single_provider_is_reported_at_once() {
    let first = Upstream::answering(in_turn([anthropic::error(500)])).await;
    let relay = relay(&[&first], circuit(2, &json!({}))).await;
    for _ in 0..2 {
        assert_eq!(send(&relay, BODY).await.status, 500);
    }
    for body in [BODY, STREAMED] {
        let sent = Instant::now();
        let response = send(&relay, body).await;
        assert!(sent.elapsed() < STEP_TIMEOUT / 4, "{:?}", sent.elapsed());
        assert_eq!((response.status, &response.json()["error"]["type"]), (503, &json!("overloaded_error")));
        let after: u64 = response.headers.get("retry-after").expect("a time").parse().expect("seconds");
        // Claude Code does not retry if the value is over a minute.
        assert!((1..=60).contains(&after), "{after}");
    }
    assert_eq!(first.requests().len(), 2);
}

#[tokio::test]
async fn the_error_of_an_open_circuit_and_the_list_of_providers_state_the_same_time() {
    for (interval, expected) in [(7_000, 7), (600_000, 20)] {
        let first = Upstream::answering(in_turn([anthropic::error(500)])).await;
        let health = json!({
            "circuit_breaker": {"failure_threshold": 1, "open_duration_ms": 20_000},
            "health_check": {"enabled": true, "interval_ms": interval},
        });
        let relay = relay(&[&first], health).await;
        assert_eq!(send(&relay, BODY).await.status, 500);
        let response = send(&relay, BODY).await;
        let after: u64 = response.headers.get("retry-after").expect("a time").parse().expect("seconds");
        assert!((expected - 3..=expected).contains(&after), "{after}");
        let providers = Call::get("/v1/providers").send(relay.address()).await.json().to_string();
        let stated = providers.split("tried again in ").nth(1).and_then(|rest| rest.split(' ').next());
        let stated: f64 = stated.unwrap_or_else(|| panic!("no time: {providers}")).parse().expect("seconds");
        assert!((0.0..=3.0).contains(&(after as f64 - stated)), "{after} and {stated}");
    }
}

#[tokio::test]
async fn an_overload_affects_one_model_and_not_the_provider() {
    let overloaded = sse::error("overloaded_error", "Overloaded");
    for (answer, body) in [
        (anthropic::error(529), BODY),
        (anthropic::error(529), STREAMED),
        (anthropic::error(503), BODY),
        (Answer::sse([overloaded]), STREAMED),
    ] {
        let label = format!("{answer:?}");
        let first = Upstream::answering(move |request| match request.json()["model"] == "claude-opus-5-5" {
            true => answer.clone(),
            false => anthropic::answer_with("first")(request),
        });
        let first = first.await;
        let second = Upstream::answering(anthropic::answer_with("second")).await;
        // An overload is not counted even at a threshold of one failure.
        let relay = relay(&[&first, &second], circuit(1, &json!({}))).await;
        for _ in 0..3 {
            assert_eq!(send(&relay, body).await.text(), "second", "{label}");
        }
        assert_eq!(first.requests().len(), 1, "{label}");
        assert_eq!(send(&relay, OTHER_MODEL).await.text(), "first", "{label}");
    }
}

#[tokio::test]
async fn an_overload_does_not_affect_the_key() {
    let first = Upstream::answering(|request| match request.json()["model"] == "claude-opus-5-5" {
        true => anthropic::error(529),
        false => anthropic::answer_with("first")(request),
    });
    let first = first.await;
    let mut keys = provider("first", "anthropic", &first.url());
    keys["keys"] = json!([{"key": "one", "priority": 2}, {"key": "two", "priority": 1}]);
    let relay = Relay::start(&json!({"providers": [keys]})).await;
    assert_eq!(send(&relay, BODY).await.status, 503);
    assert_eq!(send(&relay, OTHER_MODEL).await.text(), "first");
    let requests = first.requests();
    assert_eq!(requests.last().map(|request| request.header("x-api-key")), Some("one"));
}
