//! Session affinity: the conditions under which a conversation stays on one provider and key.

use relay_tests::fakes::{Reply, anthropic};
use relay_tests::{Answer, Call, Ending, Relay, Request, Response, Upstream, in_turn, provider, sse};
use serde_json::{Value, json};

const MODEL: &str = "claude-opus-5-5";
const SESSIONS: [&str; 2] = ["5f0c1c8e-6e5e-4a52-b0a5-6c1d2f3e4a5b", "0b7d4f7a-14de-4a58-9d3c-8f0e1d2c3b4a"];

/// Returns the JSON that [`anthropic::answer_with`] answers for `a`.
fn well() -> Answer {
    anthropic::success(Answer::json(200, &Reply::new(MODEL).text("a").json()))
}

/// The `turn`th request of a conversation that begins with `opening`.
fn conversation(opening: &str, turn: usize) -> Value {
    let mut messages = vec![json!({"role": "user", "content": opening})];
    for turn in 1..turn {
        messages.push(
            json!({"role": "assistant", "content": [{"type": "text", "text": format!("answer {turn}")}]}),
        );
        messages.push(json!({"role": "user", "content": format!("question {turn}")}));
    }
    json!({"model": MODEL, "max_tokens": 8, "messages": messages})
}

/// A Claude Code request in this session.
fn in_session(session: &str) -> Call {
    Call::messages(conversation("hello", 1).to_string()).header("x-claude-code-session-id", session)
}

/// Upstreams `a` and `b`, and a relay that balances between them. Each answers with its name unless `a` has its own script.
struct Scene {
    upstreams: [Upstream; 2],
    relay: Relay,
}

impl Scene {
    async fn new(routing: Value) -> Self {
        Self::with(routing, anthropic::answer_with("a")).await
    }

    async fn with(mut routing: Value, a: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        routing["strategy"] = json!("round_robin");
        let upstreams =
            [Upstream::answering(a).await, Upstream::answering(anthropic::answer_with("b")).await];
        let [a, b] = &upstreams;
        let providers = [provider("a", "anthropic", &a.url()), provider("b", "anthropic", &b.url())];
        let relay = Relay::start(&json!({"providers": providers, "routing": routing})).await;
        Self { upstreams, relay }
    }

    async fn send(&self, call: Call) -> Response {
        call.send(self.relay.address()).await
    }

    /// Sends this many requests that belong to other conversations.
    async fn interrupt(&self, requests: usize) {
        for _ in 0..requests {
            self.answered_by(Call::messages(conversation("another", 1).to_string())).await;
        }
    }

    /// Sends `call` and returns the name of the upstream that answered.
    async fn answered_by(&self, call: Call) -> String {
        self.send(call).await.text()
    }
}

#[tokio::test]
async fn sessions_are_distributed_and_each_session_stays_on_one_provider() {
    let scene = Scene::new(json!({})).await;
    let [one, two] = SESSIONS;
    let mut answers = String::new();
    for session in [one, two, one, one, two, two] {
        answers += &scene.answered_by(in_session(session)).await;
    }
    assert_eq!(answers, "abaabb");
}

#[tokio::test]
async fn every_request_is_distributed_without_affinity() {
    let scene = Scene::new(json!({"affinity": "none"})).await;
    let mut answers = String::new();
    for _ in 0..4 {
        answers += &scene.answered_by(in_session(SESSIONS[0])).await;
    }
    assert_eq!(answers, "abab");
}

#[tokio::test]
async fn a_session_stays_on_one_key() {
    let upstream = Upstream::answering(anthropic::answer_with("pool")).await;
    let mut pool = provider("pool", "anthropic", &upstream.url());
    pool["keys"] = json!([{"key": "one"}, {"key": "two"}]);
    for pooling in ["least_loaded", "round_robin", "random", "weighted"] {
        pool["pooling"] = json!({"strategy": pooling});
        let relay = Relay::start(&json!({"providers": [pool]})).await;
        let before = upstream.requests().len();
        for _ in 0..6 {
            assert_eq!(in_session(SESSIONS[0]).send(relay.address()).await.status, 200);
        }
        let requests = upstream.requests().split_off(before);
        let mut used: Vec<_> = requests.iter().map(|request| request.header("x-api-key")).collect();
        used.dedup();
        assert_eq!(used.len(), 1, "{pooling}: {used:?}");
    }
}

