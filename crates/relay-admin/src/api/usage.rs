//! `GET /admin/v1/usage`.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use relay_messages::{ErrorChain, cut};
use serde::Deserialize;
use tokio::task::spawn_blocking;
use utoipa::IntoParams;

use super::app::App;
use super::extract::{Parameters, given};
use super::problem::Problem;
use crate::ledger::{GroupBy, UsageQuery, UsageReport, parse_time};
use crate::model::ErrorBody;

/// The most rows of a report.
const MAX_ROWS: usize = 10_000;

/// The usage that is counted. An empty value has no effect.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct UsageParameters {
    /// The start: a date, a time of RFC 3339, or a time before now such as `24h` or `7d`.
    since: Option<String>,
    /// The end, in the same forms.
    until: Option<String>,
    /// `provider`, `model`, `key`, `client`, `session`, `day` or `hour`.
    by: Option<String>,
    /// The most rows, from 1 to 10000. Default 1000.
    #[param(minimum = 1, maximum = 10000)]
    limit: Option<usize>,
    /// A provider.
    provider: Option<String>,
    /// A model.
    model: Option<String>,
    /// A key.
    key: Option<String>,
    /// A client.
    client: Option<String>,
    /// A session.
    session: Option<String>,
}

/// Returns the usage and the cost of a span of time, by a fact of the requests.
#[utoipa::path(
    get,
    path = "/admin/v1/usage",
    tag = "usage",
    params(UsageParameters),
    responses(
        (status = 200, body = UsageReport),
        (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody),
        (status = 503, body = ErrorBody, description = "The ledger is disabled, or cannot be read.")
    )
)]
pub(super) async fn usage(
    State(app): State<Arc<App>>,
    Parameters(parameters): Parameters<UsageParameters>,
) -> Result<Json<UsageReport>, Problem> {
    let query = query(&parameters)?;
    let unavailable = |reason: String| Problem::new(StatusCode::SERVICE_UNAVAILABLE, reason);
    let Some(ledger) = app.parts.ledger.clone() else {
        let reason = app.parts.no_ledger.as_deref().unwrap_or("this program keeps none");
        return Err(unavailable(format!("there is no usage ledger: {reason}")));
    };
    // The semaphore is never closed.
    let _place = app.queries.acquire().await;
    let report = spawn_blocking(move || ledger.query(&query)).await;
    let report = report.map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the query failed"))?;
    report.map(Json).map_err(|error| unavailable(ErrorChain(&error).to_string()))
}

fn query(parameters: &UsageParameters) -> Result<UsageQuery, Problem> {
    let now = SystemTime::now();
    let time = |name: &str, value: &Option<String>| {
        let time = given(value).map(|text| parse_time(text, now)).transpose();
        time.map_err(|error| Problem::bad_request(format!("{name}: {error}")))
    };
    let by = match given(&parameters.by) {
        None => None,
        Some(name) => Some(GroupBy::named(name).ok_or_else(|| {
            let known: Vec<_> = GroupBy::ALL.iter().map(|by| by.as_str()).collect();
            Problem::bad_request(format!("by: found `{}`, expected one of {}", cut(name), known.join(", ")))
        })?),
    };
    if let Some(limit) = parameters.limit.filter(|limit| !(1..=MAX_ROWS).contains(limit)) {
        return Err(Problem::bad_request(format!("limit: found {limit}, expected 1 to {MAX_ROWS}")));
    }
    let (since, until) = (time("since", &parameters.since)?, time("until", &parameters.until)?);
    let mut query = UsageQuery::default();
    (query.since_unix_ms, query.until_unix_ms) = (since, until);
    if query.has_empty_span() {
        let [since, until] =
            [&parameters.since, &parameters.until].map(|time| cut(given(time).unwrap_or_default()));
        return Err(Problem::bad_request(format!(
            "until: found `{until}`, expected a time after since, `{since}`"
        )));
    }
    (query.by, query.limit) = (by, parameters.limit);
    let text = |value: &Option<String>| given(value).map(str::to_owned);
    query.filters.provider = text(&parameters.provider);
    query.filters.model = text(&parameters.model);
    query.filters.key = text(&parameters.key);
    query.filters.client = text(&parameters.client);
    query.filters.session = text(&parameters.session);
    Ok(query)
}
