//! The strategies that compare providers by a figure: by price, and by the time to the first content.

use std::sync::Arc;
use std::time::Duration;

use relay_config::ProviderName;
use relay_providers::Usage;
use relay_routing::{Pricing, Usd};
use relay_tests::fakes::anthropic;
use relay_tests::{Call, Connection, Relay, Response, Upstream, provider};
use serde_json::{Value, json};

const MODEL: &str = "claude-opus-5-5";

fn call(is_stream: bool, session: &str) -> Call {
    let messages = json!([{"role": "user", "content": "hi"}]);
    let body = json!({"model": MODEL, "max_tokens": 8, "stream": is_stream, "messages": messages});
    Call::messages(body.to_string()).header("x-claude-code-session-id", session)
}

/// A second turn, which has a prefix that may be cached.
fn second_turn(session: &str) -> Call {
    let turn = |role: &str, text: &str| json!({"role": role, "content": text});
    let messages = json!([turn("user", "hi"), turn("assistant", "x"), turn("user", "more")]);
    let body = json!({"model": MODEL, "max_tokens": 8, "messages": messages});
    Call::messages(body.to_string()).header("x-claude-code-session-id", session)
}

async fn slow(name: &'static str, delay: Duration) -> Upstream {
    let answer = anthropic::answer_with(name);
    let answer = Arc::new(answer);
    Upstream::scripted(move |mut connection: Connection| {
        let answer = Arc::clone(&answer);
        async move {
            while let Some(request) = connection.receive().await {
                tokio::time::sleep(delay).await;
                if connection.answer(&answer(&request)).await.is_err() {
                    return;
                }
            }
        }
    })
    .await
}

fn config(upstreams: &[(&str, &Upstream)], strategy: &str) -> Value {
    let providers: Vec<_> =
        upstreams.iter().map(|(name, upstream)| provider(name, "anthropic", &upstream.url())).collect();
    json!({"providers": providers, "routing": {"strategy": strategy}})
}

/// Returns `true` if `text` is a text of the message or of an event.
fn has_text(response: &Response, text: &str) -> bool {
    String::from_utf8_lossy(&response.body()).contains(&format!("\"{text}\""))
}

async fn answered_by(relay: &Relay, call: Call) -> String {
    let response = call.send(relay.address()).await;
    assert_eq!(response.status, 200, "{:?}", response.body());
    response.text()
}

#[tokio::test]
async fn the_fastest_provider_is_called_once_all_are_measured() {
    for is_stream in [false, true] {
        let a = slow("a", Duration::from_millis(400)).await;
        let b = slow("b", Duration::from_millis(20)).await;
        let config = config(&[("a", &a), ("b", &b)], "latency_based");
        let relay = Relay::start(&config).await;
        let mut answers = String::new();
        for session in 0..6 {
            let response = call(is_stream, &format!("s{session}")).send(relay.address()).await;
            answers += if has_text(&response, "a") { "a" } else { "b" };
        }
        assert_eq!(answers, "abbbbb", "stream: {is_stream}");
        // A session stays where it is, and a new configuration keeps the times.
        assert_eq!(answered_by(&relay, second_turn("s0")).await, "a");
        let next = relay.with_inherited_state(&config).await;
        let response = call(is_stream, "s9").send(next.address()).await;
        assert!(has_text(&response, "b"));
        let list = Call::get("/v1/providers").send(next.address()).await.json();
        let times = list["data"][1]["content_times"].as_array().unwrap();
        let time = times.iter().find(|time| time["is_stream"] == json!(is_stream)).unwrap();
        assert_eq!(time["model"], json!(MODEL));
        assert!(time["average_ms"].as_u64().is_some_and(|time| time >= 20), "{time}");
    }
}

#[tokio::test]
async fn a_provider_that_fails_at_once_is_not_the_fastest() {
    let a = Upstream::answering(|_| anthropic::error(500)).await;
    let b = slow("b", Duration::from_millis(100)).await;
    let relay = Relay::start(&config(&[("a", &a), ("b", &b)], "latency_based")).await;
    for session in 0..4 {
        assert_eq!(answered_by(&relay, call(false, &format!("s{session}"))).await, "b");
    }
    assert_eq!(a.requests().len(), 1, "it is measured once");
}

#[tokio::test]
async fn simultaneous_requests_do_not_all_go_to_the_fastest_provider() {
    let a = slow("a", Duration::from_millis(300)).await;
    let b = slow("b", Duration::from_millis(200)).await;
    let relay = Relay::start(&config(&[("a", &a), ("b", &b)], "latency_based")).await;
    for session in ["first", "second"] {
        answered_by(&relay, call(false, session)).await;
    }
    let address = relay.address();
    let calls: Vec<_> = (0..20)
        .map(|session| {
            let call = call(false, &format!("s{session}"));
            tokio::spawn(async move { call.send(address).await.status })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.expect("a call does not panic"), 200);
    }
    let [a, b] = [a, b].map(|upstream| upstream.requests().len() - 1);
    assert!(a >= 4 && b >= 8 && a < b, "{a} and {b}");
}

/// Prices of a million tokens by provider, in dollars.
struct PerMillion(&'static [(&'static str, u64)]);

impl Pricing for PerMillion {
    fn cost(&self, provider: &ProviderName, _: &str, usage: &Usage) -> Option<Usd> {
        let (_, price) = self.0.iter().find(|(name, _)| *name == provider.as_str())?;
        let tokens = usage.input_tokens.unwrap_or(0) + usage.output_tokens.unwrap_or(0);
        Some(Usd::from_nanos(tokens * price * 1000))
    }
}

#[tokio::test]
async fn the_cheapest_provider_is_called_and_the_next_cheapest_after_it() {
    let mut upstreams = Vec::new();
    for name in ["a", "b", "c"] {
        let answer = anthropic::answer_with(name);
        upstreams.push(
            Upstream::answering(move |request| match name {
                "b" => anthropic::error(529),
                _ => answer(request),
            })
            .await,
        );
    }
    let [a, b, c] = &upstreams[..] else { unreachable!("there are three") };
    let config = config(&[("a", a), ("b", b), ("c", c)], "cost_based");
    let prices = Arc::new(PerMillion(&[("a", 15), ("b", 1), ("c", 3)]));
    let relay = Relay::start_with(&config, move |builder| builder.with_pricing(prices)).await;
    assert_eq!(answered_by(&relay, call(false, "s")).await, "c");
    assert_eq!((b.requests().len(), a.requests().len()), (1, 0));
}
