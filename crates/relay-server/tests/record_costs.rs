//! The billed tokens and the cost in the record of a request, for each kind of end.

#![cfg(feature = "serve")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, its helpers included")]

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::channel::Channel;
use http_body_util::{BodyExt, Full};
use relay_config::{Config, ProviderName};
use relay_providers::{RelayRequest, Usage};
use relay_routing::{Pricing, Usd};
use relay_server::{
    Body, CustomProvider, LayerBody, RecordHandle, RecordSubscriber, Relay, RequestEnd, RequestRecord,
};
use tower::{BoxError, ServiceExt, service_fn};

const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"model\":\"x\",\"usage\":\
    {\"input_tokens\":10,\"cache_creation_input_tokens\":5,\"cache_creation\":{\"ephemeral_5m_input_tokens\":2,\
    \"ephemeral_1h_input_tokens\":3},\"cache_read_input_tokens\":7,\"output_tokens\":1}}}\n\n";
/// Seven bytes of output, which are two tokens.
const TEXT: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\
    \"text_delta\",\"text\":\"seven b\"}}\n\n";
const END: &str = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":\
    {\"output_tokens\":100,\"server_tool_use\":{\"web_search_requests\":2}}}\n\n\
    event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
/// More cache writes than those of `message_start`, and a compaction.
const RAISED: &str = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":\
    {\"output_tokens\":100,\"cache_creation_input_tokens\":9,\"iterations\":[{\"type\":\"compaction\",\"input_tokens\":50,\
    \"output_tokens\":20},{\"type\":\"message\",\"input_tokens\":10,\"output_tokens\":100}]}}\n\n\
    event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
/// The calls of an advisor, in the form of its documentation. The counts of the answer have the input of the first call only.
const ADVISED: &str = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":\
    {\"output_tokens\":100,\"iterations\":[{\"type\":\"message\",\"input_tokens\":10,\"output_tokens\":40},\
    {\"type\":\"advisor_message\",\"model\":\"advisor\",\"input_tokens\":50,\"output_tokens\":20},\
    {\"type\":\"message\",\"input_tokens\":30,\"output_tokens\":60}]}}\n\n\
    event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
/// The same answer in one piece.
const ADVISED_MESSAGE: &str = r#"{"type":"message","role":"assistant","content":[],"model":"x","stop_reason":"end_turn",
    "usage":{"input_tokens":10,"output_tokens":100,"iterations":[{"type":"message","input_tokens":10,"output_tokens":40},
    {"type":"advisor_message","model":"advisor","input_tokens":50,"output_tokens":20},
    {"type":"message","input_tokens":30,"output_tokens":60}]}}"#;
/// An answer of a fallback. The model that was sent has declined after some output.
const FALLBACK: &str = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":\
    {\"input_tokens\":10,\"output_tokens\":100,\"iterations\":[\
    {\"type\":\"message\",\"model\":\"claude-x\",\"input_tokens\":5,\"output_tokens\":7},\
    {\"type\":\"fallback_message\",\"model\":\"fallback\",\"input_tokens\":10,\"output_tokens\":100}]}}\n\n\
    event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
const REFUSAL: &str = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"refusal\"},\"usage\":\
    {\"output_tokens\":1}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
const BUSY: &str = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\n";
const MESSAGE: &str = r#"{"type":"message","role":"assistant","content":[],"model":"m","stop_reason":"end_turn",
    "usage":{"input_tokens":20,"output_tokens":30}}"#;

/// A script of an upstream: its status, and the pieces of its body. `None` leaves the body open.
#[derive(Clone, Copy)]
struct Script(u16, &'static [Option<&'static str>]);

/// One microdollar for each token of input, ten for each of output, a thousand for each search. The model `advisor` costs a hundred
/// times as much, and `fallback` twice as much. The provider `free` has no price, `mapped` has one for the model that its answers
/// name, and `partial` has none for the advisor.
struct Prices;

impl Pricing for Prices {
    fn cost(&self, provider: &ProviderName, model: &str, usage: &Usage) -> Option<Usd> {
        match provider.as_str() {
            "free" => return None,
            "mapped" if model == "claude-x" => return None,
            "mapped" => assert_eq!(model, "x"),
            "partial" if model == "advisor" => return None,
            _ => {}
        }
        let factor = match model {
            "advisor" => 100,
            "fallback" => 2,
            _ => 1,
        };
        let searches = usage.web_search_requests.unwrap_or(0) * 1000;
        let micros = usage.total_input_tokens()? + 10 * usage.output_tokens? + searches;
        Some(Usd::from_nanos(micros * 1000 * factor))
    }
}

