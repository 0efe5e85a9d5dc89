//! The files of the dashboard.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;

use super::fallback::not_found;
use crate::dashboard::Dashboard;

/// The routes of the dashboard.
pub(super) fn routes() -> Router {
    let routes = Router::new().route("/", any(file)).route("/assets/{*path}", any(file));
    routes.with_state(Dashboard::new())
}

async fn file(State(dashboard): State<Dashboard>, request: Request) -> Response {
    match dashboard.respond(request.method(), request.uri().path(), request.headers()) {
        Some(response) => response.map(Body::from).into_response(),
        None => not_found(request).await,
    }
}
