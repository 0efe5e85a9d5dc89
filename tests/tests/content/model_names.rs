//! The model's name in answers: the client's own, also from a provider with another name for the model.

use relay_tests::fakes::{Reply, bedrock, google};
use relay_tests::{Answer, Call, End, Relay, Upstream, in_turn, minimal_provider, provider};
use serde_json::{Value, json};

const CLIENT: &str = "claude-opus-5-5";
const UPSTREAM: &str = "name/of-the \"upstream\"";

fn body(model: &str, stream: bool) -> String {
    json!({"model": model, "max_tokens": 8, "messages": [], "stream": stream}).to_string()
}

/// The answer of an upstream of this kind, whose model calls itself `model`.
fn answer(kind: &str, model: &str, stream: bool) -> Answer {
    let reply = Reply::new(model).text("hello");
    match (kind, stream) {
        ("bedrock", true) => {
            bedrock::stream(bedrock::events(&reply).iter().map(|event| bedrock::chunk(event)))
        }
        (_, true) => Answer::sse(reply.events()),
        (_, false) => Answer::json(200, &reply.json()),
    }
}

/// The configuration of a provider that maps [`CLIENT`] to [`UPSTREAM`].
fn mapped(kind: &str, upstream: &Upstream, credentials_file: &std::path::Path) -> Value {
    let mut provider = match kind {
        "bedrock" => bedrock::provider(&upstream.url(), UPSTREAM),
        "vertex" => json!({"name": "gw", "type": "vertex", "base_url": upstream.url(), "gcp_project_id": "p",
                           "gcp_region": "eu", "credentials_file": credentials_file}),
        kind => minimal_provider("gw", kind, &upstream.url()),
    };
    provider["model_mapping"] = json!({CLIENT: UPSTREAM});
    provider
}

/// Sends a request to a relay with one provider of this kind. Returns the name of the model in the answer, and the answer.
async fn model_in_answer(kind: &str, requested: &str, stream: bool, routing: Value) -> (String, Vec<u8>) {
    let upstream = Upstream::answering(in_turn([answer(kind, UPSTREAM, stream)])).await;
    let tokens = Upstream::answering(|request| google::answer(request, "ya29.token", 3600)).await;
    let file = google::credentials_file(&google::service_account(&tokens.url()));
    let providers = [mapped(kind, &upstream, file.path())];
    let relay = Relay::start(&json!({"providers": providers, "routing": routing})).await;
    let response = Call::messages(body(requested, stream)).send(relay.address()).await;
    assert_eq!(
        (response.status, response.end),
        (200, End::Complete),
        "{kind}, stream {stream}: {:?}",
        response.body()
    );
    let model = match stream {
        true => response.events()[0].json()["message"]["model"].clone(),
        false => response.json()["model"].clone(),
    };
    (model.as_str().expect("a name").to_owned(), response.body().to_vec())
}

#[tokio::test]
async fn a_mapped_model_answers_with_the_clients_name_for_every_kind() {
    for kind in
        ["anthropic", "zai", "ollama", "minimax", "azure", "anthropic_compatible", "vertex", "bedrock"]
    {
        for stream in [false, true] {
            let (model, _) = model_in_answer(kind, CLIENT, stream, json!({})).await;
            assert_eq!(model, CLIENT, "{kind}, stream {stream}");
            let (model, _) =
                model_in_answer(kind, CLIENT, stream, json!({"restore_model_name": false})).await;
            assert_eq!(model, UPSTREAM, "{kind}, stream {stream}");
        }
    }
}

#[tokio::test]
async fn only_the_name_changes_and_an_answer_without_a_mapping_is_unchanged() {
    let reply = |model: &str| Reply::new(model).text("hello");
    let (_, stream) = model_in_answer("zai", CLIENT, true, json!({})).await;
    assert_eq!(stream, reply(CLIENT).events().concat());
    let (_, message) = model_in_answer("zai", CLIENT, false, json!({})).await;
    assert_eq!(message, reply(CLIENT).json().to_string().as_bytes());
    for stream in [false, true] {
        // The upstream's own alias of a name that the relay does not map.
        let (model, _) = model_in_answer("anthropic", "claude-sonnet-5-5", stream, json!({})).await;
        assert_eq!(model, UPSTREAM);
    }
}

#[tokio::test]
async fn the_answer_of_a_fallback_has_the_clients_name_and_its_next_request_reaches_the_first_provider() {
    for stream in [false, true] {
        let overloaded = json!({"type": "error", "error": {"type": "api_error", "message": "down"}});
        let first = [Answer::json(500, &overloaded), answer("anthropic", CLIENT, stream)];
        let first = Upstream::answering(in_turn(first)).await;
        let second = Upstream::answering(in_turn([answer("ollama", "qwen3", stream)])).await;
        let mut fallback = minimal_provider("second", "ollama", &second.url());
        fallback["model_mapping"] = json!({"*": "qwen3"});
        let providers = [provider("first", "anthropic", &first.url()), fallback];
        let relay = Relay::start(&json!({"providers": providers})).await;

        let name = |response: relay_tests::Response| match stream {
            true => response.events()[0].json()["message"]["model"].clone(),
            false => response.json()["model"].clone(),
        };
        let answered = name(Call::messages(body(CLIENT, stream)).send(relay.address()).await);
        assert_eq!((&answered, second.requests().len()), (&json!(CLIENT), 1));
        // `claude --continue` requests the name that the last answer carries.
        let continued = body(answered.as_str().expect("a name"), stream);
        let _ = Call::messages(continued).send(relay.address()).await;
        assert_eq!(first.requests()[1].json()["model"], CLIENT);
    }
}
