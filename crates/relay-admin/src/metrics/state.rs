//! Finds the series of a request or an attempt, and adds those that are new.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use relay_routing::AttemptRecord;
use relay_server::{RequestEnd, RequestRecord};

use super::facts::{
    endpoint, has_answer, has_attempt_usage, has_usage, is_confirmed, outcome, provider_name, status,
};
use super::found::{AttemptSeries, Found, Place, RecordSeries};
use super::histogram::{HEAD_BOUNDS, Histogram};
use super::keys::{AnswerKey, AttemptKey, RequestKey, TimeKey, UpstreamKey, UsageKey};
use super::series::{AnswerSeries, Labelled, Labels, RequestSeries, Times, UsageCounts};
use super::table::Table;
use super::values::{ValueId, Values};
use crate::fast_map::FastMap;

/// The maximum number of distinct sets of labels whose series are remembered.
const FOUND: usize = 16_384;

/// The numbers of distinct values and of series, at most. What exceeds them is counted as `other`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) providers: usize,
    pub(super) models: usize,
    pub(super) clients: usize,
    pub(super) credentials: usize,
    /// The series of each table.
    pub(super) series: usize,
}

/// The series by their labels, and the values of the labels.
#[derive(Debug)]
pub(super) struct State {
    providers: Values,
    models: Values,
    clients: Values,
    credentials: Values,
    results: Values,
    pub(super) requests: Table<RequestKey, RequestSeries>,
    pub(super) usage: Table<UsageKey, Labelled<UsageCounts>>,
    pub(super) times: Table<TimeKey, Labelled<Times>>,
    pub(super) answers: Table<AnswerKey, Labelled<AnswerSeries>>,
    pub(super) attempts: Table<AttemptKey, Labelled<AtomicU64>>,
    pub(super) upstreams: Table<UpstreamKey, Labelled<Histogram>>,
    /// The series of the records with the same labels, by [`Place::hash`]. Once there are [`FOUND`], all of them are removed.
    found: FastMap<u64, Found>,
}

/// The ids of the labels of a request.
#[derive(Debug, Clone, Copy)]
struct Ids {
    provider: ValueId,
    model: ValueId,
    client: ValueId,
}

impl State {
    pub(super) fn new(bounds: Bounds, models: &[String]) -> Self {
        let mut known = Values::new(bounds.models);
        for model in models {
            known.add(model);
        }
        Self {
            providers: Values::new(bounds.providers),
            models: known,
            clients: Values::new(bounds.clients),
            credentials: Values::new(bounds.credentials),
            results: Values::new(64),
            requests: Table::new(bounds.series),
            usage: Table::new(bounds.series),
            times: Table::new(bounds.series),
            answers: Table::new(bounds.series),
            attempts: Table::new(bounds.series),
            upstreams: Table::new(bounds.series),
            found: FastMap::default(),
        }
    }

    /// Returns the series of the records with the labels of `record`, if they are remembered.
    pub(super) fn remembered(&self, place: Place, record: &RequestRecord) -> Option<&RecordSeries> {
        self.found.get(&place.hash)?.series_of(record, place)
    }

    /// Remembers the series of the records with the labels of `record`.
    pub(super) fn remember(&mut self, place: Place, record: &RequestRecord, series: RecordSeries) {
        if series.is_other {
            return;
        }
        if self.found.len() >= FOUND {
            self.found.clear();
        }
        self.found.insert(place.hash, Found::new(record, series));
    }

    /// Searches the series of a request. Returns `None` if a label or series has to be added first.
    pub(super) fn find(&self, record: &RequestRecord) -> Option<RecordSeries> {
        let ids = self.ids(record)?;
        let mut series = RecordSeries {
            requests: self.requests.find(request_key(record, ids))?,
            times: self.times.find(time_key(record, ids))?,
            usage: None,
            answer: None,
            attempts: Vec::with_capacity(record.attempts.len()),
            overflows: ids.is_overflow(record).into(),
            is_other: [ids.provider, ids.model, ids.client].contains(&ValueId::OTHER),
        };
        if has_usage(record) {
            series.usage = Some(self.usage.find(ids.usage())?);
        }
        if has_answer(record) {
            series.answer = Some(self.answers.find(ids.answer())?);
        }
        for attempt in &record.attempts {
            self.find_attempt(ids, attempt, &mut series)?;
        }
        Some(series)
    }