/// The calls of a subscriber's methods, and the records that have been finished.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Calls>>);

#[derive(Default)]
struct Calls {
    methods: Vec<String>,
    records: Vec<Arc<RequestRecord>>,
}

impl RecordSubscriber for Seen {
    fn started(&self, record: &RecordHandle) {
        assert_eq!(record.snapshot().model_requested, None);
        self.0.lock().unwrap().methods.push(format!("started {}", record.id().as_str()));
    }

    fn received(&self, record: &RecordHandle, request: &RelayRequest) {
        assert!(record.snapshot().attempts.is_empty() && record.snapshot().model_requested.is_some());
        self.0.lock().unwrap().methods.push(format!("received {}", request.body().model()));
    }

    fn finished(&self, record: &Arc<RequestRecord>) {
        let mut seen = self.0.lock().unwrap();
        seen.methods.push(format!("finished {}", record.id.as_str()));
        seen.records.push(Arc::clone(record));
    }
}

struct Panics;

impl RecordSubscriber for Panics {
    fn started(&self, _: &RecordHandle) {
        panic!("a subscriber fails");
    }

    fn received(&self, _: &RecordHandle, _: &RelayRequest) {
        panic!("a subscriber fails");
    }

    fn finished(&self, _: &Arc<RequestRecord>) {
        panic!("a subscriber fails");
    }
}

/// Builds a relay whose providers answer by these scripts, the first with the highest priority.
fn relay(scripts: &[(&str, Script)]) -> (Relay, Seen) {
    let seen = Seen::default();
    let relay = Relay::builder(Config::default()).without_proxy().with_pricing(Arc::new(Prices));
    let mut relay = relay.on_finished(Panics).on_finished(seen.clone());
    for (index, (name, Script(status, pieces))) in (0..).zip(scripts.iter().copied()) {
        let form = if pieces[0].is_some_and(|piece| piece.starts_with('{')) {
            "application/json"
        } else {
            "text/event-stream"
        };
        let id = format!("id-of-{name}");
        let service = service_fn(move |_: Request<LayerBody>| {
            let (mut sender, body) = Channel::<Bytes, BoxError>::new(pieces.len());
            let response = Response::builder()
                .status(status)
                .header("content-type", form)
                .header("request-id", &id)
                .body(body)
                .unwrap();
            async move {
                tokio::spawn(async move {
                    for piece in pieces {
                        match piece {
                            Some(text) => sender.send_data(Bytes::from(*text)).await.unwrap(),
                            None => std::future::pending().await,
                        }
                    }
                });
                Ok::<_, Infallible>(response)
            }
        });
        relay = relay.with_upstream(CustomProvider::new(name).with_priority(9 - index), service);
    }
    (relay.build().unwrap(), seen)
}

fn request(path: &str, is_stream: bool) -> Request<Full<Bytes>> {
    let body = format!(
        r#"{{"model":"claude-x","max_tokens":8,"messages":[],"stream":{is_stream},"metadata":{{"user_id":
        "user_1f_account_a_session_5b1c"}}}}"#
    );
    Request::post(path).body(Full::from(body)).unwrap()
}

/// Calls a relay with these upstreams, and reads the answer up to its end, or until nothing more comes.
async fn call(scripts: &[(&str, Script)], path: &str, is_stream: bool) -> Arc<RequestRecord> {
    let (relay, seen) = relay(scripts);
    let calling = relay.oneshot(request(path, is_stream));
    let Ok(response) = tokio::time::timeout(Duration::from_secs(1), calling).await else {
        return only(&seen);
    };
    let mut body: Body = response.unwrap().into_body();
    while let Ok(Some(Ok(_))) = tokio::time::timeout(Duration::from_secs(1), body.frame()).await {}
    drop(body);
    only(&seen)
}

#[track_caller]
fn only(seen: &Seen) -> Arc<RequestRecord> {
    match &seen.0.lock().unwrap().records[..] {
        [record] => Arc::clone(record),
        records => panic!("{records:?}"),
    }
}

