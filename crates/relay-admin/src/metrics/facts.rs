//! Facts of records, in the form of labels and amounts.

use http::StatusCode;
use relay_config::ProviderName;
use relay_providers::Usage;
use relay_routing::{AttemptRecord, Usd};
use relay_server::{RequestEnd, RequestRecord};

use super::keys::{Endpoint, Outcome};
use crate::cost;

/// Returns `true` if an upstream has answered with success: the model exists. Other names may be a client's invention.
pub(super) fn is_confirmed(record: &RequestRecord) -> bool {
    record.model_served.is_some()
}

/// Returns the provider whose answer the client got, or else that of the last attempt.
pub(super) fn provider_name(record: &RequestRecord) -> Option<&ProviderName> {
    record.provider.as_ref().or_else(|| record.attempts.last().map(|attempt| &attempt.provider))
}

/// Returns `true` if an attempt itself has tokens or a cost.
pub(super) fn has_attempt_usage(attempt: &AttemptRecord) -> bool {
    attempt.usage.is_some() || attempt.cost.is_some()
}

pub(super) fn has_usage(record: &RequestRecord) -> bool {
    has_tokens(record) || remaining_cost(record).is_some()
}

pub(super) fn has_tokens(record: &RequestRecord) -> bool {
    let Usage { input_tokens, cache_creation_input_tokens, cache_read_input_tokens, output_tokens, .. } =
        record.usage;
    let counts = [input_tokens, cache_creation_input_tokens, cache_read_input_tokens, output_tokens];
    counts.iter().any(Option::is_some)
}

/// Returns `true` if the price of the answer is unknown. Failed attempts do not count.
pub(super) fn is_unpriced(record: &RequestRecord) -> bool {
    let last = record.attempts.len().checked_sub(1).filter(|_| record.provider.is_some());
    last.is_some_and(|last| cost::is_unpriced(record, last))
}

/// Returns `true` if the facts about a successful answer are counted.
pub(super) fn has_answer(record: &RequestRecord) -> bool {
    endpoint(record) == Endpoint::Messages && (record.first_content.is_some() || has_tokens(record))
}

/// Returns the cost without those of the attempts, which are counted with each attempt.
pub(super) fn remaining_cost(record: &RequestRecord) -> Option<Usd> {
    let attempts: Usd = record.attempts.iter().filter_map(|attempt| attempt.cost).sum();
    record.cost.map(|cost| cost.saturating_sub(attempts)).filter(|cost| *cost > Usd::ZERO)
}

/// Returns a status code that is registered or used by Anthropic, the first digit of every other, since an upstream may invent
/// codes, and 0 if there was no response.
pub(super) fn status(record: &RequestRecord) -> u16 {
    record.status.map_or(0, known_status)
}

fn known_status(status: StatusCode) -> u16 {
    match status.canonical_reason().is_some() || status.as_u16() == 529 {
        true => status.as_u16(),
        false => status.as_u16() / 100,
    }
}

pub(super) fn endpoint(record: &RequestRecord) -> Endpoint {
    use relay_providers::Endpoint as Operation;
    match (record.endpoint, &*record.path) {
        (Some(Operation::Messages), _) | (None, "/v1/messages") => Endpoint::Messages,
        (Some(Operation::CountTokens), _) | (None, "/v1/messages/count_tokens") => Endpoint::CountTokens,
        (None, path) if path == "/v1/models" || path.starts_with("/v1/models/") => Endpoint::Models,
        _ => Endpoint::Other,
    }
}

pub(super) fn outcome(record: &RequestRecord) -> Outcome {
    let is_answered = record.status.is_some_and(|status| status.as_u16() < 400);
    match record.end {
        Some(RequestEnd::Abandoned | RequestEnd::Stalled) => Outcome::Abandoned,
        Some(RequestEnd::Complete) if is_answered => Outcome::Success,
        _ => Outcome::Failure,
    }
}