    /// Searches the series of an attempt of a request, and adds it to those of the request.
    fn find_attempt(&self, ids: Ids, attempt: &AttemptRecord, series: &mut RecordSeries) -> Option<()> {
        let provider = self.providers.find(attempt.provider.as_str())?;
        let credential = self.credentials.find(attempt.credential.as_str())?;
        let result = self.results.find(attempt.result)?;
        let usage = match has_attempt_usage(attempt) {
            true => Some(self.usage.find(Ids { provider, ..ids }.usage())?),
            false => None,
        };
        series.overflows += u64::from(credential == ValueId::OTHER);
        series.is_other |= [provider, credential, result].contains(&ValueId::OTHER);
        series.attempts.push(AttemptSeries {
            count: self.attempts.find(AttemptKey { provider, credential, result })?,
            time: self.upstreams.find(UpstreamKey { provider, result })?,
            usage,
        });
        Some(())
    }

    /// Adds the labels and series of a request and of its attempts.
    pub(super) fn add(&mut self, record: &RequestRecord) {
        self.add_request(record);
        record.attempts.iter().for_each(|attempt| self.add_attempt(record, attempt));
    }

    fn add_request(&mut self, record: &RequestRecord) {
        self.add_values(record);
        let Some(ids) = self.ids(record) else { return };
        let (providers, models, clients) = (&self.providers, &self.models, &self.clients);
        let usage_labels = |key: UsageKey| {
            labels([
                ("provider", providers.text(key.provider)),
                ("model", models.text(key.model)),
                ("client", clients.text(key.client)),
            ])
        };
        self.requests.add(request_key(record, ids), |key| Labelled {
            labels: labels([
                ("provider", providers.text(key.provider)),
                ("endpoint", key.endpoint.as_str().into()),
                ("model", models.text(key.model)),
                ("client", clients.text(key.client)),
                ("status", key.status_text()),
                ("end", key.end.as_str().into()),
            ]),
            value: Default::default(),
        });
        self.times.add(time_key(record, ids), |key| Labelled {
            labels: labels([
                ("provider", providers.text(key.provider)),
                ("endpoint", key.endpoint.as_str().into()),
                ("model", models.text(key.model)),
                ("outcome", key.outcome_text()),
            ]),
            value: Times::new(),
        });
        if has_usage(record) {
            let new = |key| Labelled { labels: usage_labels(key), value: UsageCounts::default() };
            self.usage.add(ids.usage(), new);
        }
        if has_answer(record) {
            self.answers.add(ids.answer(), |key| Labelled {
                labels: labels([
                    ("provider", providers.text(key.provider)),
                    ("model", models.text(key.model)),
                ]),
                value: AnswerSeries::default(),
            });
        }
    }

    fn add_attempt(&mut self, record: &RequestRecord, attempt: &AttemptRecord) {
        let provider = self.providers.add(attempt.provider.as_str());
        let credential = self.credentials.add(attempt.credential.as_str());
        let result = self.results.add(attempt.result);
        let (providers, credentials, results) = (&self.providers, &self.credentials, &self.results);
        self.attempts.add(AttemptKey { provider, credential, result }, |key| Labelled {
            labels: labels([
                ("provider", providers.text(key.provider)),
                ("key", credentials.text(key.credential)),
                ("result", results.text(key.result)),
            ]),
            value: AtomicU64::new(0),
        });
        self.upstreams.add(UpstreamKey { provider, result }, |key| Labelled {
            labels: labels([
                ("provider", providers.text(key.provider)),
                ("result", results.text(key.result)),
            ]),
            value: Histogram::seconds(&HEAD_BOUNDS),
        });
        if !has_attempt_usage(attempt) {
            return;
        }
        let Some(ids) = self.ids(record) else { return };
        let (providers, models, clients) = (&self.providers, &self.models, &self.clients);
        self.usage.add(Ids { provider, ..ids }.usage(), |key| Labelled {
            labels: labels([
                ("provider", providers.text(key.provider)),
                ("model", models.text(key.model)),
                ("client", clients.text(key.client)),
            ]),
            value: UsageCounts::default(),
        });
    }

