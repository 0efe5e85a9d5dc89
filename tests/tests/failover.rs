//! Which answer makes the relay ask the next provider, and what the client gets when all have failed.

use relay_tests::fakes::anthropic;
use relay_tests::{Answer, Call, Client, Ending, Relay, Request, Response, Upstream, in_turn, provider, sse};
use serde_json::{Value, json};

const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[]}"#;
const STREAMED: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[],"stream":true}"#;

/// `first` before `second`, by their order in the file.
async fn relay(providers: &[&str]) -> Relay {
    let names = ["first", "second", "third"];
    let providers = names.iter().zip(providers).map(|(name, url)| provider(name, "anthropic", url));
    Relay::start(&json!({"providers": providers.collect::<Vec<_>>()})).await
}

#[tokio::test]
async fn the_first_that_answers_is_the_only_one_asked() {
    let first = Upstream::answering(anthropic::answer_with("first")).await;
    let second = Upstream::answering(anthropic::answer_with("second")).await;
    let relay = relay(&[&first.url(), &second.url()]).await;
    for body in [BODY, STREAMED] {
        assert_eq!(Call::messages(body).send(relay.address()).await.text(), "first");
    }
    assert_eq!(second.connections(), 0);
}

#[tokio::test]
async fn the_higher_priority_is_asked_first() {
    let first = Upstream::answering(anthropic::answer_with("first")).await;
    let second = Upstream::answering(anthropic::answer_with("second")).await;
    let mut ahead = provider("second", "anthropic", &second.url());
    ahead["keys"][0]["priority"] = json!(2);
    let providers = [provider("first", "anthropic", &first.url()), ahead];
    let relay = Relay::start(&json!({"providers": providers})).await;
    assert_eq!(Call::messages(BODY).send(relay.address()).await.text(), "second");
}

#[tokio::test]
async fn a_disabled_provider_is_never_asked() {
    let first = Upstream::answering(anthropic::answer_with("first")).await;
    let second = Upstream::answering(anthropic::answer_with("second")).await;
    let mut off = provider("first", "anthropic", &first.url());
    off["enabled"] = json!(false);
    let relay =
        Relay::start(&json!({"providers": [off, provider("second", "anthropic", &second.url())]})).await;
    assert_eq!(Call::messages(BODY).send(relay.address()).await.text(), "second");
    assert_eq!(first.connections(), 0);
}

#[tokio::test]
async fn these_statuses_make_the_next_provider_answer() {
    for status in [401, 402, 403, 404, 408, 429, 500, 503, 504, 529] {
        for body in [BODY, STREAMED] {
            let first = Upstream::answering(in_turn([anthropic::error(status)])).await;
            let second = Upstream::answering(anthropic::answer_with("second")).await;
            let relay = relay(&[&first.url(), &second.url()]).await;
            assert_eq!(Call::messages(body).send(relay.address()).await.text(), "second");
            let (asked, answered) = (first.only_request(), second.only_request());
            assert_eq!(asked.body, answered.body, "{status}");
        }
    }
    let first = Upstream::answering(in_turn([Answer::text(502, "text/html", "<h1>Bad Gateway</h1>")])).await;
    let second = Upstream::answering(anthropic::answer_with("second")).await;
    let relay = relay(&[&first.url(), &second.url()]).await;
    assert_eq!(Call::messages(BODY).send(relay.address()).await.text(), "second");
}

