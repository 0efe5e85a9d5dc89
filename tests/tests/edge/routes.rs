//! The routes of the main listener other than `POST /v1/messages`.

use relay_tests::fakes::anthropic::{self, Credential};
use relay_tests::fakes::ollama;
use relay_tests::{Answer, Call, Client, End, PROVIDER_KEY, Relay, Upstream, in_turn, provider};
use serde_json::{Value, json};

async fn anthropic_upstream() -> Upstream {
    let rules = anthropic::rules(Credential::Key(PROVIDER_KEY));
    Upstream::builder().require(rules).answering(anthropic::answer).await
}

/// Two providers with models of their own, one of which both have.
async fn two_providers() -> (Upstream, Relay) {
    let upstream = anthropic_upstream().await;
    let mut first = provider("first", "anthropic", &upstream.url());
    first["models"] = json!(["claude-opus-5-5", "claude-haiku-5-5"]);
    let mut second = provider("second", "zai", &upstream.url());
    second["models"] = json!(["glm-5.3", "claude-haiku-5-5"]);
    let relay = Relay::start(&json!({"providers": [first, second]})).await;
    (upstream, relay)
}

fn ids(list: &Value) -> Vec<&str> {
    let models = list["data"].as_array().expect("a list");
    models.iter().map(|model| model["id"].as_str().expect("an id")).collect()
}

#[tokio::test]
async fn health_is_served_without_a_key() {
    let upstream = anthropic_upstream().await;
    let config = json!({
        "server": {"auth": {"api_key": "key-for-using-the-relay"}},
        "providers": [provider("a", "anthropic", &upstream.url())],
    });
    let relay = Relay::start(&config).await;
    for path in ["/health", "/healthz", "/readyz"] {
        let response = Call::get(path).send(relay.address()).await;
        assert_eq!(response.status, 200, "{path}");
        assert!(response.json().is_object(), "{path}");
    }
    for (method, path) in [("GET", "/"), ("HEAD", "/"), ("HEAD", "/api/hello"), ("HEAD", "/health")] {
        let response = Call::new(method, path).send(relay.address()).await;
        assert_eq!((response.status, response.end), (200, End::Complete), "{method} {path}");
    }
    assert_eq!(upstream.connections(), 0, "the relay answers these routes itself");
}

