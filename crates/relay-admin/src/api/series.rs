//! `GET /admin/v1/series`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::app::App;
use super::extract::Parameters;
use super::problem::Problem;
use crate::model::{ErrorBody, SeriesBody, millis};
use crate::series::STEP;

/// The time that is shown without a parameter, in minutes.
const MINUTES: u32 = 15;
/// The time that is kept, in minutes.
const MAX_MINUTES: u32 = 60;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SeriesQuery {
    /// The minutes before now, from 1 to 60. Default 15.
    #[param(minimum = 1, maximum = 60)]
    minutes: Option<u32>,
}

/// Returns the figures of the last minutes, in steps of ten seconds.
#[utoipa::path(
    get,
    path = "/admin/v1/series",
    tag = "requests",
    params(SeriesQuery),
    responses((status = 200, body = SeriesBody), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody))
)]
pub(super) async fn series(
    State(app): State<Arc<App>>,
    Parameters(query): Parameters<SeriesQuery>,
) -> Result<Json<SeriesBody>, Problem> {
    let minutes = query.minutes.unwrap_or(MINUTES);
    if !(1..=MAX_MINUTES).contains(&minutes) {
        return Err(Problem::bad_request(format!("minutes: found {minutes}, expected 1 to {MAX_MINUTES}")));
    }
    Ok(Json(SeriesBody::new(millis(STEP), app.parts.series.points(minutes))))
}
