//! `GET /admin/v1/requests`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use relay_messages::cut;
use relay_server::{RequestEnd, RequestRecord};
use serde::Deserialize;
use utoipa::IntoParams;

use super::app::App;
use super::extract::{Names, Parameters, given};
use super::problem::Problem;
use crate::model::{ErrorBody, Request, RequestsBody};
use crate::recent::Listed;

/// The length of a page without a parameter.
const PAGE: usize = 100;
/// The longest page.
const MAX_PAGE: usize = 1000;

/// The requests that are returned. An empty value has no effect.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RequestsQuery {
    /// The most requests of one page, from 1 to 1000. Default 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// The value of `next` of the page before.
    before: Option<String>,
    /// A request id of the relay, of the client or of the upstream, or a part of a model's name or of an error.
    q: Option<String>,
    /// A provider that was tried.
    provider: Option<String>,
    /// A model that was requested, or that answered.
    model: Option<String>,
    /// The name of a client.
    client: Option<String>,
    /// A session.
    session: Option<String>,
    /// A status, such as `429`, or a class of them, such as `5xx`.
    status: Option<String>,
    /// `complete`, `broken`, `abandoned` or `stalled`.
    end: Option<String>,
    /// `running` or `ended`.
    state: Option<String>,
}

/// Returns the last requests, the one that began last first, with every attempt.
#[utoipa::path(
    get,
    path = "/admin/v1/requests",
    tag = "requests",
    params(RequestsQuery),
    responses((status = 200, body = RequestsBody), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody))
)]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Parameters(query): Parameters<RequestsQuery>,
) -> Result<Json<RequestsBody>, Problem> {
    let filter = Filter::new(&query)?;
    let limit = query.limit.unwrap_or(PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Problem::bad_request(format!("limit: found {limit}, expected 1 to {MAX_PAGE}")));
    }
    let before = given(&query.before).map(str::parse::<u64>);
    let before =
        before.transpose().map_err(|_| Problem::bad_request("before: expected the `next` of a page"))?;
    let listed = app.parts.recent.newest_first();
    let is_on_page = |listed: &&Listed| before.is_none_or(|before| listed.number < before);
    let mut found = listed.iter().filter(is_on_page).filter(|listed| filter.accepts(&listed.record));
    let page: Vec<_> = found.by_ref().take(limit).collect();
    let next = found.next().and(page.last()).map(|last| last.number.to_string());
    Ok(Json(RequestsBody::new(page.into_iter().map(|listed| Request::from(&*listed.record)).collect(), next)))
}

/// Returns one of the last requests, by the id of the relay, of the client or of the upstream.
#[utoipa::path(
    get,
    path = "/admin/v1/requests/{id}",
    tag = "requests",
    params(("id" = String, Path, description = "A request id of the relay, of the client or of the upstream.")),
    responses((status = 200, body = Request), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody))
)]
pub(super) async fn one(
    State(app): State<Arc<App>>,
    Names(id): Names<String>,
) -> Result<Json<Request>, Problem> {
    let listed = app.parts.recent.newest_first();
    let found = listed.iter().find(|listed| has_id(&listed.record, &id));
    found.map(|listed| Json(Request::from(&*listed.record))).ok_or_else(|| {
        let kept = app.parts.recent.capacity();
        let message = format!("no request has the id `{}`; the last {kept} requests are kept", cut(&id));
        Problem::new(StatusCode::NOT_FOUND, message)
    })
}

/// The conditions that a request has to meet.
struct Filter<'a> {
    text: Option<String>,
    provider: Option<&'a str>,
    model: Option<&'a str>,
    client: Option<&'a str>,
    session: Option<&'a str>,
    /// The first and the last status.
    status: Option<(u16, u16)>,
    end: Option<&'a str>,
    is_running: Option<bool>,
}

