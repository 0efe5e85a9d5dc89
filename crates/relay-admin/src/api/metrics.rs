//! The metrics, on a path of the configuration.

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode};
use relay_server::Reloadable;
use tokio::task::spawn_blocking;

use super::fallback::method_not_allowed;
use super::problem::Problem;
use crate::metrics::Metrics;

/// Returns the metrics in the format that the client prefers.
pub(super) async fn respond(metrics: &Metrics, relay: &Reloadable, request: Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return method_not_allowed(request).await;
    }
    let accept = request.headers().get(ACCEPT).cloned();
    let (metrics, relay) = (metrics.clone(), relay.relay());
    let written = spawn_blocking(move || metrics.encode(&relay.state(), accept.as_ref())).await;
    match written {
        Ok((content_type, text)) => {
            ([(CONTENT_TYPE, HeaderValue::from_static(content_type))], text).into_response()
        }
        Err(_) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the metrics failed").into_response(),
    }
}