/// The cost of the request in microdollars, those of its attempts, and whether it is an estimate.
fn costs(record: &RequestRecord) -> (Option<u64>, Vec<Option<u64>>, bool) {
    let micros = |cost: Option<Usd>| cost.map(|cost| cost.as_nanos() / 1000);
    let attempts = record.attempts.iter().map(|attempt| micros(attempt.cost)).collect();
    (micros(record.cost), attempts, record.is_estimated)
}

const WHOLE: Script = Script(200, &[Some(START), Some(TEXT), Some(END)]);
/// The input of `START`.
const INPUT: u64 = 22;
const WHOLE_COST: u64 = INPUT + 1000 + 2000;

#[tokio::test(start_paused = true)]
async fn a_whole_answer_costs_what_it_reports() {
    let record = call(&[("a", WHOLE)], "/v1/messages", true).await;
    assert_eq!(costs(&record), (Some(WHOLE_COST), vec![Some(WHOLE_COST)], false));
    let usage = record.usage;
    assert_eq!((usage.ephemeral_5m_input_tokens, usage.ephemeral_1h_input_tokens), (Some(2), Some(3)));
    assert_eq!((usage.output_tokens, usage.web_search_requests), (Some(100), Some(2)));
    assert_eq!(record.session.as_deref(), Some("5b1c"));
    let attempt = &record.attempts[0];
    assert_eq!((attempt.kind, attempt.usage), ("custom", None));
    assert_eq!(attempt.upstream_request_id.as_deref(), Some("id-of-a"));

    let record = call(&[("a", Script(200, &[Some(MESSAGE)]))], "/v1/messages", false).await;
    assert_eq!(costs(&record), (Some(320), vec![Some(320)], false));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_cut_costs_its_input_and_the_estimate_of_its_output() {
    let broken = call(&[("a", Script(200, &[Some(START), Some(TEXT)]))], "/v1/messages", true).await;
    assert_eq!((broken.end, broken.usage.output_tokens), (Some(RequestEnd::Broken), Some(2)));
    assert_eq!(costs(&broken), (Some(INPUT + 20), vec![Some(INPUT + 20)], true));

    let abandoned = call(&[("a", Script(200, &[Some(START), Some(TEXT), None]))], "/v1/messages", true).await;
    assert_eq!((abandoned.end, abandoned.usage.output_tokens), (Some(RequestEnd::Abandoned), Some(2)));
    assert_eq!(costs(&abandoned), (Some(INPUT + 20), vec![Some(INPUT + 20)], true));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_failed_after_it_reported_usage_is_billed_too() {
    for failing in [Script(200, &[Some(START), Some(BUSY)]), Script(200, &[Some(START)])] {
        let record = call(&[("a", failing), ("b", WHOLE)], "/v1/messages", true).await;
        let failed = INPUT + 10;
        assert_eq!(costs(&record), (Some(WHOLE_COST + failed), vec![Some(failed), Some(WHOLE_COST)], true));
        let [first, last] = &record.attempts[..] else { panic!("{record:?}") };
        assert_eq!(first.usage.and_then(|usage| usage.input_tokens), Some(10));
        assert_eq!(first.upstream_request_id.as_deref(), Some("id-of-a"));
        assert_eq!((last.usage, record.usage.output_tokens), (None, Some(100)));
    }
    // A message in one piece is no answer to a request for a stream, but it was made.
    let record = call(&[("a", Script(200, &[Some(MESSAGE)])), ("b", WHOLE)], "/v1/messages", true).await;
    assert_eq!(costs(&record), (Some(WHOLE_COST + 320), vec![Some(320), Some(WHOLE_COST)], false));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_whose_client_leaves_before_its_first_content_is_billed() {
    let held = Script(200, &[Some(START), None]);
    let record = call(&[("a", held), ("b", WHOLE)], "/v1/messages", true).await;
    assert_eq!((record.end, record.status), (Some(RequestEnd::Abandoned), None));
    assert_eq!(costs(&record), (Some(INPUT + 10), vec![Some(INPUT + 10)], true));
    assert_eq!(record.attempts[0].upstream_request_id.as_deref(), Some("id-of-a"));
}

#[tokio::test(start_paused = true)]
async fn failures_refusals_and_counts_are_not_billed() {
    const ERROR: &str =
        r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"},"usage":{"input_tokens":5}}"#;
    let record = call(&[("a", Script(529, &[Some(ERROR)]))], "/v1/messages", true).await;
    assert_eq!((record.attempts[0].status, costs(&record)), (Some(529), (None, vec![None], false)));
    let record = call(&[("a", Script(200, &[Some(START), Some(REFUSAL)]))], "/v1/messages", true).await;
    assert_eq!((record.usage.input_tokens, costs(&record)), (Some(10), (None, vec![None], false)));
    let count = Script(200, &[Some(r#"{"input_tokens":5}"#)]);
    let record = call(&[("a", count)], "/v1/messages/count_tokens", false).await;
    assert_eq!(
        (record.status.map(|status| status.as_u16()), costs(&record)),
        (Some(200), (None, vec![None], false))
    );
}

#[tokio::test(start_paused = true)]
async fn an_unknown_price_is_no_cost() {
    let record = call(&[("free", WHOLE)], "/v1/messages", true).await;
    assert_eq!(costs(&record), (None, vec![None], false));
    let failing = Script(200, &[Some(START), Some(BUSY)]);
    let record = call(&[("free", failing), ("b", WHOLE)], "/v1/messages", true).await;
    assert_eq!(costs(&record), (Some(WHOLE_COST), vec![None, Some(WHOLE_COST)], true));
}

#[tokio::test(start_paused = true)]
async fn the_price_is_that_of_the_model_in_the_answer_if_the_sent_one_has_none() {
    let record = call(&[("mapped", WHOLE)], "/v1/messages", true).await;
    assert_eq!(costs(&record), (Some(WHOLE_COST), vec![Some(WHOLE_COST)], false));
    let failing = Script(200, &[Some(START), Some(BUSY)]);
    let record = call(&[("mapped", failing), ("b", WHOLE)], "/v1/messages", true).await;
    assert_eq!(costs(&record), (Some(WHOLE_COST), vec![None, Some(WHOLE_COST)], true));
}

#[tokio::test(start_paused = true)]
async fn subscribers_see_the_start_the_request_and_the_end_also_if_another_one_panics() {
    let (relay, seen) = relay(&[("a", WHOLE)]);
    let response = relay.clone().oneshot(request("/v1/messages", true)).await.unwrap();
    response.into_body().collect().await.unwrap();
    let health = Request::get("/health").body(Full::<Bytes>::default()).unwrap();
    relay.oneshot(health).await.unwrap().into_body().collect().await.unwrap();
    let seen = seen.0.lock().unwrap();
    let [first, second] = &seen.records[..] else { panic!("{:?}", seen.records) };
    let (first, second) = (first.id.as_str(), second.id.as_str());
    let expected = [
        format!("started {first}"),
        "received claude-x".to_owned(),
        format!("finished {first}"),
        format!("started {second}"),
        format!("finished {second}"),
    ];
    assert_eq!(seen.methods, expected);
}

#[tokio::test(start_paused = true)]
async fn the_gaps_between_events_are_counted_and_the_own_time_is_a_part_of_the_head() {
    let upstream = service_fn(|_: Request<LayerBody>| async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let (mut sender, body) = Channel::<Bytes, BoxError>::new(1);
        tokio::spawn(async move {
            for (piece, wait) in [(START, 7000), (TEXT, 40), (TEXT, 300), (END, 0)] {
                sender.send_data(piece.into()).await.unwrap();
                tokio::time::sleep(Duration::from_millis(wait)).await;
            }
        });
        Ok::<_, Infallible>(
            Response::builder().header("content-type", "text/event-stream").body(body).unwrap(),
        )
    });
    let seen = Seen::default();
    let relay = Relay::builder(Config::default()).with_upstream("a", upstream).on_finished(seen.clone());
    let response = relay.build().unwrap().oneshot(request("/v1/messages", true)).await.unwrap();
    response.into_body().collect().await.unwrap();
    let record = only(&seen);
    // A paused clock stands still while the relay works.
    assert_eq!((record.head, record.own_time), (Some(Duration::from_secs(2)), Some(Duration::ZERO)));
    assert_eq!(record.gaps.buckets, [0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0]);
    assert_eq!((record.gaps.count, record.gaps.longest), (3, Duration::from_secs(7)));
    assert_eq!(record.gaps.sum, Duration::from_millis(7340));
    assert_eq!(record.cost, None, "no price is known");
}

#[tokio::test]
async fn only_a_short_plain_session_is_recorded() {
    for (session, expected) in
        [("abc-1", Some("abc-1")), (&"x".repeat(129), None), ("a b", None), ("", Some("5b1c"))]
    {
        let (relay, seen) = relay(&[("a", Script(200, &[Some(MESSAGE)]))]);
        let mut request = request("/v1/messages", false);
        request.headers_mut().insert("x-claude-code-session-id", session.parse().unwrap());
        if session.is_empty() {
            request.headers_mut().remove("x-claude-code-session-id");
        }
        relay.oneshot(request).await.unwrap().into_body().collect().await.unwrap();
        assert_eq!(only(&seen).session.as_deref(), expected, "{session}");
    }
}

#[tokio::test(start_paused = true)]
async fn compactions_and_cache_writes_beyond_the_first_event_are_billed() {
    for (control, split, is_estimated) in [
        ("null", (6, 3), true),
        (r#"{"type":"ephemeral"}"#, (6, 3), false),
        (r#"{"type":"ephemeral","ttl":"1h"}"#, (2, 7), false),
    ] {
        let (relay, seen) = relay(&[("a", Script(200, &[Some(START), Some(TEXT), Some(RAISED)]))]);
        let body = format!(
            r#"{{"model":"claude-x","max_tokens":8,"stream":true,"cache_control":{control},"messages":[]}}"#
        );
        let request = Request::post("/v1/messages").body(Full::from(body)).unwrap();
        relay.oneshot(request).await.unwrap().into_body().collect().await.unwrap();
        let record = only(&seen);
        let usage = record.usage;
        assert_eq!((usage.input_tokens, usage.output_tokens), (Some(60), Some(120)));
        let found = (usage.ephemeral_5m_input_tokens, usage.ephemeral_1h_input_tokens);
        assert_eq!(found, (Some(split.0), Some(split.1)), "{control}");
        assert_eq!(costs(&record), (Some(1276), vec![Some(1276)], is_estimated), "{control}");
    }
}

/// The parts of the last attempt by model: input and output tokens, and the cost in microdollars.
fn parts(record: &RequestRecord) -> Vec<(&str, u64, u64, Option<u64>)> {
    let parts = record.attempts.last().unwrap().by_model.iter();
    let tokens = |count: Option<u64>| count.unwrap_or(0);
    let cost = |cost: Option<Usd>| cost.map(|cost| cost.as_nanos() / 1000);
    parts
        .map(|part| {
            let usage = &part.usage;
            (&*part.model, tokens(usage.input_tokens), tokens(usage.output_tokens), cost(part.cost))
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn an_advisor_is_billed_at_its_own_price() {
    const OWN: u64 = 40 + 1000;
    const ADVISOR: u64 = 100 * (50 + 200);
    let streamed = Script(200, &[Some(START), Some(TEXT), Some(ADVISED)]);
    for (script, is_stream, cached) in
        [(streamed, true, 12), (Script(200, &[Some(ADVISED_MESSAGE)]), false, 0)]
    {
        let record = call(&[("a", script)], "/v1/messages", is_stream).await;
        let (own, cost) = (OWN + cached, OWN + cached + ADVISOR);
        assert_eq!(costs(&record), (Some(cost), vec![Some(cost)], false));
        assert_eq!((record.usage.input_tokens, record.usage.output_tokens), (Some(90), Some(120)));
        let expected = [("claude-x", 40, 100, Some(own)), ("advisor", 50, 20, Some(ADVISOR))];
        assert_eq!(parts(&record), expected);

        let record = call(&[("partial", script)], "/v1/messages", is_stream).await;
        assert_eq!(costs(&record).0, Some(own));
        assert_eq!(parts(&record)[1], ("advisor", 50, 20, None));
    }
}

#[tokio::test(start_paused = true)]
async fn each_model_of_a_fallback_is_billed_at_its_own_price() {
    let record =
        call(&[("a", Script(200, &[Some(START), Some(TEXT), Some(FALLBACK)]))], "/v1/messages", true).await;
    let (served, declined) = (2 * (INPUT + 1000), 5 + 70);
    assert_eq!(costs(&record), (Some(served + declined), vec![Some(served + declined)], false));
    assert_eq!(record.model_served.as_deref(), Some("fallback"));
    let expected = [("fallback", 10, 100, Some(served)), ("claude-x", 5, 7, Some(declined))];
    assert_eq!(parts(&record), expected);
}
