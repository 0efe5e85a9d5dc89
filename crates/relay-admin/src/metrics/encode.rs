//! Writes metric families.

use std::fmt;

use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::Unit;

/// The labels of a metric with one sample.
pub(super) const NO_LABELS: [(&str, &str); 0] = [];

/// Writes a family, with one sample for each item that `write` accepts. A family without items is not written.
pub(super) fn family<T>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help, unit): (&str, &str, Option<&Unit>),
    kind: MetricType,
    items: impl IntoIterator<Item = T>,
    write: impl Fn(&mut MetricEncoder<'_>, T) -> fmt::Result,
) -> fmt::Result {
    let mut items = items.into_iter().peekable();
    if items.peek().is_none() {
        return Ok(());
    }
    let mut encoder = encoder.encode_descriptor(name, help, unit, kind)?;
    items.try_for_each(|item| write(&mut encoder, item))
}

/// Writes counters.
pub(super) fn counter<L: EncodeLabelSet, V: EncodeCounterValue>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    samples: &[(L, V)],
) -> fmt::Result {
    family(encoder, (name, help, unit), MetricType::Counter, samples, |encoder, (labels, value)| {
        encoder.encode_family(labels)?.encode_counter(value, None::<&Exemplar<NoLabelSet, f64>>)
    })
}

/// Writes gauges.
pub(super) fn gauge<L: EncodeLabelSet, V: EncodeGaugeValue>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    samples: &[(L, V)],
) -> fmt::Result {
    family(encoder, (name, help, unit), MetricType::Gauge, samples, |encoder, (labels, value)| {
        encoder.encode_family(labels)?.encode_gauge(value)
    })
}