impl<'a> Filter<'a> {
    fn new(query: &'a RequestsQuery) -> Result<Self, Problem> {
        let end = given(&query.end);
        let ends = [RequestEnd::Complete, RequestEnd::Broken, RequestEnd::Abandoned, RequestEnd::Stalled];
        if let Some(end) = end.filter(|end| ends.iter().all(|known| known.as_str() != *end)) {
            let message =
                format!("end: found `{}`, expected complete, broken, abandoned or stalled", cut(end));
            return Err(Problem::bad_request(message));
        }
        Ok(Self {
            text: given(&query.q).map(str::to_lowercase),
            provider: given(&query.provider),
            model: given(&query.model),
            client: given(&query.client),
            session: given(&query.session),
            status: given(&query.status).map(status).transpose()?,
            end,
            is_running: match given(&query.state) {
                None => None,
                Some("running") => Some(true),
                Some("ended") => Some(false),
                Some(other) => {
                    let message = format!("state: found `{}`, expected running or ended", cut(other));
                    return Err(Problem::bad_request(message));
                }
            },
        })
    }

    fn accepts(&self, record: &RequestRecord) -> bool {
        let is =
            |wanted: Option<&str>, found: Option<&str>| wanted.is_none_or(|wanted| found == Some(wanted));
        let is_model = |wanted: &str| models(record).any(|model| model == wanted);
        let is_provider = |wanted: &str| providers(record).any(|provider| provider == wanted);
        let status = record.status.map(|status| status.as_u16());
        is(self.client, record.client.as_deref())
            && is(self.session, record.session.as_deref())
            && is(self.end, record.end.map(RequestEnd::as_str))
            && self.is_running.is_none_or(|is_running| is_running == record.end.is_none())
            && self
                .status
                .is_none_or(|(first, last)| status.is_some_and(|status| (first..=last).contains(&status)))
            && self.model.is_none_or(is_model)
            && self.provider.is_none_or(is_provider)
            && self.text.as_deref().is_none_or(|text| has_id(record, text) || has_text(record, text))
    }
}

/// Reads a status or a class of them.
fn status(text: &str) -> Result<(u16, u16), Problem> {
    let class = match text.as_bytes() {
        [class @ b'1'..=b'5', b'x' | b'X', b'x' | b'X'] => Some(u16::from(class - b'0') * 100),
        _ => None,
    };
    let single = || text.parse().ok().filter(|status| (100..1000).contains(status));
    let range = class.map(|first| (first, first + 99)).or_else(|| single().map(|status| (status, status)));
    range.ok_or_else(|| {
        Problem::bad_request(format!(
            "status: found `{}`, expected a status or a class such as 5xx",
            cut(text)
        ))
    })
}

fn models(record: &RequestRecord) -> impl Iterator<Item = &str> {
    let own = [record.model_requested.as_deref(), record.model_served.as_deref()];
    own.into_iter().flatten().chain(record.attempts.iter().map(|attempt| &*attempt.model))
}

fn providers(record: &RequestRecord) -> impl Iterator<Item = &str> {
    let own = record.provider.as_ref().map(relay_config::ProviderName::as_str);
    own.into_iter().chain(record.attempts.iter().map(|attempt| attempt.provider.as_str()))
}

/// Returns `true` if the request has this id, which upstreams and clients may write in any case.
fn has_id(record: &RequestRecord, id: &str) -> bool {
    let own = [
        Some(record.id.as_str()),
        record.client_request_id.as_deref(),
        record.upstream_request_id.as_deref(),
    ];
    let attempts = record.attempts.iter().filter_map(|attempt| attempt.upstream_request_id.as_deref());
    own.into_iter().flatten().chain(attempts).any(|known| known.eq_ignore_ascii_case(id))
}

/// Returns `true` if a model or an error of the request contains this text in lower case.
fn has_text(record: &RequestRecord, text: &str) -> bool {
    let errors = record.attempts.iter().filter_map(|attempt| attempt.error.as_deref());
    let results = record.attempts.iter().map(|attempt| attempt.result);
    let texts = models(record).chain(errors).chain(results).chain(record.error.as_deref());
    texts.into_iter().any(|found| found.to_lowercase().contains(text))
}
