//! Failover: the answers that make the relay try the next provider, and the client's response if all providers fail.

use relay_tests::fakes::anthropic;
use relay_tests::{Answer, Call, Client, Ending, Relay, Request, Response, Upstream, in_turn, provider, sse};
use serde_json::{Value, json};

const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[]}"#;
const STREAMED: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[],"stream":true}"#;

/// Starts a relay with the providers `first`, `second` and `third` at these URLs, in this order.
async fn relay(providers: &[&str]) -> Relay {
    let names = ["first", "second", "third"];
    let providers = names.iter().zip(providers).map(|(name, url)| provider(name, "anthropic", url));
    Relay::start(&json!({"providers": providers.collect::<Vec<_>>()})).await
}

#[tokio::test]
async fn providers_after_the_first_success_are_not_called() {
    let first = Upstream::answering(anthropic::answer_with("first")).await;
    let second = Upstream::answering(anthropic::answer_with("second")).await;
    let relay = relay(&[&first.url(), &second.url()]).await;
    for body in [BODY, STREAMED] {
        assert_eq!(Call::messages(body).send(relay.address()).await.text(), "first");
    }
    assert_eq!(second.connections(), 0);
}

#[tokio::test]
async fn the_provider_with_the_highest_priority_is_called_first() {
    let first = Upstream::answering(anthropic::answer_with("first")).await;
    let second = Upstream::answering(anthropic::answer_with("second")).await;
    let mut preferred = provider("second", "anthropic", &second.url());
    preferred["keys"][0]["priority"] = json!(2);
    let providers = [provider("first", "anthropic", &first.url()), preferred];
    let relay = Relay::start(&json!({"providers": providers})).await;
    assert_eq!(Call::messages(BODY).send(relay.address()).await.text(), "second");
}

#[tokio::test]
async fn a_disabled_provider_is_never_called() {
    let first = Upstream::answering(anthropic::answer_with("first")).await;
    let second = Upstream::answering(anthropic::answer_with("second")).await;
    let mut disabled = provider("first", "anthropic", &first.url());
    disabled["enabled"] = json!(false);
    let relay =
        Relay::start(&json!({"providers": [disabled, provider("second", "anthropic", &second.url())]})).await;
    assert_eq!(Call::messages(BODY).send(relay.address()).await.text(), "second");
    assert_eq!(first.connections(), 0);
}

#[tokio::test]
async fn errors_of_the_provider_fail_over() {
    for status in [401, 402, 403, 404, 408, 429, 500, 503, 504, 529] {
        for body in [BODY, STREAMED] {
            let first = Upstream::answering(in_turn([anthropic::error(status)])).await;
            let second = Upstream::answering(anthropic::answer_with("second")).await;
            let relay = relay(&[&first.url(), &second.url()]).await;
            assert_eq!(Call::messages(body).send(relay.address()).await.text(), "second");
            assert_eq!(first.only_request().body, second.only_request().body, "{status}");
        }
    }
    let first = Upstream::answering(in_turn([Answer::text(502, "text/html", "<h1>Bad Gateway</h1>")])).await;
    let second = Upstream::answering(anthropic::answer_with("second")).await;
    let relay = relay(&[&first.url(), &second.url()]).await;
    assert_eq!(Call::messages(BODY).send(relay.address()).await.text(), "second");
}

#[tokio::test]
async fn errors_of_the_request_do_not_fail_over() {
    for status in [400, 409, 412, 413, 422] {
        let first = Upstream::answering(in_turn([anthropic::error(status)])).await;
        let second = Upstream::answering(anthropic::answer_with("second")).await;
        let relay = relay(&[&first.url(), &second.url()]).await;
        let response = Call::messages(BODY).send(relay.address()).await;
        assert_eq!(response.status, status);
        assert_eq!(response.headers.get("request-id"), Some(anthropic::REQUEST_ID));
        assert_eq!(second.connections(), 0, "{status}");
    }
}

#[tokio::test]
async fn an_unreachable_provider_fails_over() {
    let (_socket, refusing) = Upstream::refusing();
    let second = Upstream::answering(anthropic::answer_with("second")).await;
    let unreachable = [format!("http://{refusing}"), "http://nonesuch.invalid".to_owned()];
    for first in unreachable {
        let relay = relay(&[&first, &second.url()]).await;
        assert_eq!(Call::messages(BODY).send(relay.address()).await.text(), "second");
    }

    let resetting = Upstream::scripted(|connection| async { connection.reset() }).await;
    let relay_ = relay(&[&resetting.url(), &second.url()]).await;
    assert_eq!(Call::messages(BODY).send(relay_.address()).await.text(), "second");

    let closing = Upstream::scripted(|mut connection| async move { drop(connection.receive().await) }).await;
    let relay_ = relay(&[&closing.url(), &second.url()]).await;
    assert_eq!(Call::messages(STREAMED).send(relay_.address()).await.text(), "second");
}

