//! Rate limits, failover and model mapping around services that are not the relay's, on plain `http` types.
//!
//! ```text
//! request ▸ respond ▸ auth ▸ rate limit ▸ failover ─┬▸ model map "claude-*" → "big"   ▸ busy service
//!                                                   └▸ model map "claude-*" → "small" ▸ idle service
//! ```
//! Run it with `cargo run -p relay-server --example foreign_stack`.

#![allow(clippy::print_stdout, reason = "the output of an example")]

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use relay_config::{ModelMapping, Secret};
use relay_providers::{MappedBody, ModelMapLayer, RestoredBody};
use relay_routing::{Failover, InOrder, is_unavailable};
use relay_server::auth::{AuthLayer, ConfiguredKeys};
use relay_server::rate_limit::{ClientLimits, RateLimitLayer};
use relay_server::respond::RespondLayer;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Layer, ServiceBuilder, ServiceExt, service_fn};

type Body = Full<Bytes>;
type Upstream = BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>;

/// A service of another author, which returns the request with this status, and gets the model under this name.
fn upstream(status: StatusCode, model: &'static str) -> Upstream {
    let service = service_fn(move |request: Request<MappedBody<Body>>| async move {
        let body = request.into_body().collect().await?.to_bytes();
        Ok::<_, BoxError>(Response::builder().status(status).body(Body::from(body))?)
    });
    let mapping: ModelMapping = [("claude-*", model)].into_iter().collect();
    let mapped = ModelMapLayer::new(mapping, false).layer(service);
    BoxCloneSyncService::new(mapped.and_then(|response: Response<RestoredBody<Body>>| async {
        let (head, body) = response.into_parts();
        Ok(Response::from_parts(head, Body::from(body.collect().await?.to_bytes())))
    }))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let busy = upstream(StatusCode::SERVICE_UNAVAILABLE, "big");
    let idle = upstream(StatusCode::OK, "small");
    let service = ServiceBuilder::new()
        .layer(RespondLayer::new())
        .layer(AuthLayer::new(ConfiguredKeys::default().with_key("alice", Secret::new("secret"))))
        .layer(RateLimitLayer::new(ClientLimits::default().with_requests(2)))
        .service(Failover::of(InOrder::new(busy, is_unavailable).then(idle)));
    for key in ["secret", "secret", "secret", "wrong"] {
        let request = Request::post("/v1/messages").header("x-api-key", key);
        let request = request.body(Body::from(r#"{"model":"claude-opus-5-5","messages":[]}"#))?;
        let response = service.clone().oneshot(request).await?;
        let status = response.status();
        println!("{status}: {:?}", response.into_body().collect().await?.to_bytes());
    }
    Ok(())
}
