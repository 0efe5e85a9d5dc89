//! The keys of series: ids of label values, and small enums.

use std::sync::Arc;

use relay_server::RequestEnd;

use super::table::Key;
use super::values::ValueId;

/// The part of the API that a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Endpoint {
    Messages,
    CountTokens,
    Models,
    Other,
}

impl Endpoint {
    /// All of them, in the order of their numbers.
    pub(super) const ALL: [Self; 4] = [Self::Messages, Self::CountTokens, Self::Models, Self::Other];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::CountTokens => "count_tokens",
            Self::Models => "models",
            Self::Other => "other",
        }
    }
}

/// The outcome of a request for its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Outcome {
    /// A whole response with a status below 400.
    Success,
    /// A status from 400 on, or a response that broke off.
    Failure,
    /// The client left, or stopped reading.
    Abandoned,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Abandoned => "abandoned",
        }
    }
}

/// The key of the count of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct RequestKey {
    pub(super) endpoint: Endpoint,
    pub(super) provider: ValueId,
    pub(super) model: ValueId,
    pub(super) client: ValueId,
    /// A status code, the first digit of one that is not registered, or 0 for a request without a response.
    pub(super) status: u16,
    pub(super) end: RequestEnd,
}

impl Key for RequestKey {
    fn collapsed(self) -> Self {
        Self { model: ValueId::OTHER, client: ValueId::OTHER, ..self }
    }
}

/// The key of tokens and cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct UsageKey {
    pub(super) provider: ValueId,
    pub(super) model: ValueId,
    pub(super) client: ValueId,
}

impl Key for UsageKey {
    fn collapsed(self) -> Self {
        Self { model: ValueId::OTHER, client: ValueId::OTHER, ..self }
    }
}

/// The key of the times of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TimeKey {
    pub(super) endpoint: Endpoint,
    pub(super) provider: ValueId,
    pub(super) model: ValueId,
    pub(super) outcome: Outcome,
}

impl Key for TimeKey {
    fn collapsed(self) -> Self {
        Self { model: ValueId::OTHER, ..self }
    }
}

/// The key of the facts about successful answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct AnswerKey {
    pub(super) provider: ValueId,
    pub(super) model: ValueId,
}

impl Key for AnswerKey {
    fn collapsed(self) -> Self {
        Self { model: ValueId::OTHER, ..self }
    }
}

/// The key of the count of attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct AttemptKey {
    pub(super) provider: ValueId,
    pub(super) credential: ValueId,
    pub(super) result: ValueId,
}

impl Key for AttemptKey {
    fn collapsed(self) -> Self {
        Self { credential: ValueId::OTHER, ..self }
    }
}

/// The key of the times of attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct UpstreamKey {
    pub(super) provider: ValueId,
    pub(super) result: ValueId,
}

impl Key for UpstreamKey {
    fn collapsed(self) -> Self {
        self
    }
}

impl RequestKey {
    /// The value of the label `status`.
    pub(super) fn status_text(self) -> Arc<str> {
        match self.status {
            0 => "none".into(),
            class @ 1..10 => format!("{class}xx").into(),
            status => status.to_string().into(),
        }
    }
}

impl TimeKey {
    /// The value of the label `outcome`.
    pub(super) fn outcome_text(self) -> Arc<str> {
        self.outcome.as_str().into()
    }
}
