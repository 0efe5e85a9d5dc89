//! Serves the admin API of a relay with mock providers and scripted traffic: `cargo run -p relay-admin --example demo`.
//!
//! The argument is the address, by default `127.0.0.1:8788`. A second argument is the token.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use relay_admin::api::{Admin, AdminParts};
use relay_admin::events::Events;
use relay_admin::metrics::{Metrics, MetricsSettings};
use relay_admin::prompt_cache::PromptCache;
use relay_admin::recent::Recent;
use relay_admin::series::Series;
use relay_config::{Config, Format, Loader, Secret};
use relay_server::{Relay, Reloadable};
use tower::ServiceExt;

type Error = Box<dyn std::error::Error + Send + Sync>;

const CONFIG: &str = r"
providers:
  - name: anthropic
    type: anthropic_compatible
    base_url: http://anthropic.invalid
    auth: x-api-key
    forward_headers: [x-cc-relay-mock]
    keys:
      - { key: key-of-the-first-organization, name: team-a, rpm_limit: 60, tpm_limit: 400000, priority: 4 }
      - { key: key-of-the-second-organization, name: team-b, rpm_limit: 30, priority: 3 }
  - { name: bedrock-eu, type: mock, priority: 2 }
  - name: zai
    type: anthropic_compatible
    base_url: http://zai.invalid
    auth: bearer
    forward_headers: [x-cc-relay-mock]
    keys: [{ key: key-of-the-third-organization, name: zai-main }]
  - { name: ollama, type: mock, enabled: false }
server:
  auth:
    api_keys:
      - { name: laptop, key: client-key-laptop }
      - { name: ci, key: client-key-ci }
health: { circuit_breaker: { failure_threshold: 3, open_duration_ms: 20000 } }
";

/// The script: model, client, stream, and the faults of mock providers.
const REQUESTS: [(&str, &str, bool, &str); 12] = [
    ("claude-opus-5-5", "laptop", true, ""),
    ("claude-sonnet-5-5", "laptop", true, ""),
    ("claude-haiku-5-5", "ci", false, ""),
    ("claude-sonnet-5-5", "ci", true, "anthropic=529"),
    ("claude-opus-5-5", "laptop", true, ""),
    ("claude-haiku-5-5", "ci", false, "anthropic=refuse"),
    ("claude-sonnet-5-5", "laptop", true, "cut"),
    ("claude-opus-5-5", "laptop", true, "anthropic=429"),
    ("claude-haiku-5-5", "ci", false, ""),
    ("claude-sonnet-5-5", "laptop", true, "anthropic=500, bedrock-eu=500"),
    ("claude-opus-5-5", "ci", false, "400"),
    ("claude-haiku-5-5", "laptop", true, "anthropic=500, bedrock-eu=500, zai=529"),
];

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8788".to_owned());
    let (recent, series, events) = (Recent::new(1000), Series::new(), Events::new(1024));
    let (metrics, prompt_cache) = (Metrics::new(MetricsSettings::default()), PromptCache::new(100));
    let relay = Relay::builder(load(CONFIG)?)
        .with_upstream("anthropic", upstream("anthropic")?)
        .with_upstream("zai", upstream("zai")?)
        .on_finished(recent.clone())
        .on_finished(series.clone())
        .on_finished(events.clone())
        .on_finished(metrics.clone())
        .on_finished(prompt_cache.clone())
        .build()?;
    let relay = Reloadable::new(relay);
    let mut parts = AdminParts::new(relay.clone(), recent, series, events);
    (parts.metrics, parts.prompt_cache) = (Some(metrics), Some(prompt_cache));
    parts.token = arguments.next().map(Secret::new);
    parts.warnings = vec!["a warning of the configuration".to_owned()];
    let listener = relay_server::bind(address.parse()?)?;
    tokio::spawn(traffic(relay));
    relay_admin::serve::serve(vec![listener], Admin::new(parts), std::future::pending()).await;
    Ok(())
}

fn load(text: &str) -> Result<Config, Error> {
    Ok(Loader::new().with_text("demo.yaml", Format::Yaml, text).load()?.config)
}

/// The upstream of a provider with keys: another relay, whose mock provider has the same name.
fn upstream(name: &str) -> Result<Relay, Error> {
    Ok(Relay::builder(load(&format!("providers: [{{ name: {name}, type: mock }}]"))?).build()?)
}

/// Sends the requests of the script again and again.
async fn traffic(relay: Reloadable) {
    for (index, request) in REQUESTS.iter().cycle().enumerate() {
        let relay = relay.clone();
        tokio::spawn(async move {
            // The relay answers with an error, or the body breaks off: both are shown.
            let _ = send(relay, index, request).await;
        });
        tokio::time::sleep(Duration::from_millis(300 + 120 * (index as u64 % 7))).await;
    }
}

async fn send(
    relay: Reloadable,
    index: usize,
    (model, client, is_stream, fault): &(&str, &str, bool, &str),
) -> Result<(), Error> {
    let session = format!("5e55104{}-0000-4000-8000-000000000000", index % 3);
    let body = format!(
        r#"{{"model":"{model}","max_tokens":1024,"stream":{is_stream},"system":"You are a helpful assistant.","metadata":{{"user_id":"user_1_account__session_{session}"}},"messages":[{{"role":"user","content":"{}"}}]}}"#,
        "Explain this. ".repeat(20 + index % 50)
    );
    let request = Request::post("/v1/messages")
        .header("x-api-key", format!("client-key-{client}"))
        .header("x-client-request-id", format!("client-{index}"))
        .header("x-claude-code-session-id", session)
        .header("x-cc-relay-mock", *fault)
        .body(Full::new(Bytes::from(body)))?;
    let response = relay.oneshot(request).await?;
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        frame?;
    }
    Ok(())
}
