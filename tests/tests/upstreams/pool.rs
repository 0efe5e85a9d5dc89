//! The keys of a provider: their limits, their cooldowns and their return to use.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use relay_tests::fakes::{Reply, anthropic, zai};
use relay_tests::{
    Answer, Call, Client, Connection, Relay, Request, Response, Upstream, provider, within_limit,
};
use serde_json::{Value, json};

const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[]}"#;
const STREAMED: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[],"stream":true}"#;
const SUBSCRIPTION: &str = "sk-ant-oat01-of-the-client";

/// The `date` of the answers of [`dated`].
const NOW: &str = "Sun, 22 Nov 2026 18:00:00 GMT";

fn message(request: &Request) -> Answer {
    anthropic::message(request, &Reply::new("claude-opus-5-5").text("hello"))
}

/// Adds a `date` to `answer`, which headers with a time refer to.
fn dated(answer: Answer) -> Answer {
    answer.with_header("date", NOW)
}

/// A success whose headers report no remaining requests for this number of seconds.
fn last_one(seconds: u32) -> Answer {
    let reset = format!("2026-11-22T18:00:{seconds:02}Z");
    dated(Answer::json(200, &Reply::new("claude-opus-5-5").text("hello").json()))
        .with_header("anthropic-ratelimit-requests-limit", "50")
        .with_header("anthropic-ratelimit-requests-remaining", "0")
        .with_header("anthropic-ratelimit-requests-reset", reset)
}

fn limited(retry_after: &str) -> Answer {
    anthropic::error_with(429, "rate_limit_error", "limited").with_header("retry-after", retry_after)
}

/// Returns the credential of a request.
fn credential(request: &Request) -> &str {
    let bearer = request.headers.get("authorization").and_then(|value| value.strip_prefix("Bearer "));
    bearer.or_else(|| request.headers.get("x-api-key")).unwrap_or("nothing")
}

/// Answers the first request with `key` by `answer`, and every other request by a message.
fn at_first(key: &'static str, answer: Answer) -> impl Fn(&Request) -> Answer + Send + Sync {
    let is_first = AtomicBool::new(true);
    move |request| match credential(request) == key && is_first.swap(false, Ordering::Relaxed) {
        true => answer.clone(),
        false => message(request),
    }
}

/// An upstream and a relay with several keys for it.
struct Pool {
    upstream: Upstream,
    relay: Relay,
}

impl Pool {
    async fn new(keys: Value, answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Self::with(json!({"keys": keys}), answer).await
    }

    /// Starts both with these settings of the provider.
    async fn with(settings: Value, answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let upstream = Upstream::answering(answer).await;
        let mut provider = provider("pool", "anthropic", &upstream.url());
        for (name, value) in settings.as_object().into_iter().flatten() {
            provider[name] = value.clone();
        }
        let relay = Relay::start(&json!({"providers": [provider]})).await;
        Self { upstream, relay }
    }

    async fn send(&self, body: &'static str) -> Response {
        Call::messages(body).send(self.relay.address()).await
    }

    #[track_caller]
    fn send_successfully(&self, body: &'static str) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let response = self.send(body).await;
            assert_eq!(response.status, 200, "{:?} ({caller})", response.body());
        }
    }

    /// Returns the credentials of the requests that the upstream has received, in order.
    fn used(&self) -> String {
        self.upstream.requests().iter().map(credential).collect::<Vec<_>>().join(" ")
    }
}

/// The key `one`, with a higher priority than `two`.
fn ranked() -> Value {
    json!([{"key": "one", "priority": 2}, {"key": "two", "priority": 1}])
}

#[track_caller]
fn assert_limited(response: &Response, retry_after: std::ops::RangeInclusive<u64>) {
    assert_eq!(response.status, 429, "{:?}", response.body());
    assert_eq!(response.json()["error"]["type"], "rate_limit_error");
    let after = response.headers.get("retry-after").expect("a time").parse().expect("whole seconds");
    assert!(retry_after.contains(&after), "retry-after: {after}");
}

#[tokio::test]
async fn requests_beyond_the_limit_of_a_key_use_the_next_key_and_are_refused_beyond_all() {
    for body in [BODY, STREAMED] {
        let mut keys = ranked();
        keys[0]["rpm_limit"] = json!(2);
        keys[1]["rpm_limit"] = json!(1);
        let pool = Pool::new(keys, message).await;
        for _ in 0..3 {
            pool.send_successfully(body).await;
        }
        assert_eq!(pool.used(), "one one two");
        // Two requests a minute are one in thirty seconds.
        assert_limited(&pool.send(body).await, 20..=30);
        assert_eq!(pool.used(), "one one two", "a request beyond the limits of all keys calls no upstream");
    }
}