#[tokio::test]
async fn a_missing_first_byte_fails_over() {
    let first = Upstream::manual().await;
    let second = Upstream::answering(anthropic::answer_with("second")).await;
    let mut slow = provider("first", "anthropic", &first.url());
    slow["first_byte_timeout_ms"] = json!(200);
    let relay =
        Relay::start(&json!({"providers": [slow, provider("second", "anthropic", &second.url())]})).await;
    let mut client = Client::connect(relay.address()).await;
    client.call(&Call::messages(STREAMED)).await;
    let (mut connection, _) = first.exchange().await;
    assert_eq!(client.response().await.text(), "second");
    connection.peer_closed().await;
}

#[tokio::test]
async fn a_stream_that_fails_before_its_first_content_fails_over() {
    let opening = || sse::recorded("anthropic/hello.sse").into_iter();
    for answer in [
        Answer::sse([sse::error("overloaded_error", "Overloaded")]),
        Answer::sse(opening().take(1).chain([sse::error("overloaded_error", "Overloaded")])),
        Answer::sse(opening().take(2).chain([sse::error("api_error", "Internal server error")])),
        Answer::sse(opening().take(3)).with_ending(Ending::Fin),
        Answer::sse(opening().take(2)).with_ending(Ending::Reset),
        Answer::sse(opening().take(0)).with_ending(Ending::Fin),
        Answer::sse(opening().take(0)),
        Answer::sse(opening().take(2)),
    ] {
        let label = format!("{answer:?}");
        let first = Upstream::answering(in_turn([answer])).await;
        let second = Upstream::answering(anthropic::answer_with("second")).await;
        let relay = relay(&[&first.url(), &second.url()]).await;
        let response = Call::messages(STREAMED).send(relay.address()).await;
        assert_eq!(second.requests().len(), 1, "{label}");
        assert_eq!(response.text(), "second");
        assert_eq!(response.events().iter().filter(|event| event.name == "message_start").count(), 1);
    }
}

#[tokio::test]
async fn a_stream_that_fails_after_its_first_content_is_broken_and_not_repeated() {
    let opening = sse::recorded("anthropic/hello.sse").into_iter().take(4);
    let first = Upstream::answering(in_turn([Answer::sse(opening).with_ending(Ending::Fin)])).await;
    let second = Upstream::answering(anthropic::answer_with("second")).await;
    let relay = relay(&[&first.url(), &second.url()]).await;
    let response = Call::messages(STREAMED).send(relay.address()).await;
    assert!(response.end.is_broken());
    assert_eq!(second.connections(), 0);
}

#[tokio::test]
async fn a_stale_pooled_connection_is_replaced() {
    let upstream = Upstream::manual().await;
    let relay = relay(&[&upstream.url()]).await;
    let mut client = Client::connect(relay.address()).await;
    for text in ["one", "two", "three"] {
        client.call(&Call::messages(BODY)).await;
        let (mut connection, request) = upstream.exchange().await;
        connection.answer(&anthropic::answer_with(text)(&request)).await.expect("the relay listens");
        assert_eq!(client.response().await.text(), text);
        // The connection is closed while it is in the pool. The relay may see that before or after the next request.
        drop(connection);
    }
}

#[tokio::test]
async fn the_error_of_an_only_provider_is_unchanged() {
    for status in [400, 404, 408, 413, 429, 500, 503, 504, 529] {
        let upstream = Upstream::answering(in_turn([anthropic::error(status)])).await;
        let relay = relay(&[&upstream.url()]).await;
        let response = Call::messages(BODY).send(relay.address()).await;
        let direct = Call::messages(BODY).send(upstream.address()).await;
        assert_eq!((response.status, response.body()), (direct.status, direct.body()), "{status}");
        for name in ["request-id", "retry-after", "content-type"] {
            assert_eq!(response.headers.get(name), direct.headers.get(name), "{status}: {name}");
        }
    }
}

#[tokio::test]
async fn a_refused_provider_key_is_a_502_that_names_the_provider() {
    for status in [401, 402, 403] {
        let upstream = Upstream::answering(in_turn([anthropic::error(status)])).await;
        let relay = relay(&[&upstream.url()]).await;
        let response = Call::messages(BODY).send(relay.address()).await;
        assert_eq!(response.status, 502, "{status}");
        let body = response.json();
        assert_eq!(body["error"]["type"], "api_error", "{body}");
        assert!(body["error"]["message"].as_str().is_some_and(|m| m.contains("first")), "{body}");
        assert_eq!(response.headers.get("x-should-retry"), Some("false"));
    }
}

/// Returns the client's response to `BODY` if two providers give these answers.
async fn both_fail(answers: [Answer; 2]) -> Response {
    both_fail_for(BODY, answers).await
}