#[tokio::test]
async fn these_statuses_are_the_clients_business() {
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
async fn a_provider_that_cannot_be_reached_is_passed_over() {
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

    let leaving = Upstream::scripted(|mut connection| async move { drop(connection.receive().await) }).await;
    let relay_ = relay(&[&leaving.url(), &second.url()]).await;
    assert_eq!(Call::messages(STREAMED).send(relay_.address()).await.text(), "second");
}

#[tokio::test]
async fn a_first_byte_that_does_not_come_makes_the_next_provider_answer() {
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
async fn a_stream_that_fails_before_its_first_content_fails_over_unseen() {
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
async fn a_stream_that_fails_behind_its_first_content_is_never_run_again() {
    let opening = sse::recorded("anthropic/hello.sse").into_iter().take(4);
    let first = Upstream::answering(in_turn([Answer::sse(opening).with_ending(Ending::Fin)])).await;
    let second = Upstream::answering(anthropic::answer_with("second")).await;
    let relay = relay(&[&first.url(), &second.url()]).await;
    let response = Call::messages(STREAMED).send(relay.address()).await;
    assert!(response.end.is_broken());
    assert_eq!(second.connections(), 0);
}

#[tokio::test]
async fn a_stale_connection_of_the_pool_is_not_the_clients_problem() {
    let upstream = Upstream::manual().await;
    let relay = relay(&[&upstream.url()]).await;
    let mut client = Client::connect(relay.address()).await;
    for text in ["one", "two", "three"] {
        client.call(&Call::messages(BODY)).await;
        let (mut connection, request) = upstream.exchange().await;
        connection.answer(&anthropic::answer_with(text)(&request)).await.expect("the relay listens");
        assert_eq!(client.response().await.text(), text);
        // Closed while it lies in the pool; the relay may or may not have noticed when the next request comes.
        drop(connection);
    }
}

#[tokio::test]
async fn a_lone_providers_answer_arrives_unchanged() {
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
async fn our_own_bad_credential_is_a_gateways_error_that_names_the_provider() {
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

/// What the client gets from two providers that answer like this.
async fn both_fail(answers: [Answer; 2]) -> Response {
    both_fail_at(BODY, answers).await
}

async fn both_fail_at(body: &'static str, answers: [Answer; 2]) -> Response {
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
async fn when_limits_were_the_reason_the_soonest_retry_after_is_told() {
    let limited = |after: &str| {
        anthropic::error_with(429, "rate_limit_error", "limited").with_header("retry-after", after)
    };
    let response = both_fail([limited("40"), limited("20")]).await;
    assert_eq!(error(&response), (429, json!("rate_limit_error")));
    let after: u64 = response.headers.get("retry-after").expect("a time").parse().expect("seconds");
    assert!((18..=20).contains(&after), "{after}");
}

#[tokio::test]
async fn an_error_event_that_nobody_made_up_for_is_told_by_a_status() {
    let begun = |kind: &str| {
        Answer::sse([sse::recorded("anthropic/hello.sse")[0].clone(), sse::error(kind, "words")])
    };
    for (kind, second, status) in [
        ("rate_limit_error", anthropic::error(500), 429),
        ("overloaded_error", anthropic::error(500), 503),
        ("api_error", anthropic::error(401), 500),
        ("not_found_error", anthropic::error(401), 404),
        // The last one is held back too, behind a failure.
        ("overloaded_error", begun("overloaded_error"), 503),
        ("rate_limit_error", begun("overloaded_error"), 429),
    ] {
        let response = both_fail_at(STREAMED, [begun(kind), second]).await;
        assert_eq!(error(&response), (status, json!(kind)));
    }
}

#[tokio::test]
async fn when_overload_was_the_reason_the_client_is_asked_to_come_back_soon() {
    let response = both_fail([anthropic::error(529), anthropic::error(529)]).await;
    // 529 would make Claude Code give up after three seconds.
    assert_eq!(error(&response), (503, json!("overloaded_error")));
    let after: u64 = response.headers.get("retry-after").expect("a time").parse().expect("seconds");
    assert!((1..=30).contains(&after), "{after}");
}

#[tokio::test]
async fn otherwise_the_last_error_is_told_if_it_is_anthropics() {
    let last = anthropic::error_with(500, "api_error", "the last one's words");
    let response = both_fail([anthropic::error_with(500, "api_error", "the first one's"), last]).await;
    assert_eq!(error(&response), (500, json!("api_error")));
    assert_eq!(response.json()["error"]["message"], "the last one's words");

    let html = Answer::text(502, "text/html", "<h1>Bad Gateway</h1>");
    let response = both_fail([html.clone(), html]).await;
    assert!(response.status >= 500, "{}", response.status);
    assert_eq!(response.json()["type"], "error", "not Anthropic's shape, so it is put into it");
}

#[tokio::test]
async fn when_nobody_can_be_reached_the_client_gets_a_gateways_error() {
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
async fn an_answer_says_how_it_came_about_and_an_error_too() {
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
    let dead = json!({"providers": [provider("dead", "anthropic", "http://127.0.0.1:9")], "routing": {"debug": true}});
    let relay = Relay::start(&dead).await;
    let response = Call::messages(BODY).send(relay.address()).await;
    assert_eq!((response.status, response.headers.get("x-cc-relay-provider")), (502, Some("dead")));
}