#[tokio::test]
async fn the_least_loaded_of_equal_keys_is_used() {
    let keys = json!([{"key": "one", "rpm_limit": 2}, {"key": "two", "rpm_limit": 6}]);
    let pool = Pool::new(keys, message).await;
    for _ in 0..8 {
        pool.send_successfully(BODY).await;
    }
    let used = pool.used();
    assert_eq!((used.matches("one").count(), used.matches("two").count()), (2, 6), "{used}");
}

#[tokio::test]
async fn tokens_are_limited_like_requests() {
    let mut keys = ranked();
    keys[0]["otpm_limit"] = json!(8);
    let pool = Pool::new(keys, message).await;
    pool.send_successfully(BODY).await;
    pool.send_successfully(BODY).await;
    assert_eq!(pool.used(), "one two", "the first answer used more than the limit");
}

#[tokio::test]
async fn a_provider_whose_keys_are_exhausted_is_skipped() {
    let first = Upstream::answering(message).await;
    let second = Upstream::answering(message).await;
    let mut scarce = provider("first", "anthropic", &first.url());
    scarce["keys"] = json!([{"key": "one", "rpm_limit": 1}]);
    let providers = [scarce, provider("second", "anthropic", &second.url())];
    let relay = Relay::start(&json!({"providers": providers})).await;
    for _ in 0..3 {
        assert_eq!(Call::messages(BODY).send(relay.address()).await.status, 200);
    }
    assert_eq!((first.requests().len(), second.requests().len()), (1, 2));
}

#[tokio::test]
async fn after_an_answer_about_its_key_another_key_answers_and_the_next_request_avoids_the_first() {
    let exhausted = dated(anthropic::error_with(429, "rate_limit_error", "limited"))
        .with_header("anthropic-ratelimit-input-tokens-remaining", "0")
        .with_header("anthropic-ratelimit-input-tokens-reset", "2026-11-22T18:00:40Z");
    let rejections = [401, 402, 403].map(anthropic::error);
    for answer in [limited("40"), exhausted].into_iter().chain(rejections) {
        for body in [BODY, STREAMED] {
            let pool = Pool::new(ranked(), at_first("one", answer.clone())).await;
            pool.send_successfully(body).await;
            assert_eq!(pool.used(), "one two", "{answer:?}");
            pool.send_successfully(body).await;
            assert_eq!(pool.used(), "one two two", "{answer:?}");
        }
    }
}

#[tokio::test]
async fn a_429_without_a_limit_affects_only_its_request() {
    let bare = anthropic::error_with(429, "rate_limit_error", "Extra usage is required");
    for answer in [bare.clone(), bare.with_header("x-should-retry", "true").with_header("retry-after", "40")]
    {
        let pool = Pool::new(ranked(), at_first("one", answer)).await;
        for _ in 0..2 {
            pool.send_successfully(BODY).await;
        }
        assert_eq!(pool.used(), "one two one");
    }
}