/// Returns the client's response to `body` if two providers give these answers.
async fn both_fail_for(body: &'static str, answers: [Answer; 2]) -> Response {
    let [first, second] = answers;
    let first = Upstream::answering(in_turn([first])).await;
    let second = Upstream::answering(in_turn([second])).await;
    let relay = relay(&[&first.url(), &second.url()]).await;
    let response = Call::messages(body).send(relay.address()).await;
    assert_eq!((first.requests().len(), second.requests().len()), (1, 1));
    response
}

fn error(response: &Response) -> (u16, Value) {
    (response.status, response.json()["error"]["type"].clone())
}

#[tokio::test]
async fn if_all_providers_are_rate_limited_the_client_gets_the_shortest_retry_after() {
    let limited = |after: &str| {
        anthropic::error_with(429, "rate_limit_error", "limited").with_header("retry-after", after)
    };
    let response = both_fail([limited("40"), limited("20")]).await;
    assert_eq!(error(&response), (429, json!("rate_limit_error")));
    let after: u64 = response.headers.get("retry-after").expect("a time").parse().expect("seconds");
    assert!((18..=20).contains(&after), "{after}");
}

#[tokio::test]
async fn an_error_event_before_the_first_content_becomes_a_status_if_all_providers_fail() {
    let failing_stream = |kind: &str| {
        Answer::sse([sse::recorded("anthropic/hello.sse")[0].clone(), sse::error(kind, "message")])
    };
    for (kind, second, status) in [
        ("rate_limit_error", anthropic::error(500), 429),
        ("overloaded_error", anthropic::error(500), 503),
        ("api_error", anthropic::error(401), 500),
        ("not_found_error", anthropic::error(401), 404),
        // The second answer is also an error event before the first content.
        ("overloaded_error", failing_stream("overloaded_error"), 503),
        ("rate_limit_error", failing_stream("overloaded_error"), 429),
    ] {
        let response = both_fail_for(STREAMED, [failing_stream(kind), second]).await;
        assert_eq!(error(&response), (status, json!(kind)));
    }
}

#[tokio::test]
async fn if_all_providers_are_overloaded_the_client_gets_a_503_with_retry_after() {
    let response = both_fail([anthropic::error(529), anthropic::error(529)]).await;
    // With a 529 Claude Code would stop retrying after three seconds.
    assert_eq!(error(&response), (503, json!("overloaded_error")));
    let after: u64 = response.headers.get("retry-after").expect("a time").parse().expect("seconds");
    assert!((1..=30).contains(&after), "{after}");
}

#[tokio::test]
async fn if_all_providers_fail_the_client_gets_the_last_error_in_anthropics_format() {
    let last = anthropic::error_with(500, "api_error", "message of the last");
    let response = both_fail([anthropic::error_with(500, "api_error", "message of the first"), last]).await;
    assert_eq!(error(&response), (500, json!("api_error")));
    assert_eq!(response.json()["error"]["message"], "message of the last");

    let html = Answer::text(502, "text/html", "<h1>Bad Gateway</h1>");
    let response = both_fail([html.clone(), html]).await;
    assert!(response.status >= 500, "{}", response.status);
    assert_eq!(response.json()["type"], "error", "other formats are translated to Anthropic's");
}

#[tokio::test]
async fn if_no_provider_can_be_reached_the_client_gets_a_502() {
    let (_one, first) = Upstream::refusing();
    let (_two, second) = Upstream::refusing();
    for urls in [vec![first], vec![first, second]] {
        let urls: Vec<_> = urls.iter().map(|address| format!("http://{address}")).collect();
        let relay = relay(&urls.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let response = Call::messages(BODY).send(relay.address()).await;
        assert_eq!(error(&response), (502, json!("api_error")));
        assert!(response.headers.contains("request-id"));
    }
}

#[tokio::test]
async fn debug_headers_describe_the_routing_of_successes_and_errors() {
    let failing = Upstream::answering(|_: &Request| Answer::new(500)).await;
    let second = Upstream::answering(anthropic::answer_with("second")).await;
    for (url, attempts, status) in [(second.url(), "2", 200), (failing.url(), "2", 500)] {
        let providers =
            [provider("first", "anthropic", &failing.url()), provider("second", "anthropic", &url)];
        let relay = Relay::start(&json!({"providers": providers, "routing": {"debug": true}})).await;
        let response = Call::messages(BODY).send(relay.address()).await;
        assert_eq!(response.status, status);
        let header = |name: &str| response.headers.get(name).map(str::to_owned);
        let found =
            ["strategy", "provider", "health", "attempts"].map(|name| header(&format!("x-cc-relay-{name}")));
        assert_eq!(found.map(Option::unwrap_or_default), ["failover", "second", "closed", attempts]);
    }
    let config = json!({"providers": [provider("unreachable", "anthropic", "http://127.0.0.1:9")], "routing": {"debug": true}});
    let relay = Relay::start(&config).await;
    let response = Call::messages(BODY).send(relay.address()).await;
    assert_eq!((response.status, response.headers.get("x-cc-relay-provider")), (502, Some("unreachable")));
}
