//! The layers of the relay around services that are not the relay's, on plain `http` types.
//!
//! ```text
//! request ▸ id ▸ record, log ▸ linger ▸ respond ▸ auth ▸ rate limit ▸ failover ─┬▸ "claude-*" → "big"   ▸ busy service
//!                                                                               └▸ "claude-*" → "small" ▸ idle service
//! ```
//! Run it with `cargo run -p relay-server --example foreign_stack`.

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use relay_config::{ModelMapping, Secret};
use relay_providers::{MappedBody, ModelMapLayer, RestoredBody};
use relay_routing::{Failover, InOrder, is_unavailable};
use relay_server::{access_log, auth, linger, rate_limit, record, request_id, respond};
use tower::{BoxError, Layer, ServiceBuilder, ServiceExt, service_fn, util::BoxCloneSyncService};

type Body = Full<Bytes>;
type Upstream = BoxCloneSyncService<Request<Body>, Response<RestoredBody<Body>>, BoxError>;

/// A service of another author, which returns the request with this status, and gets the model under this name.
fn upstream(status: StatusCode, model: &'static str) -> Upstream {
    let service = service_fn(move |request: Request<MappedBody<Body>>| async move {
        let body = request.into_body().collect().await?.to_bytes();
        Ok::<_, BoxError>(Response::builder().status(status).body(Body::from(body))?)
    });
    let mapping: ModelMapping = [("claude-*", model)].into_iter().collect();
    BoxCloneSyncService::new(ModelMapLayer::new(mapping, false).layer(service))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    tracing_subscriber::fmt().init();
    let busy = upstream(StatusCode::SERVICE_UNAVAILABLE, "big");
    let idle = upstream(StatusCode::OK, "small");
    let failover = Failover::of(InOrder::new(busy, is_unavailable).then(idle));
    let service = ServiceBuilder::new()
        .layer(request_id::SetRequestIdLayer::new())
        .layer(record::RecordLayer::new().with_subscriber(access_log::AccessLog::new()))
        .layer(linger::LingerLayer::new())
        .layer(respond::RespondLayer::new())
        .layer(auth::AuthLayer::new(auth::ConfiguredKeys::default().with_key("alice", Secret::new("secret"))))
        .layer(rate_limit::RateLimitLayer::new(rate_limit::ClientLimits::default().with_requests(2)))
        .service_fn(move |request: Request<linger::LingerBody<record::CountedBody<Body>>>| {
            let failover = failover.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = Body::from(body.collect().await?.to_bytes()); // can be sent several times
                failover.oneshot(Request::from_parts(head, body)).await
            }
        });
    for key in ["secret", "secret", "secret", "wrong"] {
        let request = Request::post("/v1/messages").header("x-api-key", key);
        let request = request.body(Body::from(r#"{"model":"claude-opus-5-5","messages":[]}"#))?;
        let response = service.clone().oneshot(request).await?;
        tracing::info!("response: {:?}", response.into_body().collect().await?.to_bytes());
    }
    Ok(())
}