#[tokio::test]
async fn a_session_is_recognised_by_its_metadata() {
    let object =
        json!({"device_id": "d".repeat(64), "account_uuid": "", "session_id": SESSIONS[0]}).to_string();
    let words = format!("user_{}_account__session_{}", "d".repeat(64), SESSIONS[0]);
    for user_id in [object, words] {
        let scene = Scene::new(json!({})).await;
        let mut answers = String::new();
        for turn in [1, 1, 2, 3] {
            let mut body = conversation("hello", turn);
            body["metadata"] = json!({"user_id": user_id});
            answers += &scene.answered_by(Call::messages(body.to_string())).await;
            scene.interrupt(turn).await;
        }
        assert!(["aaaa", "bbbb"].contains(&answers.as_str()), "{user_id}: {answers}");
    }
}

#[tokio::test]
async fn requests_of_a_user_without_a_session_are_distributed() {
    let scene = Scene::new(json!({})).await;
    let mut body = conversation("hello", 1);
    body["metadata"] = json!({"user_id": "customer-17"});
    let mut answers = String::new();
    for _ in 0..4 {
        answers += &scene.answered_by(Call::messages(body.to_string())).await;
    }
    assert_eq!(answers, "abab");
}

#[tokio::test]
async fn first_turns_are_distributed_and_later_turns_stay_on_one_provider() {
    let scene = Scene::new(json!({})).await;
    let mut first = String::new();
    for _ in 0..4 {
        first += &scene.answered_by(Call::messages(conversation("hello", 1).to_string())).await;
    }
    assert_eq!(first, "abab", "the same first message must not start a conversation");
    let mut later = String::new();
    for turn in 2..6 {
        later += &scene.answered_by(Call::messages(conversation("hello", turn).to_string())).await;
        scene.interrupt(turn).await;
    }
    assert!(["aaaa", "bbbb"].contains(&later.as_str()), "{later}");
}

#[tokio::test]
async fn one_failover_does_not_move_a_session() {
    for detour in [anthropic::error(500), anthropic::error_with(429, "rate_limit_error", "bare")] {
        let answers = in_turn([well(), detour, well()]);
        let scene = Scene::with(json!({}), answers).await;
        let mut answers = String::new();
        for _ in 0..4 {
            answers += &scene.answered_by(in_session(SESSIONS[0])).await;
        }
        assert_eq!(answers, "abaa");
    }
}

#[tokio::test]
async fn a_session_avoids_a_provider_that_broke_off_its_stream() {
    let opening = sse::recorded("anthropic/hello.sse").into_iter().take(4);
    let broken = Answer::sse(opening).with_ending(Ending::Fin);
    let scene = Scene::with(json!({}), in_turn([broken, well()])).await;
    let [one, two] = SESSIONS;
    let mut streamed = conversation("hello", 1);
    streamed["stream"] = json!(true);
    let call = Call::messages(streamed.to_string()).header("x-claude-code-session-id", one);
    assert!(scene.send(call).await.end.is_broken());
    for _ in 0..3 {
        assert_eq!(scene.answered_by(in_session(one)).await, "b");
    }
    assert_eq!(scene.upstreams[0].requests().len(), 1);
    // Another session has no reason to avoid it.
    let others = [scene.answered_by(in_session(two)).await, scene.answered_by(in_session("third")).await];
    assert!(others.contains(&"a".to_owned()), "{others:?}");
}

#[tokio::test]
async fn affinity_of_a_session_is_kept_per_model() {
    let a = Upstream::answering(anthropic::answer_with("a")).await;
    let b = Upstream::answering(anthropic::answer_with("b")).await;
    let mut first = provider("a", "anthropic", &a.url());
    first["models"] = json!([MODEL]);
    let mut second = provider("b", "anthropic", &b.url());
    second["models"] = json!(["claude-haiku-5-5"]);
    let routing = json!({"strict_models": true});
    let relay = Relay::start(&json!({"providers": [first, second], "routing": routing})).await;
    for _ in 0..2 {
        for (model, expected) in [(MODEL, "a"), ("claude-haiku-5-5", "b")] {
            let mut body = conversation("hello", 1);
            body["model"] = json!(model);
            let call = Call::messages(body.to_string()).header("x-claude-code-session-id", SESSIONS[0]);
            let response = call.send(relay.address()).await;
            assert_eq!(response.text(), expected);
        }
    }
}
