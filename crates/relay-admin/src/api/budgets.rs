//! `GET /admin/v1/budgets`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::app::App;
use crate::model::{BudgetsBody, ErrorBody};

/// Returns the budgets of the clients, and the part of each that is spent.
#[utoipa::path(
    get,
    path = "/admin/v1/budgets",
    tag = "usage",
    responses((status = 200, body = BudgetsBody), (status = 401, body = ErrorBody))
)]
pub(super) async fn budgets(State(app): State<Arc<App>>) -> Json<BudgetsBody> {
    let relay = app.parts.relay.relay();
    let data = app.parts.budgets.as_ref().map(|budgets| budgets.report(&relay.config().server.auth));
    Json(BudgetsBody::new(data.unwrap_or_default()))
}