    /// Adds the values of the labels of a request.
    fn add_values(&mut self, record: &RequestRecord) {
        if let Some(provider) = provider_name(record) {
            self.providers.add(provider.as_str());
        }
        if let Some(client) = &record.client {
            self.clients.add(client);
        }
        if let Some(model) = record.model_requested.as_ref().filter(|_| is_confirmed(record)) {
            self.models.add(model);
        }
    }

    /// Returns the ids of the labels of a request; `None` if a value has to be added first.
    fn ids(&self, record: &RequestRecord) -> Option<Ids> {
        let model = match &record.model_requested {
            None => ValueId::NONE,
            Some(model) => match self.models.find(model) {
                Some(id) => id,
                None if is_confirmed(record) => return None,
                None => ValueId::OTHER,
            },
        };
        Some(Ids {
            provider: provider_name(record)
                .map_or(Some(ValueId::NONE), |name| self.providers.find(name.as_str()))?,
            client: record.client.as_deref().map_or(Some(ValueId::NONE), |name| self.clients.find(name))?,
            model,
        })
    }

    /// Returns `true` if there are series that `is_kept` does not know.
    pub(super) fn has_removed(&self, is_kept: &impl Fn(&str, Option<&str>) -> bool) -> bool {
        let knows = |provider: &str| is_constant(provider) || is_kept(provider, None);
        self.attempts.all().iter().any(|series| !is_kept_attempt(series, is_kept))
            || self.requests.all().iter().any(|series| !knows(series.provider()))
            || self.usage.all().iter().any(|series| !knows(series.provider()))
    }

    pub(super) fn retain(&mut self, is_kept: &impl Fn(&str, Option<&str>) -> bool) {
        let knows = |provider: &str| is_constant(provider) || is_kept(provider, None);
        self.found.clear();
        self.requests.retain(|series| knows(series.provider()));
        self.usage.retain(|series| knows(series.provider()));
        self.times.retain(|series| knows(series.provider()));
        self.answers.retain(|series| knows(series.provider()));
        self.upstreams.retain(|series| knows(series.provider()));
        self.attempts.retain(|series| is_kept_attempt(series, is_kept));
        self.providers.retain(knows);
        let credentials: HashSet<Arc<str>> = self
            .attempts
            .all()
            .iter()
            .filter_map(|series| Some(Arc::clone(&series.labels.get(1)?.1)))
            .collect();
        self.credentials.retain(|credential| credentials.contains(credential));
    }
}

impl Ids {
    fn usage(self) -> UsageKey {
        UsageKey { provider: self.provider, model: self.model, client: self.client }
    }

    fn answer(self) -> AnswerKey {
        AnswerKey { provider: self.provider, model: self.model }
    }

    /// Returns `true` if a label of the request had no room.
    fn is_overflow(self, record: &RequestRecord) -> bool {
        self.provider == ValueId::OTHER
            || self.client == ValueId::OTHER
            || (self.model == ValueId::OTHER && is_confirmed(record))
    }
}

/// Returns `true` for the values that stand for no provider.
fn is_constant(provider: &str) -> bool {
    matches!(provider, "none" | "other")
}

fn is_kept_attempt<T>(series: &Labelled<T>, is_kept: &impl Fn(&str, Option<&str>) -> bool) -> bool {
    let credential = series.labels.get(1).map_or("none", |(_, credential)| credential);
    is_constant(series.provider()) || credential == "other" || is_kept(series.provider(), Some(credential))
}

fn request_key(record: &RequestRecord, ids: Ids) -> RequestKey {
    RequestKey {
        endpoint: endpoint(record),
        provider: ids.provider,
        model: ids.model,
        client: ids.client,
        status: status(record),
        end: record.end.unwrap_or(RequestEnd::Complete),
    }
}

fn time_key(record: &RequestRecord, ids: Ids) -> TimeKey {
    let (endpoint, outcome) = (endpoint(record), outcome(record));
    TimeKey { endpoint, provider: ids.provider, model: ids.model, outcome }
}

fn labels<const N: usize>(labels: [(&'static str, Arc<str>); N]) -> Labels {
    labels.into()
}