#[tokio::test]
async fn a_cooldown_ends_by_itself() {
    let pool = Pool::new(ranked(), at_first("one", limited("1"))).await;
    pool.send_successfully(BODY).await;
    let back = async {
        while !pool.used().ends_with("one") {
            pool.send_successfully(BODY).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    within_limit("end of the cooldown", back).await;
    let requests = pool.upstream.requests();
    let ones: Vec<_> = requests.iter().filter(|request| credential(request) == "one").collect();
    assert_eq!(ones.len(), 2, "the key must not be used during its cooldown");
    assert!(ones[1].at - ones[0].at >= Duration::from_secs(1));
}

#[tokio::test]
async fn if_every_key_is_in_cooldown_the_client_gets_the_soonest_end_without_an_upstream_request() {
    let pool =
        Pool::new(ranked(), |request| limited(if credential(request) == "one" { "40" } else { "20" })).await;
    assert_limited(&pool.send(BODY).await, 18..=20);
    assert_eq!(pool.used(), "one two");
    assert_limited(&pool.send(STREAMED).await, 15..=20);
    assert_eq!(pool.used(), "one two");
}

#[tokio::test]
async fn the_error_codes_of_zai_are_read_as_limits() {
    for (code, message) in [("1302", "High concurrency usage"), ("1308", "Usage limit reached")] {
        let limited = zai::error(429, code, message);
        let answer = at_first("one", limited);
        let upstream = Upstream::answering(answer).await;
        let mut provider = provider("zai", "zai", &upstream.url());
        provider["keys"] = ranked();
        let relay = Relay::start(&json!({"providers": [provider]})).await;
        for _ in 0..2 {
            assert_eq!(Call::messages(BODY).send(relay.address()).await.status, 200, "{code}");
        }
        let requests = upstream.requests();
        let used: Vec<_> = requests.iter().map(credential).collect();
        assert_eq!(used, ["one", "two", "two"], "{code}");
    }
}

#[tokio::test]
async fn a_pool_without_a_valid_key_names_its_provider() {
    let pool = Pool::new(ranked(), |_| anthropic::error(401)).await;
    for _ in 0..2 {
        let response = pool.send(BODY).await;
        assert_eq!((response.status, &response.json()["error"]["type"]), (502, &json!("api_error")));
        let message = response.json()["error"]["message"].to_string();
        assert!(message.contains("pool"), "{message}");
        assert_eq!(response.headers.get("x-should-retry"), Some("false"));
    }
}

/// Sends a request. Returns its client and its connection at the upstream.
async fn under_way(upstream: &Upstream, relay: &Relay) -> (Client, Connection, Request) {
    let mut client = Client::connect(relay.address()).await;
    client.call(&Call::messages(BODY)).await;
    let (connection, request) = upstream.exchange().await;
    (client, connection, request)
}

#[tokio::test]
async fn a_success_of_a_request_before_the_refusal_does_not_end_the_cooldown() {
    for refusal in [limited("40"), anthropic::error(529), anthropic::error(401)] {
        let first = Upstream::manual().await;
        let second = Upstream::answering(message).await;
        let providers =
            [provider("first", "anthropic", &first.url()), provider("second", "anthropic", &second.url())];
        let relay = Relay::start(&json!({"providers": providers})).await;
        let (mut early, mut early_connection, early_request) = under_way(&first, &relay).await;
        let (mut late, mut late_connection, _) = under_way(&first, &relay).await;
        late_connection.answer(&refusal).await.expect("the relay listens");
        assert_eq!(late.response().await.status, 200);
        early_connection.answer(&message(&early_request)).await.expect("the relay listens");
        assert_eq!(early.response().await.status, 200);

        assert_eq!(Call::messages(BODY).send(relay.address()).await.status, 200);
        assert_eq!((first.requests().len(), second.requests().len()), (2, 2), "{refusal:?}");
    }
}

/// A pool whose client sends its own subscription, which is tried before the keys and receives `answer`.
async fn with_subscription(answer: Answer) -> Pool {
    let settings = json!({"keys": [{"key": "one"}], "passthrough": true});
    let answer = move |request: &Request| match credential(request) == SUBSCRIPTION {
        true => answer.clone(),
        false => message(request),
    };
    Pool::with(settings, answer).await
}

#[tokio::test]
async fn failures_of_a_clients_subscription_do_not_affect_the_configured_keys() {
    for answer in [limited("40"), anthropic::error(401), anthropic::error(403)] {
        let pool = with_subscription(answer).await;
        let own = || Call::messages(BODY).header("authorization", format!("Bearer {SUBSCRIPTION}"));
        // The result of a request with a refused subscription is not tested here.
        own().send(pool.relay.address()).await;
        let before = pool.upstream.requests().len();
        pool.send_successfully(BODY).await;
        let used = pool.upstream.requests();
        assert_eq!(used[before..].iter().map(credential).collect::<Vec<_>>(), ["one"]);
    }
}

#[tokio::test]
async fn a_rate_limited_subscription_does_not_affect_another_subscription() {
    let pool = with_subscription(limited("40")).await;
    for _ in 0..2 {
        let call = Call::messages(BODY).header("authorization", format!("Bearer {SUBSCRIPTION}"));
        assert_eq!(call.send(pool.relay.address()).await.status, 200);
    }
    let requests = pool.upstream.requests();
    let used: Vec<_> = requests.iter().map(credential).collect();
    assert_eq!(used, [SUBSCRIPTION, "one", SUBSCRIPTION, "one"]);
}

#[tokio::test]
async fn a_key_without_remaining_requests_is_avoided_before_it_is_refused() {
    let pool = Pool::new(ranked(), at_first("one", last_one(40))).await;
    for _ in 0..3 {
        pool.send_successfully(BODY).await;
    }
    assert_eq!(pool.used(), "one two two");
}

#[tokio::test]
async fn headers_never_refill_a_configured_limit() {
    // Every answer reports 3999 remaining requests.
    let pool = Pool::new(json!([{"key": "one", "rpm_limit": 1}]), message).await;
    pool.send_successfully(BODY).await;
    assert_limited(&pool.send(BODY).await, 50..=60);
    assert_eq!(pool.used(), "one");
}

#[tokio::test]
async fn a_request_waits_for_a_key_that_frees_up_in_time() {
    let settings = json!({"keys": [{"key": "one"}], "pooling": {"max_wait_ms": 10_000}});
    let pool = Pool::with(settings, at_first("one", last_one(1))).await;
    pool.send_successfully(BODY).await;
    pool.send_successfully(STREAMED).await;
    let requests = pool.upstream.requests();
    let waited = requests[1].at - requests[0].at;
    assert!(waited >= Duration::from_millis(900), "{waited:?}");
}

#[tokio::test]
async fn a_request_waits_for_a_key_before_it_goes_to_another_provider() {
    for (max_wait, expected) in [(10_000, (2, 0)), (0, (1, 1))] {
        let first = Upstream::answering(at_first("first", last_one(1))).await;
        let second = Upstream::answering(message).await;
        let mut patient = provider("first", "anthropic", &first.url());
        patient["keys"] = json!([{"key": "first"}]);
        patient["pooling"] = json!({"max_wait_ms": max_wait});
        let relay =
            Relay::start(&json!({"providers": [patient, provider("second", "anthropic", &second.url())]}))
                .await;
        for _ in 0..2 {
            assert_eq!(Call::messages(BODY).send(relay.address()).await.status, 200);
        }
        assert_eq!((first.requests().len(), second.requests().len()), expected, "max_wait_ms: {max_wait}");
    }
}

#[tokio::test]
async fn a_request_does_not_wait_while_another_key_is_free() {
    let settings = json!({"keys": ranked(), "pooling": {"max_wait_ms": 60_000}});
    let pool = Pool::with(settings, at_first("one", last_one(40))).await;
    let sent = Instant::now();
    for _ in 0..2 {
        pool.send_successfully(BODY).await;
    }
    assert_eq!(pool.used(), "one two");
    assert!(sent.elapsed() < Duration::from_secs(10), "{:?}", sent.elapsed());
}

#[tokio::test]
async fn a_request_does_not_wait_if_no_key_frees_up_in_time() {
    for (max_wait, seconds) in [(0, 2), (500, 40)] {
        let settings = json!({"keys": [{"key": "one"}], "pooling": {"max_wait_ms": max_wait}});
        let pool = Pool::with(settings, at_first("one", last_one(seconds))).await;
        pool.send_successfully(BODY).await;
        let sent = Instant::now();
        assert_limited(&pool.send(BODY).await, 1..=u64::from(seconds));
        assert!(sent.elapsed() < Duration::from_secs(10), "{:?}", sent.elapsed());
        assert_eq!(pool.used(), "one");
    }
}

#[tokio::test]
async fn keys_of_one_organization_share_its_limits() {
    let keys = json!([
        {"key": "one", "priority": 3, "organization": "acme", "rpm_limit": 2},
        {"key": "two", "priority": 2, "organization": "acme"},
        {"key": "three", "priority": 1},
    ]);
    let pool = Pool::new(keys.clone(), message).await;
    for _ in 0..3 {
        pool.send_successfully(BODY).await;
    }
    assert_eq!(pool.used(), "one one three");

    let pool = Pool::new(keys, at_first("one", limited("40"))).await;
    for _ in 0..2 {
        pool.send_successfully(BODY).await;
    }
    assert_eq!(pool.used(), "one three three");
}

#[tokio::test]
async fn a_refused_key_does_not_affect_other_keys_of_its_organization() {
    let keys = json!([
        {"key": "one", "priority": 2, "organization": "acme"},
        {"key": "two", "priority": 1, "organization": "acme"},
    ]);
    let pool = Pool::new(keys, at_first("one", anthropic::error(401))).await;
    for _ in 0..2 {
        pool.send_successfully(BODY).await;
    }
    assert_eq!(pool.used(), "one two two");
}

#[tokio::test]
async fn keys_that_are_never_sent_have_limits_too() {
    let first = Upstream::answering(message).await;
    let second = Upstream::answering(message).await;
    let mut scarce = json!({"name": "first", "type": "ollama", "base_url": first.url()});
    scarce["keys"] = json!([{"rpm_limit": 1}]);
    let providers = [scarce, json!({"name": "second", "type": "ollama", "base_url": second.url()})];
    let relay = Relay::start(&json!({"providers": providers})).await;
    for _ in 0..2 {
        assert_eq!(Call::messages(BODY).send(relay.address()).await.status, 200);
    }
    assert_eq!((first.requests().len(), second.requests().len()), (1, 1));
}
