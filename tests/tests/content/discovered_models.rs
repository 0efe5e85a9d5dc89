//! Without a configuration file, discovered providers serve the models that Claude Code requests.

use relay_config::{BaseUrl, Deployment, Discovery, ProviderKind, Secret};
use relay_providers::{azure_deployments, largest_ollama_model};
use relay_server::discover_models;
use relay_tests::fakes::{Reply, anthropic, bedrock};
use relay_tests::{Answer, Call, Relay, Request, Upstream};
use relay_transport::{Proxies, Transport, TransportSettings, TrustRoots};
use serde_json::{Value, json};

/// Discovers providers by these variables. An address that is asked for answers.
fn discover(variables: &[(&str, &str)]) -> Discovery {
    let variable = |name: &str| Some(variables.iter().find(|(known, _)| *known == name)?.1.to_owned());
    Discovery::from_environment(variable, |_| true)
}

fn call(model: &str) -> Call {
    Call::messages(json!({"model": model, "max_tokens": 8, "messages": []}).to_string())
}

fn transport() -> Transport {
    let second = std::time::Duration::from_secs(1);
    let settings = TransportSettings::default().with_connect_timeout(second).with_idle_timeout(second);
    Transport::new(&settings, &TrustRoots::load(), Proxies::none()).expect("a transport without a CA file")
}

