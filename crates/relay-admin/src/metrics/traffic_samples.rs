//! Writes the series of requests and attempts.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::encode::{NO_LABELS, counter, family, gauge};
use super::histogram::Histogram;
use super::series::{AnswerSeries, Labelled, RequestSeries, TOKEN_KINDS, Times, UsageCounts};
use super::traffic::Traffic;

/// Nanodollars in a dollar.
const NANOS: f64 = 1e9;

/// The series at one moment, without a lock.
#[derive(Debug)]
pub(super) struct TrafficSamples {
    traffic: Arc<Traffic>,
    requests: Vec<Arc<RequestSeries>>,
    times: Vec<Arc<Labelled<Times>>>,
    answers: Vec<Arc<Labelled<AnswerSeries>>>,
    usage: Vec<Arc<Labelled<UsageCounts>>>,
    attempts: Vec<Arc<Labelled<AtomicU64>>>,
    upstreams: Vec<Arc<Labelled<Histogram>>>,
}

impl TrafficSamples {
    /// Collects the series. New ones can be added while these are written.
    pub(super) fn of(traffic: &Arc<Traffic>) -> Self {
        let state = traffic.read();
        Self {
            requests: sorted(state.requests.all()),
            times: sorted(state.times.all()),
            answers: sorted(state.answers.all()),
            usage: sorted(state.usage.all()),
            attempts: sorted(state.attempts.all()),
            upstreams: sorted(state.upstreams.all()),
            traffic: Arc::clone(traffic),
        }
    }
}

impl Collector for TrafficSamples {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.encode_requests(&mut encoder)?;
        self.encode_answers(&mut encoder)?;
        self.encode_usage(&mut encoder)?;
        self.encode_attempts(&mut encoder)?;
        self.encode_relay(&mut encoder)
    }
}

impl TrafficSamples {
    fn encode_requests(&self, e: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Requests of clients that have ended";
        family(e, ("requests", help, None), MetricType::Counter, &self.requests, |encoder, series| {
            series.value.encode(encoder.encode_family(&series.labels)?)
        })?;
        let help = "Time from the head of a request to the end of its response";
        let name = ("request_duration", help, Some(&Unit::Seconds));
        family(e, name, MetricType::Histogram, &self.times, |encoder, series| {
            series.value.duration.encode(encoder.encode_family(&series.labels)?)
        })?;
        let help = "Time from the head of a request to the head of its response";
        let name = ("request_head", help, Some(&Unit::Seconds));
        family(e, name, MetricType::Histogram, &self.times, |encoder, series| {
            series.value.head.encode(&mut encoder.encode_family(&series.labels)?)
        })
    }

    fn encode_answers(&self, e: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let items =
            self.answers.iter().filter_map(|series| Some((series, series.value.first_content.get()?)));
        let help = "Time from the head of a request to the first content of a streamed answer";
        let name = ("first_content", help, Some(&Unit::Seconds));
        family(e, name, MetricType::Histogram, items, |encoder, (series, histogram)| {
            histogram.encode(encoder.encode_family(&series.labels)?)
        })?;
        let seconds = Some(&Unit::Seconds);
        self.answer_histogram(
            e,
            ("event_gap", "Gaps between the events of streamed answers", seconds),
            |s| &s.gaps,
        )?;
        let help = "Input tokens of an answer, cached ones included";
        self.answer_histogram(e, ("answer_input_tokens", help, None), |s| &s.input_tokens)?;
        self.answer_histogram(e, ("answer_output_tokens", "Output tokens of an answer", None), |s| {
            &s.output_tokens
        })
    }

    fn answer_histogram(
        &self,
        e: &mut DescriptorEncoder<'_>,
        name: (&str, &str, Option<&Unit>),
        histogram: impl Fn(&AnswerSeries) -> &std::sync::OnceLock<Histogram>,
    ) -> fmt::Result {
        let items = self.answers.iter().filter_map(|series| Some((series, histogram(&series.value).get()?)));
        family(e, name, MetricType::Histogram, items, |encoder, (series, histogram)| {
            histogram.encode(&mut encoder.encode_family(&series.labels)?)
        })
    }

