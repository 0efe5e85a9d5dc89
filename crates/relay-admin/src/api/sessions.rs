//! `GET /admin/v1/sessions`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::app::App;
use crate::model::{ErrorBody, SessionsBody};

/// Returns the latest sessions with the cache reads of their latest turns, the one with the latest request first.
#[utoipa::path(
    get,
    path = "/admin/v1/sessions",
    tag = "requests",
    responses((status = 200, body = SessionsBody), (status = 401, body = ErrorBody))
)]
pub(super) async fn sessions(State(app): State<Arc<App>>) -> Json<SessionsBody> {
    let data = app.parts.prompt_cache.as_ref().map(crate::prompt_cache::PromptCache::sessions);
    Json(SessionsBody::new(data.unwrap_or_default()))
}
