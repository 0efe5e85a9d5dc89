//! The rows that one request adds to the ledger.

use std::time::{SystemTime, UNIX_EPOCH};

use http::StatusCode;
use relay_providers::{Endpoint, Usage};
use relay_routing::{AttemptRecord, ModelCost};
use relay_server::record::{RequestEnd, RequestRecord};

use super::amounts::Amounts;
use crate::prices::PriceTable;
use crate::prompt_cache::CacheVerdict;

/// The longest name of a model or of a stop reason, in bytes: the longest one that a request may have.
const LONGEST_TEXT: usize = 256;

/// One attempt at an upstream, one request without an attempt, or the tokens of a further model within an attempt. Its texts are those
/// of the record.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row<'a> {
    pub(super) unix_ms: i64,
    pub(super) request_id: &'a str,
    /// The number of the attempt within its request, from 1; 0 for a request without an attempt.
    pub(super) attempt: i64,
    pub(super) provider: &'a str,
    pub(super) provider_type: &'static str,
    pub(super) key: &'a str,
    pub(super) client: &'a str,
    pub(super) session: &'a str,
    /// The model that answered, or else the one that was sent, or else the one that the client requested.
    pub(super) model: &'a str,
    pub(super) model_requested: &'a str,
    pub(super) model_sent: &'a str,
    pub(super) endpoint: &'static str,
    pub(super) state: State,
    pub(super) source: &'static str,
    pub(super) status: Option<u16>,
    pub(super) result: &'static str,
    pub(super) stop_reason: &'a str,
    pub(super) duration_ms: i64,
    /// The verdict on the use of the prompt cache, and the place at which the prefix broke, such as `broken: system[1] changed`;
    /// empty if the use was not diagnosed.
    pub(super) cache_verdict: String,
    pub(super) amounts: Amounts,
}

impl Row<'_> {
    /// Notes the use of the prompt cache. `place` is the one at which the prefix broke.
    pub(super) fn set_verdict(&mut self, verdict: CacheVerdict, place: Option<&str>) {
        self.amounts.cache_losses = verdict.is_loss().into();
        let place = place.map(|place| format!(": {place}")).unwrap_or_default();
        self.cache_verdict = format!("{}{place}", verdict.as_str());
    }
}

/// The end of an attempt, or of a request without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum State {
    /// The client got the whole answer.
    Complete,
    /// The client left, or accepted nothing more.
    CutByClient,
    /// The answer broke off.
    CutByUpstream,
    /// The relay did not admit the request.
    Refused,
    /// The upstream or the relay answered with an error, or not at all.
    Error,
}

impl State {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::CutByClient => "cut_by_client",
            Self::CutByUpstream => "cut_by_upstream",
            Self::Refused => "refused",
            Self::Error => "error",
        }
    }

    /// Returns the end of the request, and with it of its last attempt.
    fn of_request(record: &RequestRecord) -> Self {
        match (record.end, record.status) {
            (Some(RequestEnd::Abandoned | RequestEnd::Stalled) | None, _) => Self::CutByClient,
            (_, Some(status)) if !status.is_success() => {
                if record.attempts.is_empty() && record.provider.is_none() {
                    Self::Refused
                } else {
                    Self::Error
                }
            }
            (Some(RequestEnd::Complete), _) => Self::Complete,
            _ => Self::CutByUpstream,
        }
    }
}

/// Returns the rows of a finished request, and the place among them of the one that counts the request: that of its last attempt,
/// or a row of its own if there was none. Further models that an upstream has called within an attempt have rows of their own, which
/// have tokens and costs, and count neither a request nor an attempt.
///
/// Only requests of the operations that routes serve count: messages and counts of tokens. A request that was not admitted counts
/// if its client is at a limit; one without a valid credential does not, so that strangers cannot fill the disk.
pub(super) fn rows<'a>(record: &'a RequestRecord, prices: Option<&PriceTable>) -> (Vec<Row<'a>>, usize) {
    if !is_counted(record) {
        return (Vec::new(), 0);
    }
    let last = record.attempts.len().saturating_sub(1);
    let mut rows: Vec<_> = record
        .attempts
        .iter()
        .enumerate()
        .map(|(index, attempt)| of_attempt(record, prices, index, attempt, index == last))
        .collect();
    if rows.is_empty() {
        rows.push(Row { state: State::of_request(record), ..base(record) });
    }
    let further = record.attempts.iter().zip(&rows);
    let further: Vec<_> = further.flat_map(|(attempt, row)| of_models(prices, attempt, row)).collect();
    if let Some(row) = rows.get_mut(last) {
        row.amounts.requests = 1;
        row.duration_ms = millis(record.duration());
        row.amounts.failed = (row.state != State::Complete).into();
    }
    rows.extend(further);
    (rows, last)
}