/// Answers like an Ollama with these models: name, size, and abilities if it reports them.
fn ollama(models: Vec<(&'static str, u64, Option<Value>)>) -> impl Fn(&Request) -> Answer + Send + Sync {
    move |request| match request.path() {
        "/api/tags" => {
            let listed: Vec<_> =
                models.iter().map(|(name, size, _)| json!({"name": name, "size": size})).collect();
            Answer::json(200, &json!({"models": listed}))
        }
        "/api/show" => {
            let wanted = request.json()["model"].clone();
            let model = models.iter().find(|(name, _, _)| wanted == *name);
            match model.and_then(|(_, _, abilities)| abilities.clone()) {
                Some(abilities) => Answer::json(200, &json!({"capabilities": abilities, "license": "x"})),
                None => Answer::json(404, &json!({"error": "not found"})),
            }
        }
        _ => anthropic::message(request, &Reply::new("qwen").text("Hello!")),
    }
}

#[tokio::test]
async fn a_discovered_ollama_serves_claude_with_its_largest_model_that_takes_tools() {
    let models = vec![
        ("small:1b", 1, Some(json!(["completion", "tools"]))),
        ("large:70b", 70, Some(json!(["completion"]))),
        ("coder:30b", 30, Some(json!(["completion", "tools", "thinking"]))),
        ("embed", 90, Some(json!(["embedding"]))),
    ];
    let upstream = Upstream::answering(ollama(models)).await;
    let mut discovery = discover(&[("OLLAMA_HOST", &upstream.address().to_string())]);
    discover_models(&mut discovery).await;
    assert!(
        discovery.found.contains(&"ollama serves claude-* with coder:30b".to_owned()),
        "{:?}",
        discovery.found
    );
    discovery.config.providers.retain(|provider| matches!(provider.kind, ProviderKind::Ollama { .. }));
    let relay = Relay::serve(discovery.config).await;
    for model in ["claude-sonnet-5-5", "claude-haiku-4-5-20251001"] {
        let answer = call(model).send(relay.address()).await;
        assert_eq!((answer.status, answer.json()["model"].clone()), (200, json!(model)));
    }
    assert_eq!(call("small:1b").send(relay.address()).await.status, 200);
    let requests = upstream.requests();
    let sent: Vec<_> = requests.iter().filter(|request| request.path() == "/v1/messages").collect();
    let models: Vec<_> = sent.iter().map(|request| request.json()["model"].clone()).collect();
    assert_eq!(models, [json!("coder:30b"), json!("coder:30b"), json!("small:1b")]);
}

#[tokio::test]
async fn the_model_of_ollama_depends_on_what_it_reports() {
    async fn check(models: Vec<(&'static str, u64, Option<Value>)>, expected: Option<&str>) {
        let upstream = Upstream::answering(ollama(models)).await;
        let url = BaseUrl::parse(&upstream.url()).unwrap();
        assert_eq!(largest_ollama_model(&url, &transport()).await.unwrap().as_deref(), expected);
    }
    let tools = || Some(json!(["tools"]));
    check(vec![], None).await;
    check(vec![("a", 1, Some(json!(["completion"])))], None).await;
    check(vec![("a", 1, None), ("b", 2, None)], Some("b")).await;
    check(vec![("a", 1, tools()), ("b", 2, None)], Some("a")).await;
    check(vec![("b", 2, tools()), ("a", 2, tools())], Some("a")).await;
    check(vec![("big:cloud", 9, tools()), ("a", 2, tools())], Some("a")).await;
    check(vec![("big:cloud", 9, tools())], Some("big:cloud")).await;
}

#[tokio::test]
async fn a_list_that_cannot_be_read_is_reported_and_leaves_the_provider() {
    let upstream = Upstream::answering(|_| Answer::json(500, &json!({}))).await;
    let mut discovery = discover(&[("OLLAMA_HOST", &upstream.url())]);
    discover_models(&mut discovery).await;
    let reason = discovery.faults.last().unwrap();
    assert!(
        reason.starts_with("the models of ollama cannot be listed: the upstream answered 500"),
        "{reason}"
    );
    assert!(discovery.config.providers.iter().any(|provider| provider.name.as_str() == "ollama"));
}

#[tokio::test]
async fn a_discovered_bedrock_serves_claude_by_inference_profiles() {
    let upstream = Upstream::answering(bedrock::answer).await;
    let variables = [("AWS_REGION", "us-east-1"), ("AWS_BEARER_TOKEN_BEDROCK", "b")];
    let mut discovery = discover(&variables);
    discovery.config.providers.retain(|provider| provider.name.as_str() == "bedrock");
    let ProviderKind::Bedrock(config) = &mut discovery.config.providers[0].kind else {
        panic!("not bedrock")
    };
    config.base_url = Some(BaseUrl::parse(&upstream.url()).unwrap());
    let relay = Relay::serve(discovery.config).await;
    let names = [
        ("claude-sonnet-5-5", "us.anthropic.claude-sonnet-5-5"),
        ("claude-haiku-4-5-20251001", "us.anthropic.claude-haiku-4-5-20251001-v1:0"),
        ("global.anthropic.claude-opus-5", "global.anthropic.claude-opus-5"),
    ];
    for (model, _) in names {
        let answer = call(model).send(relay.address()).await;
        assert_eq!((answer.status, answer.json()["model"].clone()).0, 200, "{model}");
    }
    let targets: Vec<_> = upstream.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(targets, names.map(|(_, id)| format!("/model/{id}/invoke")));
}

#[tokio::test]
async fn the_deployments_of_a_resource_are_listed_with_its_key() {
    let upstream = Upstream::answering(|request| {
        assert_eq!(request.target, "/openai/deployments?api-version=2023-03-15-preview");
        assert_eq!(request.header("api-key"), "secret");
        Answer::json(
            200,
            &json!({"object": "list", "data": [
                {"id": "my-opus", "model": "claude-opus-5-5", "status": "succeeded"},
                {"id": "half-done", "model": "claude-sonnet-5-5", "status": "running"},
                {"id": "other", "model": "gpt-6", "status": "succeeded"},
            ]}),
        )
    })
    .await;
    let url = BaseUrl::parse(&format!("{}/anthropic", upstream.url())).unwrap();
    let listed = azure_deployments(&url, &Secret::new("secret"), &transport()).await.unwrap();
    assert_eq!(listed, [Deployment::new("my-opus", "claude-opus-5-5")]);
}

#[tokio::test]
async fn another_version_is_requested_if_a_resource_has_no_list_of_the_first_one() {
    // The answers to both versions, the number of requests, and the status of the error.
    for (first, second, requests, status) in [
        (404, 200, 2, None),
        (400, 200, 2, None),
        (410, 200, 2, None),
        (404, 400, 2, Some(404)),
        (404, 401, 2, Some(401)),
        (401, 200, 1, Some(401)),
        (403, 200, 1, Some(403)),
        (503, 200, 1, Some(503)),
    ] {
        let upstream = Upstream::answering(move |request| {
            let is_first = request.target.ends_with("api-version=2023-03-15-preview");
            assert!(is_first || request.target.ends_with("/openai/deployments?api-version=2022-12-01"));
            let data = json!({"data": [{"id": "my-opus", "model": "claude-opus-5-5"}]});
            Answer::json(if is_first { first } else { second }, &data)
        })
        .await;
        let url = BaseUrl::parse(&format!("{}/anthropic", upstream.url())).unwrap();
        let listed = azure_deployments(&url, &Secret::new("secret"), &transport()).await;
        let found = listed.as_ref().map(|listed| listed[0].name.as_str()).map_err(ToString::to_string);
        match status {
            None => assert_eq!(found.as_deref(), Ok("my-opus"), "{first} {second}"),
            Some(status) => assert!(found.unwrap_err().contains(&status.to_string()), "{first} {second}"),
        }
        assert_eq!(upstream.requests().len(), requests, "{first} {second}");
    }
}
