//! Embeds the relay in an axum service: at a path of its own, with the service's own authentication and an observer.
//!
//! ```text
//! cargo run -p relay-server --example embed_axum
//! curl -i http://127.0.0.1:8080/relay/v1/messages -H 'x-team: blue' \
//!     -d '{"model":"claude-sonnet-5-5","max_tokens":64,"messages":[{"role":"user","content":"hi"}]}'
//! ANTHROPIC_BASE_URL=http://127.0.0.1:8080/relay ANTHROPIC_CUSTOM_HEADERS='x-team: blue' claude
//! ```

use std::error::Error;
use std::io::Write;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use relay_config::{Format, Loader};
use relay_server::{RecordSubscriber, Relay, RequestRecord};
use tokio::net::TcpListener;

/// The relay's configuration, which the service may keep with its own settings. `mock` answers without a network.
const CONFIG: &str = "providers: [{ name: built-in, type: mock }]";

/// The service: its own page, and the relay at `/relay`. `observer` receives the record of every request of the relay.
pub(crate) fn service(observer: impl RecordSubscriber) -> Result<Router, Box<dyn Error>> {
    let config = Loader::new().with_text("embedded.yaml", Format::Yaml, CONFIG).load()?.config;
    let relay = Relay::builder(config).on_finished(observer).build()?;
    Ok(Router::new()
        .route("/", get(|| async { "the service\n" }))
        .nest_service("/relay", relay)
        .layer(middleware::from_fn(for_teams_only)))
}

/// The service's own authentication. It sees the relay's requests and responses, and does not delay a stream.
async fn for_teams_only(request: Request, next: Next) -> Response {
    let Some(team) = request.headers().get("x-team").cloned() else {
        return (StatusCode::FORBIDDEN, "the header x-team is missing\n").into_response();
    };
    let mut response = next.run(request).await;
    response.headers_mut().insert("x-team", team);
    response.headers_mut().insert("x-served-by", HeaderValue::from_static("the service"));
    response
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let log = |record: &Arc<RequestRecord>| {
        let _ = writeln!(std::io::stdout(), "{} {:?} {:?}", record.path, record.status, record.usage);
    };
    let listener = TcpListener::bind(std::env::args().nth(1).as_deref().unwrap_or("127.0.0.1:8080")).await?;
    writeln!(std::io::stdout(), "listening on http://{}", listener.local_addr()?)?;
    Ok(axum::serve(listener, service(log)?).await?)
}
