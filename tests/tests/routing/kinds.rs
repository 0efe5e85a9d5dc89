//! Providers of every kind, whose upstreams answer by the number of a case in the name of the model.

use relay_tests::fakes::{anthropic, bedrock, google};
use relay_tests::{Answer, Call, Records, Relay, Request, Response, Upstream, minimal_provider};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::task::JoinSet;

pub(crate) const KINDS: [&str; 11] = [
    "anthropic",
    "zai",
    "ollama",
    "minimax",
    "moonshot",
    "deepseek",
    "openrouter",
    "anthropic_compatible",
    "azure",
    "bedrock",
    "vertex",
];

/// The most cases of one kind.
const CASES: usize = 64;
const GOOD: &str = "claude-opus-5-5";

/// A relay with one provider of a kind. It has two keys, if the kind has keys, of which the first is preferred.
pub(crate) struct OneKind {
    pub(crate) kind: &'static str,
    pub(crate) relay: Relay,
    pub(crate) upstream: Upstream,
    /// The records of the requests that have ended.
    pub(crate) records: Records,
    _google: (Upstream, NamedTempFile),
}

impl OneKind {
    /// Starts a relay before an upstream that answers case number `n` with `answers[n]`, and other models well. A failure of
    /// the provider opens its circuit at once, if `is_fragile`.
    pub(crate) async fn new(kind: &'static str, answers: Vec<Answer>, is_fragile: bool) -> Self {
        assert!(answers.len() <= CASES, "{kind}");
        let upstream = Upstream::answering(move |request: &Request| match case(request) {
            Some(number) => answers[number].clone(),
            None if kind == "bedrock" => bedrock::answer(request),
            None => anthropic::answer_with("good")(request),
        })
        .await;
        let tokens = Upstream::answering(|request| google::answer(request, "ya29.token", 3600)).await;
        let file = google::credentials_file(&google::service_account(&tokens.url()));
        let mut provider = match kind {
            "bedrock" => bedrock::provider(&upstream.url(), "unused"),
            "vertex" => {
                json!({"type": kind, "base_url": upstream.url(), "gcp_project_id": "p", "gcp_region": "eu",
                "credentials_file": file.path()})
            }
            kind => minimal_provider("only", kind, &upstream.url()),
        };
        provider["name"] = json!("only");
        match kind {
            "bedrock" => provider["model_mapping"] = bedrock_models(),
            "vertex" | "ollama" => {}
            _ => provider["keys"] = json!([{"key": "key-1", "priority": 2}, {"key": "key-2", "priority": 1}]),
        }
        let threshold = if is_fragile { 1 } else { 1_000 };
        let breaker = json!({"failure_threshold": threshold, "open_duration_ms": 3_600_000});
        let health = json!({"circuit_breaker": breaker, "health_check": {"enabled": false}});
        let config = json!({"providers": [provider], "health": health});
        let (relay, records) = Relay::start_recorded(&config).await;
        Self { kind, relay, upstream, records, _google: (tokens, file) }
    }

    /// Sends the cases of these numbers, streamed or not, all at once. Returns the number of each with its response.
    pub(crate) async fn send_cases(
        &self,
        cases: impl IntoIterator<Item = (usize, bool)>,
    ) -> Vec<(usize, Response)> {
        let address = self.relay.address();
        let mut calls = JoinSet::new();
        for (number, stream) in cases {
            let call = Call::messages(body(&format!("case-{number}"), stream));
            calls.spawn(async move { (number, call.send(address).await) });
        }
        calls.join_all().await
    }

    /// Asserts that a good request succeeds with the preferred key, and that the circuit is closed.
    pub(crate) async fn assert_in_use(&self) {
        let kind = self.kind;
        for stream in [false, true] {
            let good = Call::messages(body(GOOD, stream)).send(self.relay.address()).await;
            assert_eq!(good.status, 200, "{kind}: {:?}", good.body());
        }
        let request = self.upstream.requests().pop().expect("a request");
        let is_first = |name| request.headers.get(name).is_some_and(|value| value.ends_with("key-1"));
        let is_keyed = !["bedrock", "vertex", "ollama"].contains(&kind);
        let is_first = ["x-api-key", "api-key", "authorization"].into_iter().any(is_first);
        assert_eq!(is_first, is_keyed, "{kind}: the preferred key is in use");
        let providers = Call::get("/v1/providers").send(self.relay.address()).await.json();
        assert_eq!(providers["data"][0]["circuit"], "closed", "{kind}");
    }
}

/// Returns the numbers of so many cases, each streamed and not.
pub(crate) fn both_ways(cases: usize) -> impl Iterator<Item = (usize, bool)> {
    (0..cases).flat_map(|number| [(number, false), (number, true)])
}

fn body(model: &str, stream: bool) -> String {
    json!({"model": model, "max_tokens": 8, "messages": [], "stream": stream}).to_string()
}

/// Returns the number of the case, which is in the path or in the body.
fn case(request: &Request) -> Option<usize> {
    let body = String::from_utf8_lossy(&request.body);
    let (_, rest) = request.target.split_once("case-").or_else(|| body.split_once("case-"))?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..digits].parse().ok()
}

fn bedrock_models() -> Value {
    let case = |number| (format!("case-{number}"), json!(format!("eu.anthropic.case-{number}-v1:0")));
    let good = (GOOD.to_owned(), json!("eu.anthropic.claude-opus-5-5"));
    (0..CASES).map(case).chain([good]).collect::<serde_json::Map<_, _>>().into()
}