    fn encode_usage(&self, e: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let kinds = TOKEN_KINDS.into_iter().enumerate();
        let tokens = self.usage.iter().flat_map(|series| {
            kinds.clone().map(|(index, kind)| {
                let mut labels = series.labels.clone();
                labels.push(("kind", kind.into()));
                (labels, load(&series.value.tokens[index]))
            })
        });
        let help = "Tokens that upstreams reported, by kinds that do not overlap";
        counter(e, "tokens", help, None, &tokens.collect::<Vec<_>>())?;

        let usd = Unit::Other("usd".to_owned());
        #[expect(clippy::cast_precision_loss, reason = "a cost above 9 million dollars loses nanodollars")]
        let cost = |series: &UsageCounts| load(&series.cost) as f64 / NANOS;
        let help = "Cost at list prices, of failed attempts that are billed too";
        // A sample of zero would claim that answers without a known price are free.
        let priced = self.usage.iter().filter(|series| load(&series.value.priced) > 0);
        let costs: Vec<_> = priced.map(|series| (series.labels.clone(), cost(&series.value))).collect();
        counter(e, "cost", help, Some(&usd), &costs)?;
        let searches = self.counts(|series| load(&series.web_searches));
        counter(e, "web_searches", "Web searches of the server tool", None, &searches)?;
        let unpriced = self.counts(|series| load(&series.unpriced));
        counter(e, "unpriced_answers", "Answers with tokens whose price is unknown", None, &unpriced)?;
        let estimated = self.counts(|series| load(&series.estimated));
        counter(
            e,
            "estimated_answers",
            "Answers with an estimate: of the output of a cut answer, or of the time to live of cache writes",
            None,
            &estimated,
        )
    }

    fn counts<V>(&self, value: impl Fn(&UsageCounts) -> V) -> Vec<(super::series::Labels, V)> {
        self.usage.iter().map(|series| (series.labels.clone(), value(&series.value))).collect()
    }

    fn encode_attempts(&self, e: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let attempts: Vec<_> =
            self.attempts.iter().map(|series| (series.labels.clone(), load(&series.value))).collect();
        counter(e, "attempts", "Attempts at upstreams that have ended", None, &attempts)?;
        let help = "Time from the start of an attempt to the response head, or to its failure";
        let name = ("attempt_duration", help, Some(&Unit::Seconds));
        family(e, name, MetricType::Histogram, &self.upstreams, |encoder, series| {
            series.value.encode(&mut encoder.encode_family(&series.labels)?)
        })
    }

    fn encode_relay(&self, e: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let endpoints =
            || self.traffic.endpoints().map(|(endpoint, series)| ([("endpoint", endpoint.as_str())], series));
        let help =
            "The relay's own time until the head of a response, without waiting for clients and upstreams";
        let name = ("own_time", help, Some(&Unit::Seconds));
        family(e, name, MetricType::Histogram, endpoints(), |encoder, (labels, series)| {
            series.own_time.encode(&mut encoder.encode_family(&labels)?)
        })?;
        let received: Vec<_> = endpoints().map(|(labels, series)| (labels, load(&series.received))).collect();
        counter(e, "received", "Bytes of the bodies of requests", Some(&Unit::Bytes), &received)?;
        let sent: Vec<_> = endpoints().map(|(labels, series)| (labels, load(&series.sent))).collect();
        counter(e, "sent", "Bytes of the bodies of responses", Some(&Unit::Bytes), &sent)?;
        gauge(
            e,
            "in_flight_requests",
            "Requests of clients under way",
            None,
            &[(NO_LABELS, self.traffic.in_flight())],
        )?;
        let help = "Requests and attempts with a label that was counted as other, since the label has too many values";
        counter(e, "label_overflows", help, None, &[(NO_LABELS, self.traffic.overflows())])
    }
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn sorted<T>(mut series: Vec<Arc<Labelled<T>>>) -> Vec<Arc<Labelled<T>>> {
    series.sort_by(|a, b| a.labels.cmp(&b.labels));
    series
}
