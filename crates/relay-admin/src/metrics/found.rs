//! The series of all records with the same labels, which are searched once.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use foldhash::fast::FixedState;
use relay_config::ProviderName;
use relay_providers::Usage;
use relay_routing::{AttemptRecord, CredentialId};
use relay_server::{RequestEnd, RequestRecord};

use super::counters::add;
use super::exemplars::Exemplar;
use super::facts::{
    endpoint, has_answer, has_attempt_usage, has_usage, is_confirmed, is_unpriced, outcome, provider_name,
    remaining_cost, status,
};
use super::histogram::Histogram;
use super::keys::{Endpoint, Outcome};
use super::series::{AnswerSeries, Labelled, RequestSeries, Times, UsageCounts};

/// The facts that choose the series of a record.
#[derive(Debug)]
struct Facts {
    provider: Option<ProviderName>,
    model: Option<Arc<str>>,
    client: Option<Arc<str>>,
    few: FewValues,
    attempts: Vec<AttemptFacts>,
}

/// The facts with few values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FewValues {
    status: u16,
    endpoint: Endpoint,
    outcome: Outcome,
    end: RequestEnd,
    is_confirmed: bool,
    has_usage: bool,
    has_answer: bool,
}

#[derive(Debug)]
struct AttemptFacts {
    provider: ProviderName,
    credential: CredentialId,
    result: &'static str,
    has_usage: bool,
}

impl Facts {
    fn of(record: &RequestRecord) -> Self {
        let attempt = |attempt: &AttemptRecord| AttemptFacts {
            provider: attempt.provider.clone(),
            credential: attempt.credential.clone(),
            result: attempt.result,
            has_usage: has_attempt_usage(attempt),
        };
        Self {
            provider: provider_name(record).cloned(),
            model: record.model_requested.clone(),
            client: record.client.clone(),
            few: FewValues::of(record),
            attempts: record.attempts.iter().map(attempt).collect(),
        }
    }

    /// Returns `true` if these are the facts of `record`, whose ones with few values are `few`.
    fn are_of(&self, record: &RequestRecord, few: FewValues) -> bool {
        self.few == few
            && self.model == record.model_requested
            && is_same(self.client.as_deref(), record.client.as_deref())
            && is_same(name(self.provider.as_ref()), name(provider_name(record)))
            && self.attempts.len() == record.attempts.len()
            && self.attempts.iter().zip(&record.attempts).all(|(facts, attempt)| facts.are_of(attempt))
    }
}

impl FewValues {
    fn of(record: &RequestRecord) -> Self {
        Self {
            status: status(record),
            endpoint: endpoint(record),
            outcome: outcome(record),
            end: record.end.unwrap_or(RequestEnd::Complete),
            is_confirmed: is_confirmed(record),
            has_usage: has_usage(record),
            has_answer: has_answer(record),
        }
    }

    /// Returns all of them in one number.
    fn bits(self) -> u64 {
        // Each end has its own length.
        let small = [self.endpoint as u64, self.outcome as u64, self.end.as_str().len() as u64];
        let flags = [self.is_confirmed, self.has_usage, self.has_answer].map(u64::from);
        small.into_iter().chain(flags).fold(u64::from(self.status), |bits, value| bits << 4 | value)
    }
}

impl AttemptFacts {
    fn are_of(&self, attempt: &AttemptRecord) -> bool {
        is_same(Some(self.result), Some(attempt.result))
            && self.has_usage == has_attempt_usage(attempt)
            && is_same(Some(self.provider.as_str()), Some(attempt.provider.as_str()))
            // A key that gets another name is equal, and its label is another one.
            && is_same(Some(self.credential.as_str()), Some(attempt.credential.as_str()))
    }
}

/// Compares texts, of which many have the same place in memory.
fn is_same(a: Option<&str>, b: Option<&str>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => std::ptr::eq(a, b) || a == b,
        (a, b) => a.is_none() && b.is_none(),
    }
}

fn name(provider: Option<&ProviderName>) -> Option<&str> {
    provider.map(ProviderName::as_str)
}

/// The place of the series of a record among those that were found before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    few: FewValues,
    pub(super) hash: u64,
}

