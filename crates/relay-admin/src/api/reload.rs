//! `POST /admin/v1/reload`.

use std::sync::{Arc, PoisonError};

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use tokio::task::spawn_blocking;

use super::app::App;
use super::caller::Caller;
use super::extract::NoInput;
use super::hook::{ReloadError, Reloaded};
use super::problem::Problem;
use crate::model::{ErrorBody, ReloadBody};

/// Reads the configuration file again and puts it into use, as a whole or not at all.
///
/// The message lists the differences, or all problems. Requests under way finish with the configuration before.
#[utoipa::path(
    post,
    path = "/admin/v1/reload",
    tag = "control",
    responses(
        (status = 200, body = ReloadBody),
        (status = 401, body = ErrorBody),
        (status = 409, body = ErrorBody, description = "The relay has no configuration file."),
        (status = 422, body = ErrorBody, description = "The configuration is invalid, and has not changed.")
    )
)]
pub(super) async fn reload(
    State(app): State<Arc<App>>,
    caller: Caller,
    _: NoInput,
) -> Result<Json<ReloadBody>, Problem> {
    let result = spawn_blocking(move || {
        let Some(reload) = &app.parts.reload else { return Err(ReloadError::NoFile) };
        let _reloading = app.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        reload.reload()
    });
    let result =
        result.await.map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the reload failed"))?;
    match result {
        Ok(Reloaded { changed, message, differences, restart }) => {
            caller.log("reload", "configuration", &message);
            Ok(Json(ReloadBody { changed, message, differences, restart }))
        }
        Err(error) => {
            caller.log("reload", "configuration", &error);
            let status = match error {
                ReloadError::NoFile => StatusCode::CONFLICT,
                ReloadError::Invalid { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            };
            Err(Problem::new(status, error.to_string()))
        }
    }
}
