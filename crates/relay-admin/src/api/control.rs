//! The actions on providers and keys.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use relay_server::{Control, ControlError};
use tokio::task::spawn_blocking;

use super::app::App;
use super::caller::Caller;
use super::extract::{Names, NoInput};
use super::problem::Problem;
use crate::model::{ChangeBody, ErrorBody};

type Changed = Result<Json<ChangeBody>, Problem>;

/// Pauses a provider: it gets no further requests. Requests under way are not affected.
#[utoipa::path(
    post,
    path = "/admin/v1/providers/{name}/pause",
    tag = "control",
    params(("name" = String, Path, description = "The provider.")),
    responses(
        (status = 200, body = ChangeBody),
        (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody)
    )
)]
pub(super) async fn pause(
    State(app): State<Arc<App>>,
    Names(name): Names<String>,
    caller: Caller,
    _: NoInput,
) -> Changed {
    app.control(caller, name, Control::Pause).await
}

/// Resumes a paused provider.
#[utoipa::path(
    post,
    path = "/admin/v1/providers/{name}/resume",
    tag = "control",
    params(("name" = String, Path, description = "The provider.")),
    responses(
        (status = 200, body = ChangeBody),
        (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody)
    )
)]
pub(super) async fn resume(
    State(app): State<Arc<App>>,
    Names(name): Names<String>,
    caller: Caller,
    _: NoInput,
) -> Changed {
    app.control(caller, name, Control::Resume).await
}

/// Closes the circuit of a provider, and ends the rest of its models.
#[utoipa::path(
    post,
    path = "/admin/v1/providers/{name}/circuit/reset",
    tag = "control",
    params(("name" = String, Path, description = "The provider.")),
    responses(
        (status = 200, body = ChangeBody),
        (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody)
    )
)]
pub(super) async fn reset_circuit(
    State(app): State<Arc<App>>,
    Names(name): Names<String>,
    caller: Caller,
    _: NoInput,
) -> Changed {
    app.control(caller, name, Control::ResetCircuit).await
}

/// Drains a key: it gets no further requests. Requests under way are not affected.
#[utoipa::path(
    post,
    path = "/admin/v1/providers/{name}/keys/{credential}/drain",
    tag = "control",
    params(
        ("name" = String, Path, description = "The provider."),
        ("credential" = String, Path, description = "The key, as the state names it.")
    ),
    responses(
        (status = 200, body = ChangeBody),
        (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody)
    )
)]
pub(super) async fn drain(
    State(app): State<Arc<App>>,
    Names((name, key)): Names<(String, String)>,
    caller: Caller,
    _: NoInput,
) -> Changed {
    app.control(caller, name, Control::DrainKey(key)).await
}

/// Uses a drained key again.
#[utoipa::path(
    post,
    path = "/admin/v1/providers/{name}/keys/{credential}/undrain",
    tag = "control",
    params(
        ("name" = String, Path, description = "The provider."),
        ("credential" = String, Path, description = "The key, as the state names it.")
    ),
    responses(
        (status = 200, body = ChangeBody),
        (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody)
    )
)]
pub(super) async fn undrain(
    State(app): State<Arc<App>>,
    Names((name, key)): Names<(String, String)>,
    caller: Caller,
    _: NoInput,
) -> Changed {
    app.control(caller, name, Control::UndrainKey(key)).await
}

/// Ends the cooldown of a key, and its rejection by the upstream.
#[utoipa::path(
    post,
    path = "/admin/v1/providers/{name}/keys/{credential}/cooldown/reset",
    tag = "control",
    params(
        ("name" = String, Path, description = "The provider."),
        ("credential" = String, Path, description = "The key, as the state names it.")
    ),
    responses(
        (status = 200, body = ChangeBody),
        (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody)
    )
)]
pub(super) async fn reset_cooldown(
    State(app): State<Arc<App>>,
    Names((name, key)): Names<(String, String)>,
    caller: Caller,
    _: NoInput,
) -> Changed {
    app.control(caller, name, Control::ResetKey(key)).await
}

impl App {
    /// Applies `control` and logs it with its caller.
    async fn control(&self, caller: Caller, name: String, control: Control) -> Changed {
        let relay = self.parts.relay.clone();
        let (of, what) = (name.clone(), control.clone());
        // It waits while the relay is being replaced.
        let result = spawn_blocking(move || relay.control(&of, &what)).await;
        let result =
            result.map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the action failed"))?;
        let (action, key) = described(&control);
        let target = key.map_or(name.clone(), |key| format!("{name}/{key}"));
        match result {
            Ok(changed) => {
                caller.log(action, &target, &if changed { "done" } else { "nothing to change" });
                Ok(Json(ChangeBody::new(changed, message(&control, changed, &target))))
            }
            Err(error) => {
                caller.log(action, &target, &error);
                let status = match &error {
                    ControlError::Disabled { .. } => StatusCode::CONFLICT,
                    _ => StatusCode::NOT_FOUND,
                };
                Err(Problem::new(status, error.to_string()))
            }
        }
    }
}

/// Returns the name of an action, and the key to which it applies.
fn described(control: &Control) -> (&'static str, Option<&str>) {
    match control {
        Control::Pause => ("pause", None),
        Control::Resume => ("resume", None),
        Control::ResetCircuit => ("reset circuit", None),
        Control::DrainKey(key) => ("drain", Some(key)),
        Control::UndrainKey(key) => ("undrain", Some(key)),
        Control::ResetKey(key) => ("reset cooldown", Some(key)),
        _ => ("other", None),
    }
}

/// Returns the result of an action as a sentence.
fn message(control: &Control, changed: bool, target: &str) -> String {
    let (done, nothing) = match control {
        Control::Pause => ("is paused and gets no further requests", "was paused already"),
        Control::Resume => ("gets requests again", "was not paused"),
        Control::ResetCircuit => {
            ("has a closed circuit, and no model rests there", "had a closed circuit already")
        }
        Control::DrainKey(_) => ("gets no further requests", "was drained already"),
        Control::UndrainKey(_) => ("gets requests again", "was not drained"),
        Control::ResetKey(_) => ("has neither a cooldown nor a rejection", "had no cooldown"),
        _ => ("is changed", "is not changed"),
    };
    format!("{target} {}", if changed { done } else { nothing })
}