impl Place {
    pub(super) fn of(record: &RequestRecord) -> Self {
        let few = FewValues::of(record);
        let mut hasher = FixedState::default().build_hasher();
        hasher.write_u64(few.bits());
        let texts = [record.model_requested.as_deref(), record.client.as_deref()];
        texts.into_iter().for_each(|text| hasher.write(text.unwrap_or_default().as_bytes()));
        for attempt in &record.attempts {
            hasher.write(attempt.provider.as_str().as_bytes());
            hasher.write(attempt.credential.as_str().as_bytes());
            // The same text may have several addresses: each of them has a place of its own.
            hasher.write_usize(attempt.result.as_ptr().addr());
        }
        Self { few, hash: hasher.finish() }
    }
}

/// The series of the records with the same labels.
#[derive(Debug)]
pub(super) struct Found {
    facts: Facts,
    series: RecordSeries,
}

/// The series in which a record counts.
#[derive(Debug)]
pub(super) struct RecordSeries {
    pub(super) requests: Arc<RequestSeries>,
    pub(super) times: Arc<Labelled<Times>>,
    /// `None` for a record without tokens and cost.
    pub(super) usage: Option<Arc<Labelled<UsageCounts>>>,
    /// `None` for a record without an answer.
    pub(super) answer: Option<Arc<Labelled<AnswerSeries>>>,
    pub(super) attempts: Vec<AttemptSeries>,
    /// The numbers of the request and of its attempts that had no room for a label.
    pub(super) overflows: u64,
    /// True if a label is `other`. The values that it stands for are not bounded, so that such records are not remembered.
    pub(super) is_other: bool,
}

/// The series in which an attempt counts.
#[derive(Debug)]
pub(super) struct AttemptSeries {
    pub(super) count: Arc<Labelled<AtomicU64>>,
    pub(super) time: Arc<Labelled<Histogram>>,
    /// `None` for an attempt without tokens and cost.
    pub(super) usage: Option<Arc<Labelled<UsageCounts>>>,
}

impl Found {
    pub(super) fn new(record: &RequestRecord, series: RecordSeries) -> Self {
        Self { facts: Facts::of(record), series }
    }

    /// Returns the series if they are those of `record`.
    pub(super) fn series_of(&self, record: &RequestRecord, place: Place) -> Option<&RecordSeries> {
        self.facts.are_of(record, place.few).then_some(&self.series)
    }
}

impl RecordSeries {
    /// Counts a request and its attempts.
    pub(super) fn count(&self, record: &RequestRecord) {
        let (exemplar, duration) = (Exemplar::of(record), record.duration());
        self.requests.value.increment(&exemplar);
        self.times.value.duration.observe(duration, &exemplar);
        if let Some(head) = record.head {
            self.times.value.head.observe(head);
        }
        if let Some(usage) = &self.usage {
            add_usage(&usage.value, record);
        }
        if let Some(answer) = &self.answer {
            if let Some(time) = record.first_content {
                answer.value.add_first_content(time, &exemplar);
            }
            answer.value.add_gaps(&record.gaps);
            answer.value.add_usage(&record.usage);
        }
        for (series, attempt) in self.attempts.iter().zip(&record.attempts) {
            series.count(attempt);
        }
    }
}

impl AttemptSeries {
    fn count(&self, attempt: &AttemptRecord) {
        if let Some(usage) = &self.usage {
            add_attempt_usage(&usage.value, attempt);
        }
        add(&self.count.value, 1);
        self.time.value.observe(attempt.latency);
    }
}

fn add_usage(counts: &UsageCounts, record: &RequestRecord) {
    counts.add(&record.usage);
    if let Some(cost) = remaining_cost(record) {
        counts.add_cost(cost);
    }
    add(&counts.unpriced, u64::from(is_unpriced(record)));
    add(&counts.estimated, u64::from(record.is_estimated));
}

fn add_attempt_usage(counts: &UsageCounts, attempt: &AttemptRecord) {
    if let Some(tokens) = &attempt.usage {
        counts.add(tokens);
    }
    match (attempt.cost, attempt.usage) {
        (Some(cost), _) => counts.add_cost(cost),
        // A failed attempt that is billed.
        (None, Some(tokens)) if tokens != Usage::default() => add(&counts.unpriced, 1),
        _ => {}
    }
}
