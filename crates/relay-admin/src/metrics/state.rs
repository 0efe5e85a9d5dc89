//! Finds the series of a request or an attempt, and adds those that are new.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use relay_providers::Usage;
use relay_routing::AttemptRecord;
use relay_server::{RequestEnd, RequestRecord};

use super::counters::add;
use super::facts::{
    endpoint, has_answer, has_usage, is_confirmed, is_unpriced, outcome, provider, remaining_cost, status,
};
use super::histogram::{HEAD_BOUNDS, Histogram};
use super::keys::{AnswerKey, AttemptKey, RequestKey, TimeKey, UpstreamKey, UsageKey};
use super::series::{AnswerSeries, ExemplarId, Labelled, Labels, RequestSeries, Times, UsageCounts};
use super::table::Table;
use super::values::{ValueId, Values};

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
        }
    }

    /// Counts a request. Returns `None` if a label or series has to be added first, and true if a label had no room.
    pub(super) fn observe(&self, record: &RequestRecord) -> Option<bool> {
        let ids = self.ids(record)?;
        let requests = self.requests.find(request_key(record, ids))?;
        let times = self.times.find(time_key(record, ids))?;
        let usage = match has_usage(record) {
            true => Some(self.usage.find(ids.usage())?),
            false => None,
        };
        let answer = match has_answer(record) {
            true => Some(self.answers.find(ids.answer())?),
            false => None,
        };

        let (exemplar, at) = (ExemplarId::new(&record.id), record.started_at + record.duration());
        requests.value.inc_by(1, exemplar.clone(), Some(at));
        times.value.duration.observe(record.duration().as_secs_f64(), exemplar.clone(), Some(at));
        if let Some(head) = record.head {
            times.value.head.observe(head);
        }
        if let Some(usage) = usage {
            add_usage(&usage.value, record);
        }
        if let Some(answer) = answer {
            if let Some(time) = record.first_content {
                answer.value.add_first_content(time, exemplar, at);
            }
            answer.value.add_gaps(&record.gaps);
            answer.value.add_usage(&record.usage);
        }
        Some(ids.is_overflow(record))
    }

    /// Counts an attempt. Returns `None` if a label or series has to be added first, and true if a label had no room.
    pub(super) fn observe_attempt(&self, record: &RequestRecord, attempt: &AttemptRecord) -> Option<bool> {
        let provider = self.providers.find(attempt.provider.as_str())?;
        let credential = self.credentials.find(attempt.credential.as_str())?;
        let result = self.results.find(attempt.result)?;
        let count = self.attempts.find(AttemptKey { provider, credential, result })?;
        let time = self.upstreams.find(UpstreamKey { provider, result })?;
        if attempt.usage.is_some() || attempt.cost.is_some() {
            let ids = Ids { provider, ..self.ids(record)? };
            let usage = &self.usage.find(ids.usage())?.value;
            if let Some(tokens) = &attempt.usage {
                usage.add(tokens);
            }
            match (attempt.cost, attempt.usage) {
                (Some(cost), _) => usage.add_cost(cost),
                // A failed attempt that is billed.
                (None, Some(tokens)) if tokens != Usage::default() => add(&usage.unpriced, 1),
                _ => {}
            }
        }
        add(&count.value, 1);
        time.value.observe(attempt.latency);
        Some(credential == ValueId::OTHER)
    }

    /// Adds the labels and series of a request.
    pub(super) fn add(&mut self, record: &RequestRecord) {
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

    /// Adds the labels and series of an attempt.
    pub(super) fn add_attempt(&mut self, record: &RequestRecord, attempt: &AttemptRecord) {
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
        if attempt.usage.is_none() && attempt.cost.is_none() {
            return;
        }
        self.add_values(record);
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
        if let Some(provider) = provider(record) {
            self.providers.add(provider);
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
            provider: provider(record).map_or(Some(ValueId::NONE), |name| self.providers.find(name))?,
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

fn add_usage(counts: &UsageCounts, record: &RequestRecord) {
    counts.add(&record.usage);
    if let Some(cost) = remaining_cost(record) {
        counts.add_cost(cost);
    }
    add(&counts.unpriced, u64::from(is_unpriced(record)));
    add(&counts.estimated, u64::from(record.is_estimated));
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
