//! The provider that each strategy calls first, and failover to the others.

use relay_tests::fakes::anthropic;
use relay_tests::{Call, PROVIDER_KEY, Relay, Response, Upstream, provider};
use serde_json::{Value, json};

fn about(model: &str) -> String {
    json!({"model": model, "max_tokens": 8, "messages": []}).to_string()
}

/// Upstreams `a`, `b` and `c`, which answer with their names, and a relay over them with this `routing` and these additions to
/// each provider.
struct Scene {
    upstreams: Vec<Upstream>,
    relay: Relay,
}

impl Scene {
    async fn new(mut routing: Value, additions: [Value; 3]) -> Self {
        routing["debug"] = json!(true);
        let mut upstreams = Vec::new();
        let mut providers = Vec::new();
        for (name, additions) in ["a", "b", "c"].into_iter().zip(additions) {
            let upstream = Upstream::answering(anthropic::answer_with(name)).await;
            let mut provider = provider(name, "anthropic", &upstream.url());
            for (key, value) in additions.as_object().into_iter().flatten() {
                provider[key] = value.clone();
            }
            providers.push(provider);
            upstreams.push(upstream);
        }
        let relay = Relay::start(&json!({"providers": providers, "routing": routing})).await;
        Self { upstreams, relay }
    }

    async fn send(&self, model: &str) -> Response {
        let response = Call::messages(about(model)).send(self.relay.address()).await;
        assert_eq!(response.status, 200, "{:?}", response.body());
        response
    }

    /// Sends this many requests and returns the names of the answering providers, in order.
    ///
    /// Asserts that each response names the strategy.
    async fn answers(&self, strategy: &str, model: &str, requests: usize) -> String {
        let mut answers = String::new();
        for _ in 0..requests {
            let response = self.send(model).await;
            assert_eq!(response.headers.get("x-cc-relay-strategy"), Some(strategy));
            answers.push_str(&response.text());
        }
        answers
    }
}

const OPUS: &str = "claude-opus-5-5";

fn plain() -> [Value; 3] {
    [json!({}), json!({}), json!({})]
}

#[tokio::test]
async fn failover_uses_the_first_provider_while_it_answers() {
    let scene = Scene::new(json!({"strategy": "failover"}), plain()).await;
    assert_eq!(scene.answers("failover", OPUS, 4).await, "aaaa");
}

#[tokio::test]
async fn round_robin_calls_each_provider_in_turn() {
    let scene = Scene::new(json!({"strategy": "round_robin"}), plain()).await;
    assert_eq!(scene.answers("round_robin", OPUS, 6).await, "abcabc");
}

#[tokio::test]
async fn weights_are_shares_and_the_weights_of_keys_are_summed() {
    let keys = json!({"keys": [{"key": "one", "weight": 3}, {"key": "two", "weight": 2}]});
    let additions = [keys, json!({}), json!({"weight": 9})];
    let scene = Scene::new(json!({"strategy": "weighted_round_robin"}), additions).await;
    // nginx's example; `c` has a key, so that its own weight does not count.
    assert_eq!(scene.answers("weighted_round_robin", OPUS, 14).await, "aabacaaaabacaa");
}

#[tokio::test]
async fn a_shuffle_calls_each_provider_once_in_a_round() {
    let scene = Scene::new(json!({"strategy": "shuffle"}), plain()).await;
    for _ in 0..5 {
        let mut round = scene.answers("shuffle", OPUS, 3).await.into_bytes();
        round.sort_unstable();
        assert_eq!(round, b"abc");
    }
}

#[tokio::test]
async fn the_model_selects_the_provider_that_it_is_mapped_to() {
    let routing = json!({
        "strategy": "model_based",
        "model_mapping": {"claude-": "a", "claude-haiku-": "c"},
        "default_provider": "b",
    });
    let scene = Scene::new(routing, plain()).await;
    for (model, expected) in [(OPUS, "aa"), ("claude-haiku-4-5", "cc"), ("glm-5.3", "bb")] {
        assert_eq!(scene.answers("model_based", model, 2).await, expected, "{model}");
    }
}

#[tokio::test]
async fn with_every_strategy_the_other_providers_follow_by_priority() {
    for strategy in [
        "failover",
        "round_robin",
        "weighted_round_robin",
        "shuffle",
        "model_based",
        "cost_based",
        "latency_based",
    ] {
        let first = Upstream::answering(|_| anthropic::error(529)).await;
        let second = Upstream::answering(anthropic::answer_with("second")).await;
        let third = Upstream::answering(anthropic::answer_with("third")).await;
        let mut next = provider("second", "anthropic", &second.url());
        next["priority"] = json!(0);
        // It is last although its priority is higher, since it lists another model.
        let mut last = provider("third", "anthropic", &third.url());
        last["models"] = json!(["other"]);
        last["priority"] = json!(2);
        let mut routing = json!({"strategy": strategy, "debug": true});
        if strategy == "model_based" {
            routing["default_provider"] = json!("first");
        }
        let providers = [provider("first", "anthropic", &first.url()), next, last];
        let relay = Relay::start(&json!({"providers": providers, "routing": routing})).await;
        for _ in 0..4 {
            let response = Call::messages(about(OPUS)).send(relay.address()).await;
            assert_eq!(response.text(), "second", "{strategy}");
        }
        assert!(!first.requests().is_empty(), "{strategy}");
        assert_eq!(third.connections(), 0, "{strategy}");
    }
}

#[tokio::test]
async fn a_provider_takes_turns_for_models_that_a_pattern_maps_to_its_own() {
    let mapped = json!({"models": ["glm-5.3"], "model_mapping": {"claude-*": "glm-5.3"}});
    let routing = json!({"strategy": "round_robin", "strict_models": true});
    let scene = Scene::new(routing, [json!({}), mapped, json!({"models": ["glm-5.3"]})]).await;
    assert_eq!(scene.answers("round_robin", OPUS, 4).await, "abab");
}

#[tokio::test]
async fn keys_of_equal_priority_take_turns() {
    let keys = json!([{"key": "one"}, {"key": "two"}, {"key": PROVIDER_KEY, "priority": 0}]);
    let pooled = json!({"keys": keys, "pooling": {"strategy": "round_robin"}});
    let scene = Scene::new(json!({}), [pooled, json!({}), json!({})]).await;
    assert_eq!(scene.answers("failover", OPUS, 4).await, "aaaa");
    let requests = scene.upstreams[0].requests();
    let used: Vec<_> = requests.iter().filter_map(|request| request.headers.get("x-api-key")).collect();
    assert_eq!(used, ["one", "two", "one", "two"]);
}

#[tokio::test]
async fn simultaneous_requests_are_distributed_like_successive_ones() {
    let scene = Scene::new(json!({"strategy": "round_robin"}), plain()).await;
    let address = scene.relay.address();
    let calls: Vec<_> = (0..30)
        .map(|_| {
            let call = Call::messages(about(OPUS));
            tokio::spawn(async move { call.send(address).await.status })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.expect("a call does not panic"), 200);
    }
    let shares = scene.upstreams.iter().map(|upstream| upstream.requests().len());
    assert_eq!(shares.collect::<Vec<_>>(), [10, 10, 10]);
}
