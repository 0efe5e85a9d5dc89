//! The values of a run, and what is computed from them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::stats::Summary;
use crate::workload::metric::Metric;

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    pub(crate) workload: &'static str,
    pub(crate) peer: String,
    pub(crate) round: usize,
    pub(crate) metric: Metric,
    pub(crate) value: f64,
}

/// All values of a run.
#[derive(Debug, Default)]
pub(crate) struct Records(Vec<Record>);

impl Records {
    /// Adds a value.
    pub(crate) fn push(&mut self, record: Record) {
        self.0.push(record);
    }

    /// Drops the values of a workload.
    pub(crate) fn remove(&mut self, workload: &str) {
        self.0.retain(|record| record.workload != workload);
    }

    /// Adds the median time of each peer less that of `direct` in the same round, for a workload that has it.
    pub(crate) fn add_added_time(&mut self, workload: &'static str) {
        let times = self.by_round(workload, Metric::TimeP50);
        let Some(direct) = times.get("direct") else { return };
        let mut added = Vec::new();
        for (peer, rounds) in &times {
            for (&round, time) in rounds.iter().filter(|_| *peer != "direct") {
                let Some(direct) = direct.get(&round) else { continue };
                let peer = (*peer).to_owned();
                added.push(Record { workload, peer, round, metric: Metric::AddedP50, value: time - direct });
            }
        }
        self.0.extend(added);
    }

    /// Returns the summary of one quantity of one peer over the rounds.
    pub(crate) fn summary(&self, workload: &str, peer: &str, metric: Metric) -> Option<Summary> {
        Summary::of(self.rounds(workload, peer, metric).into_values())
    }

    /// Returns the summary of the ratios to another peer, each of the same round.
    pub(crate) fn ratio(&self, workload: &str, peer: &str, base: &str, metric: Metric) -> Option<Summary> {
        let base = self.rounds(workload, base, metric);
        let own = self.rounds(workload, peer, metric);
        Summary::of(own.iter().filter_map(|(round, value)| Some(value / base.get(round)?)))
    }

    fn rounds(&self, workload: &str, peer: &str, metric: Metric) -> BTreeMap<usize, f64> {
        self.by_round(workload, metric).remove(peer).unwrap_or_default()
    }

    fn by_round(&self, workload: &str, metric: Metric) -> BTreeMap<&str, BTreeMap<usize, f64>> {
        let mut peers: BTreeMap<&str, BTreeMap<usize, f64>> = BTreeMap::new();
        for record in self.0.iter().filter(|record| record.workload == workload && record.metric == metric) {
            peers.entry(&record.peer).or_default().insert(record.round, record.value);
        }
        peers
    }

    /// Returns each value as a line of JSON.
    pub(crate) fn lines(&self) -> impl Iterator<Item = Value> {
        self.0.iter().map(|record| {
            json!({
                "workload": record.workload,
                "peer": record.peer,
                "round": record.round,
                "metric": record.metric.id(),
                "value": record.value,
            })
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Returns records of one workload, with the values of the rounds for each peer.
    pub(crate) fn records(workload: &'static str, metric: Metric, peers: &[(&str, &[f64])]) -> Records {
        let mut records = Records::default();
        for (peer, values) in peers {
            for (round, &value) in values.iter().enumerate() {
                records.push(Record { workload, peer: (*peer).to_owned(), round, metric, value });
            }
        }
        records
    }

    #[test]
    fn a_ratio_is_made_of_values_of_the_same_round() {
        let metric = Metric::CpuPerRequest;
        let records = records("json", metric, &[("a", &[10.0, 20.0, 40.0]), ("b", &[20.0, 20.0, 120.0])]);
        let ratio = records.ratio("json", "b", "a", metric).unwrap();
        assert_eq!(ratio, Summary { median: 2.0, least: 1.0, most: 3.0 });
        assert_eq!(records.ratio("json", "b", "missing", metric), None);
        assert_eq!(records.ratio("other", "b", "a", metric), None);
    }

    #[test]
    fn the_values_of_one_workload_are_dropped() {
        let metric = Metric::Start;
        let mut all = records("failed", metric, &[("a", &[1.0])]);
        all.0.extend(records("start", metric, &[("a", &[2.0])]).0);
        all.remove("failed");
        assert_eq!(all.summary("failed", "a", metric), None);
        assert!(all.summary("start", "a", metric).is_some());
    }

    #[test]
    fn the_added_time_is_relative_to_the_direct_one_of_the_same_round() {
        let mut records =
            records("added", Metric::TimeP50, &[("direct", &[10.0, 30.0]), ("nginx", &[25.0, 50.0])]);
        records.add_added_time("added");
        let added = records.summary("added", "nginx", Metric::AddedP50).unwrap();
        assert_eq!(added, Summary { median: 17.5, least: 15.0, most: 20.0 });
        assert_eq!(records.summary("added", "direct", Metric::AddedP50), None);
    }
}
