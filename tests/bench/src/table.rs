//! The result as one table in Markdown.

use crate::peer::Kind;
use crate::records::Records;
use crate::stats::Summary;
use crate::workload::Workload;
use crate::workload::goal::Bound;
use crate::workload::metric::Metric;

const HEAD: &str = "| workload | proxy | median | range | ÷ nginx | ÷ bare hyper | goal |\n\
                    |---|---|---:|---:|---:|---:|---|\n";

/// Returns the table of these workloads.
pub(crate) fn markdown(workloads: &[Workload], records: &Records) -> String {
    let mut text = HEAD.to_owned();
    for workload in workloads {
        for &metric in workload.shown {
            let mut title = format!("{}: **{metric}**", workload.title);
            for peer in &workload.peers {
                if let Some(row) = row(workload, &peer.name, metric, records) {
                    text.push_str(&format!("| {title} | {row}\n"));
                    title.clear();
                }
            }
        }
    }
    text
}

/// Returns the row of a peer without its first cell, or `None` if the peer was not measured.
fn row(workload: &Workload, peer: &str, metric: Metric, records: &Records) -> Option<String> {
    let summary = records.summary(workload.id, peer, metric)?;
    let ratio = |kind: &Kind| {
        let ratio = workload.first(kind).and_then(|base| records.ratio(workload.id, peer, base, metric));
        ratio.map_or("–".to_owned(), with_range)
    };
    let goal = workload.goals.iter().find(|goal| goal.peer == peer && goal.metric == metric);
    let goal = goal.and_then(|goal| verdict(goal.bound, workload, peer, metric, summary, records));
    Some(format!(
        "{peer} | {} | {}–{} | {} | {} | {} |",
        number(summary.median),
        number(summary.least),
        number(summary.most),
        ratio(&Kind::Nginx),
        ratio(&Kind::Hyper),
        goal.unwrap_or_default(),
    ))
}

fn verdict(
    bound: Bound,
    workload: &Workload,
    peer: &str,
    metric: Metric,
    own: Summary,
    records: &Records,
) -> Option<String> {
    match bound {
        // The ratio of the medians would mix rounds.
        Bound::Times(_, base) => {
            Some(bound.verdict(records.ratio(workload.id, peer, base, metric)?.median, 1.0))
        }
        Bound::Above(_, base) => {
            Some(bound.verdict(own.median, records.summary(workload.id, base, metric)?.median))
        }
        Bound::AtMost(_) => Some(bound.verdict(own.median, f64::NAN)),
    }
}

fn with_range(ratio: Summary) -> String {
    format!("{:.2} ({:.2}–{:.2})", ratio.median, ratio.least, ratio.most)
}

/// Returns a number with three significant digits.
pub(crate) fn number(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude >= 100.0 {
        format!("{value:.0}")
    } else if magnitude >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::{Spec, Variant};
    use crate::records::tests::records;
    use crate::workload::goal::Goal;
    use crate::workload::load::Load;

    #[test]
    fn numbers_have_three_significant_digits() {
        assert_eq!(number(1234.5), "1234");
        assert_eq!(number(123.4), "123");
        assert_eq!(number(12.34), "12.3");
        assert_eq!(number(1.234), "1.23");
        assert_eq!(number(-15.0), "-15.0");
    }

    #[test]
    fn the_table_has_medians_ranges_ratios_and_goals_and_no_row_for_a_missing_peer() {
        let metric = Metric::CpuPerRequest;
        let workload = Workload {
            id: "json",
            title: "1 KB".to_owned(),
            peers: vec![
                Spec::new("bare hyper", Kind::Hyper),
                Spec::new("nginx", Kind::Nginx),
                Spec::new("absent", Kind::Haproxy),
                Spec::new("cc-relay", Kind::Relay(Variant::Lone)),
            ],
            load: Load::Start,
            shown: &[Metric::CpuPerRequest],
            goals: vec![Goal { peer: "cc-relay", metric, bound: Bound::Times(2.0, "bare hyper") }],
        };
        let records = records(
            "json",
            metric,
            &[("bare hyper", &[10.0, 12.0]), ("nginx", &[8.0, 8.0]), ("cc-relay", &[30.0, 36.0])],
        );
        let table = markdown(&[workload], &records);
        let rows: Vec<_> = table.lines().skip(2).collect();
        assert_eq!(
            rows,
            [
                "| 1 KB: **CPU per request, µs** | bare hyper | 11.0 | 10.0–12.0 | 1.38 (1.25–1.50) | 1.00 (1.00–1.00) |  |",
                "|  | nginx | 8.00 | 8.00–8.00 | 1.00 (1.00–1.00) | 0.73 (0.67–0.80) |  |",
                "|  | cc-relay | 33.0 | 30.0–36.0 | 4.12 (3.75–4.50) | 3.00 (3.00–3.00) | 3.00 × bare hyper (≤ 2): not met |",
            ]
        );
    }
}