#[tokio::test]
async fn each_model_is_listed_once_in_the_formats_of_both_apis() {
    let (upstream, relay) = two_providers().await;
    let response = Call::get("/v1/models?limit=1000").send(relay.address()).await;
    assert_eq!(response.status, 200);
    let list = response.json();
    assert_eq!(ids(&list), ["claude-opus-5-5", "claude-haiku-5-5", "glm-5.3"]);
    for model in list["data"].as_array().expect("a list") {
        for field in ["type", "id", "display_name", "created_at", "object", "owned_by"] {
            assert!(model[field].is_string(), "{field}: {model}");
        }
        assert_eq!((&model["type"], &model["object"]), (&json!("model"), &json!("model")));
    }
    assert_eq!(
        (&list["first_id"], &list["last_id"], &list["has_more"]),
        (&json!("claude-opus-5-5"), &json!("glm-5.3"), &json!(false))
    );
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn the_models_are_listed_in_pages() {
    let (_upstream, relay) = two_providers().await;
    let page = async |query: &str| {
        let response = Call::get(format!("/v1/models?{query}")).send(relay.address()).await;
        assert_eq!(response.status, 200, "{query}");
        let list = response.json();
        (ids(&list).join(" "), list["has_more"] == true)
    };
    assert_eq!(page("limit=1").await, ("claude-opus-5-5".to_owned(), true));
    assert_eq!(page("limit=1&after_id=claude-opus-5-5").await, ("claude-haiku-5-5".to_owned(), true));
    assert_eq!(page("after_id=claude-opus-5-5").await, ("claude-haiku-5-5 glm-5.3".to_owned(), false));
    assert_eq!(page("after_id=glm-5.3").await, (String::new(), false));
    // The page before an id ends with the entry next to it.
    assert_eq!(page("limit=1&before_id=glm-5.3").await, ("claude-haiku-5-5".to_owned(), true));
    assert_eq!(page("before_id=glm-5.3").await, ("claude-opus-5-5 claude-haiku-5-5".to_owned(), false));
    for query in ["limit=0", "limit=x", "limit=-1", "limit=100000"] {
        let response = Call::get(format!("/v1/models?{query}")).send(relay.address()).await;
        assert_eq!(response.status, 400, "{query}");
        assert_eq!(response.json()["error"]["type"], "invalid_request_error", "{query}");
    }
}

#[tokio::test]
async fn the_providers_are_listed_without_secrets() {
    let upstream = anthropic_upstream().await;
    let mut a = provider("a", "anthropic", &upstream.url());
    a["models"] = json!(["claude-opus-5-5"]);
    let relay = Relay::start(&json!({"providers": [a]})).await;
    let response = Call::get("/v1/providers").send(relay.address()).await;
    assert_eq!(response.status, 200);
    let text = String::from_utf8(response.body().to_vec()).expect("JSON is UTF-8");
    assert!(
        text.contains(r#""a""#) && text.contains("anthropic") && text.contains("claude-opus-5-5"),
        "{text}"
    );
    assert!(!text.contains(PROVIDER_KEY), "{text}");
}

#[tokio::test]
async fn a_failing_provider_is_listed_with_the_reason_until_it_works_again() {
    let upstream =
        Upstream::answering(in_turn([anthropic::error(401), anthropic::error(400), anthropic::error(529)]));
    let upstream = upstream.await;
    let (_gone, address) = Upstream::refusing();
    let relay = Relay::start(&json!({"providers": [
        provider("a", "anthropic", &upstream.url()),
        {"name": "b", "type": "ollama", "base_url": format!("http://{address}"), "enabled": false},
        {"name": "c", "type": "ollama", "base_url": format!("http://{address}"), "models": ["local"]},
    ]}))
    .await;
    let state = async || Call::get("/v1/providers").send(relay.address()).await.json()["data"].clone();
    assert_eq!(
        (&state().await[0]["state"], &state().await[1]["state"]),
        (&json!("ready"), &json!("disabled"))
    );
    for expected in ["answered 401 (credential_rejected)", "", "answered 529 (overloaded)"] {
        Call::messages(r#"{"model":"m","max_tokens":1,"messages":[]}"#).send(relay.address()).await;
        let found = state().await[0].clone();
        let failing = !expected.is_empty();
        assert_eq!(found["state"], if failing { "failing" } else { "ready" });
        assert_eq!(found["last_error"].as_str().unwrap_or_default(), expected);
    }
    let refused = state().await[2]["last_error"].as_str().unwrap_or_default().to_owned();
    assert!(refused.contains("cannot connect") && refused.contains("refused"), "{refused}");
}

#[tokio::test]
async fn an_unknown_path_and_a_wrong_method_are_refused() {
    let upstream = anthropic_upstream().await;
    let relay = Relay::start(&json!({"providers": [provider("a", "anthropic", &upstream.url())]})).await;
    for (method, target, status, kind) in [
        ("GET", "/nowhere", 404, "not_found_error"),
        ("POST", "/", 405, "invalid_request_error"),
        ("GET", "/v1", 404, "not_found_error"),
        ("POST", "/v2/messages", 404, "not_found_error"),
        ("GET", "/v1/messages", 405, "invalid_request_error"),
        ("DELETE", "/v1/messages", 405, "invalid_request_error"),
        ("GET", "/v1/messages/count_tokens", 405, "invalid_request_error"),
        ("POST", "/v1/models", 405, "invalid_request_error"),
        ("POST", "/health", 405, "invalid_request_error"),
    ] {
        let response = Call::new(method, target).send(relay.address()).await;
        assert_eq!(response.status, status, "{method} {target}");
        let body = response.json();
        assert_eq!(
            (&body["type"], &body["error"]["type"]),
            (&json!("error"), &json!(kind)),
            "{method} {target}"
        );
        assert!(response.headers.contains("request-id"));
        assert_eq!(response.headers.contains("allow"), status == 405, "{method} {target}");
    }
    assert_eq!(upstream.requests().len(), 0);
}

#[tokio::test]
async fn tokens_are_counted_by_the_provider_that_can() {
    let upstream = anthropic_upstream().await;
    let relay = Relay::start(&json!({"providers": [provider("a", "anthropic", &upstream.url())]})).await;
    let body = r#"{"model":"claude-opus-5-5","messages":[{"role":"user","content":"how many?"}]}"#;
    let call = Call::post("/v1/messages/count_tokens?beta=true")
        .header("anthropic-version", "2023-06-01")
        .json(body);
    let response = call.send(relay.address()).await;
    assert_eq!((response.status, response.json()), (200, json!({"input_tokens": 2095})));
    assert_eq!(response.headers.get("x-cc-relay-estimated"), None);
    let request = upstream.only_request();
    assert_eq!(
        (request.target.as_str(), request.body.as_ref()),
        ("/v1/messages/count_tokens?beta=true", body.as_bytes())
    );
}

#[tokio::test]
async fn tokens_are_estimated_if_the_provider_cannot_count() {
    let upstream = Upstream::builder().require(ollama::rules()).answering(ollama::answer).await;
    let relay = Relay::start(&json!({"providers": [provider("a", "ollama", &upstream.url())]})).await;
    let count = async |text: String| {
        let body = json!({"model": "qwen3-coder", "messages": [{"role": "user", "content": text}]});
        let response =
            Call::post("/v1/messages/count_tokens").json(body.to_string()).send(relay.address()).await;
        assert_eq!(response.status, 200);
        assert_eq!(response.headers.get("x-cc-relay-estimated"), Some("true"));
        response.json()["input_tokens"].as_u64().expect("a number")
    };
    let (short, long) = (count("hello".to_owned()).await, count("hello ".repeat(1000)).await);
    assert!(short > 0 && long > 500 && long < 6000, "{short}, {long}");
}

#[tokio::test]
async fn other_routes_of_the_api_are_relayed_to_the_first_anthropic_provider() {
    let other = Upstream::answering(|_| Answer::new(500)).await;
    let upstream =
        Upstream::builder().require(anthropic::rules(Credential::Key(PROVIDER_KEY))).allow_chunked();
    let upstream = upstream.answering(|request| Answer::json(200, &json!({"saw": request.method}))).await;
    let mut first = provider("first", "zai", &other.url());
    first["priority"] = json!(9);
    let relay =
        Relay::start(&json!({"providers": [first, provider("second", "anthropic", &upstream.url())]})).await;
    for (method, target) in [
        ("GET", "/v1/models/claude-opus-5-5"),
        ("GET", "/v1/files?limit=5&after_id=x"),
        ("DELETE", "/v1/files/file_1"),
        ("POST", "/v1/messages/batches/batch_1/cancel"),
        ("GET", "/v1/messages/batches/batch_1/results"),
        ("PATCH", "/v1/skills/s%2F1"),
    ] {
        let call = Call::new(method, target).header("anthropic-version", "2023-06-01");
        let response = call.header("x-api-key", "of-the-client").send(relay.address()).await;
        assert_eq!((response.status, response.json()), (200, json!({"saw": method})), "{method} {target}");
        let request = upstream.requests().pop().expect("a request");
        assert_eq!((request.method.as_str(), request.target.as_str()), (method, target));
    }
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn other_routes_stream_both_ways() {
    let upstream = Upstream::builder().allow_chunked().manual().await;
    let config = json!({
        "server": {"max_body_bytes": 1024},
        "providers": [provider("a", "anthropic", &upstream.url())],
    });
    let relay = Relay::start(&config).await;
    let mut client = Client::connect(relay.address()).await;
    // The body is larger than the limit for collected bodies, and incomplete when the upstream is already called.
    let call =
        Call::post("/v1/files").header("content-length", "4000").header("anthropic-version", "2023-06-01");
    client.send(call.head("localhost")).await;
    client.send("x".repeat(2000)).await;
    let mut connection = upstream.connection().await;
    let request = connection.receive_head().await.expect("a head");
    assert_eq!(request.target, "/v1/files");

    client.send("y".repeat(2000)).await;
    let body = connection.receive_body().await.expect("a body");
    assert_eq!(body, format!("{}{}", "x".repeat(2000), "y".repeat(2000)));

    connection.send_head(&Answer::event_stream()).await;
    assert_eq!(client.head().await.status, 200);
    for line in ["{\"one\":1}\n", "{\"two\":2}\n"] {
        connection.send_chunk(line.as_bytes()).await;
        client.expect(line.as_bytes()).await;
    }
    connection.send_last_chunk().await;
    assert_eq!((client.chunk().await, client.end()), (None, Some(End::Complete)));
}

#[tokio::test]
async fn other_routes_are_not_found_without_an_anthropic_provider() {
    let upstream = Upstream::answering(ollama::answer).await;
    let relay = Relay::start(&json!({"providers": [provider("a", "ollama", &upstream.url())]})).await;
    let response = Call::get("/v1/files").send(relay.address()).await;
    assert_eq!((response.status, &response.json()["error"]["type"]), (404, &json!("not_found_error")));
    assert_eq!(upstream.connections(), 0);
}