fn is_counted(record: &RequestRecord) -> bool {
    let is_limited = matches!(
        record.status,
        Some(StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE | StatusCode::FORBIDDEN)
    );
    record.endpoint.is_some() || (is_limited && record.client.is_some())
}

/// The facts of the request that all of its rows share.
fn base(record: &RequestRecord) -> Row<'_> {
    let since = record.started_at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let requested = record.model_requested.as_deref().unwrap_or_default();
    Row {
        unix_ms: millis(since),
        request_id: record.id.as_str(),
        attempt: 0,
        provider: "",
        provider_type: "",
        key: "",
        client: record.client.as_deref().unwrap_or_default(),
        session: record.session.as_deref().unwrap_or_default(),
        model: requested,
        model_requested: requested,
        model_sent: "",
        endpoint: match record.endpoint {
            Some(Endpoint::Messages) => "messages",
            Some(Endpoint::CountTokens) => "count_tokens",
            _ => "",
        },
        state: State::Error,
        source: "none",
        status: record.status.map(|status| status.as_u16()),
        result: "",
        stop_reason: "",
        duration_ms: 0,
        cache_verdict: String::new(),
        amounts: Amounts::default(),
    }
}

fn of_attempt<'a>(
    record: &'a RequestRecord,
    prices: Option<&PriceTable>,
    index: usize,
    attempt: &'a AttemptRecord,
    is_last: bool,
) -> Row<'a> {
    let is_answer = is_last && record.provider.is_some();
    let own = attempt.by_model.first();
    let served = record.model_served.as_deref().filter(|_| is_answer).or(own.map(|own| &*own.model));
    let is_estimated = attempt.is_estimated;
    let (usage, cost) = match own {
        Some(own) => (Some(own.usage), own.cost),
        None if is_answer => (Some(record.usage), attempt.cost),
        None => (attempt.usage, attempt.cost),
    };
    let usage = usage.filter(|usage| *usage != Usage::default());
    let uncached = |usage: &Usage| {
        let price = |model: &str| prices?.uncached(&attempt.provider, model, usage);
        price(own.map_or(&attempt.model, |own| &own.model)).or_else(|| price(served?))
    };
    let state = if is_last { State::of_request(record) } else { State::Error };
    let amounts = usage.as_ref().map_or_else(Amounts::default, |usage| {
        Amounts::of_usage(usage, cost, cost.and_then(|_| uncached(usage)), is_estimated)
    });
    Row {
        attempt: i64::try_from(index + 1).unwrap_or(i64::MAX),
        provider: attempt.provider.as_str(),
        provider_type: attempt.kind,
        key: attempt.credential.as_str(),
        model: bounded(served.unwrap_or(&attempt.model)),
        model_sent: &attempt.model,
        state,
        source: match (usage, is_estimated) {
            (None, _) => "none",
            (Some(_), true) => "estimated",
            (Some(_), false) => "reported",
        },
        status: attempt.status,
        result: attempt.result,
        stop_reason: bounded(record.stop_reason.as_deref().filter(|_| is_answer).unwrap_or_default()),
        duration_ms: millis(attempt.latency),
        amounts: Amounts {
            attempts: 1,
            failed: (state != State::Complete).into(),
            // An answer that is not billed, such as a refusal, needs no price.
            unpriced: if is_answer && !record.is_billed { 0 } else { amounts.unpriced },
            ..amounts
        },
        ..base(record)
    }
}

/// Returns the rows of the further models that the upstream has called within `attempt`, whose own row is `row`.
fn of_models<'a>(
    prices: Option<&PriceTable>,
    attempt: &'a AttemptRecord,
    row: &Row<'a>,
) -> impl Iterator<Item = Row<'a>> {
    attempt.by_model.iter().skip(1).map(move |ModelCost { model, usage, cost, .. }| {
        let uncached = cost.and_then(|_| prices?.uncached(&attempt.provider, model, usage));
        Row {
            model: bounded(model),
            source: "reported",
            amounts: Amounts::of_usage(usage, *cost, uncached, false),
            ..row.clone()
        }
    })
}

/// Returns the start of a text that an upstream chooses.
fn bounded(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST_TEXT)]
}

fn millis(time: std::time::Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// Returns `now` in milliseconds since 1970.
pub(super) fn unix_ms(now: SystemTime) -> i64 {
    millis(now.duration_since(UNIX_EPOCH).unwrap_or_default())
}
