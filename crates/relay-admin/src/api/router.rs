//! The routes of the admin API.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::Method;
use http::header::{CONTENT_TYPE, HeaderValue};
use tower_http::compression::CompressionLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::description::Description;
use super::fallback::{method_not_allowed, not_found};
use super::problem;
use super::{budgets, control, event_stream, metrics, reload, requests, series, sessions, state, token};

/// The handlers that the description describes.
fn api() -> OpenApiRouter<Arc<App>> {
    let routes = OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(state::state))
        .routes(routes!(requests::list))
        .routes(routes!(requests::one))
        .routes(routes!(series::series))
        .routes(routes!(sessions::sessions))
        .routes(routes!(event_stream::events))
        .routes(routes!(control::pause))
        .routes(routes!(control::resume))
        .routes(routes!(control::reset_circuit))
        .routes(routes!(control::drain))
        .routes(routes!(control::undrain))
        .routes(routes!(control::reset_cooldown))
        .routes(routes!(reload::reload))
        .routes(routes!(budgets::budgets));
    #[cfg(feature = "ledger")]
    let routes = routes.routes(routes!(super::usage::usage));
    routes
}

/// Returns the description of the API as JSON.
pub(super) fn description() -> String {
    let (_, description) = api().split_for_parts();
    description.to_json().unwrap_or_default()
}

/// Builds the service of all routes.
pub(super) fn router(app: &Arc<App>) -> Router {
    let (api, description) = api().split_for_parts();
    let description: Arc<str> = description.to_json().unwrap_or_default().into();
    let describe = move || std::future::ready(json(&description));
    let api = api.route("/admin/v1/openapi.json", get(describe)).fallback(other);
    let api = api.layer(middleware::from_fn_with_state(Arc::clone(app), flush));
    let api = token::protect(api.with_state(Arc::clone(app)), app.token.clone());
    // These hold no data, and need no token.
    let open = Router::new().route("/healthz", get(|| std::future::ready(json(r#"{"status":"ok"}"#))));
    #[cfg(feature = "dashboard")]
    let open = open.merge(super::page::routes());
    open.merge(api)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn(refuse_other_methods))
        .layer(CompressionLayer::new())
        .layer(middleware::from_fn(problem::write))
}

/// Hands the records of requests that have ended to the parts, so that the answer shows them.
async fn flush(State(app): State<Arc<App>>, request: Request, next: middleware::Next) -> Response {
    app.flush().await;
    next.run(request).await
}

/// Answers a request for any other path. The path of the metrics is one of the configuration: it has no route, since it could be that
/// of another one.
async fn other(State(app): State<Arc<App>>, request: Request) -> Response {
    match &app.parts.metrics {
        Some(metrics) if request.uri().path() == app.parts.metrics_path => {
            metrics::respond(metrics, &app.parts.relay, request).await
        }
        _ => not_found(request).await,
    }
}

fn json(text: &str) -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], text.to_owned()).into_response()
}

/// Refuses methods that no route has, whatever the path is: `CONNECT`, `TRACE`, `OPTIONS` and unknown ones.
async fn refuse_other_methods(request: Request, next: middleware::Next) -> Response {
    match *request.method() {
        Method::GET | Method::HEAD | Method::POST => next.run(request).await,
        _ => method_not_allowed(request).await,
    }
}
