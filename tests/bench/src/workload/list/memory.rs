//! Workloads that measure memory.

use std::time::Duration;

use super::goal;
use super::peers::{ALL, BEDROCK, FALLBACKS, HAPROXY, HYPER, NGINX, RELAY, peers};
use crate::workload::Workload;
use crate::workload::goal::Bound;
use crate::workload::load::Load;
use crate::workload::metric::Metric;
use crate::workload::scale::Scale;

pub(super) fn memory(scale: &Scale) -> Vec<Workload> {
    let (streams, wait) = (scale.memory_streams, scale.wait);
    let gap = Duration::from_millis(if scale.is_smoke { 50 } else { 5_000 });
    let goals = |names: &[&'static str]| {
        let of = |peer| {
            [
                goal(peer, Metric::MemoryPerStream, Bound::AtMost(34.0)),
                goal(peer, Metric::MemoryAfter, Bound::AtMost(30.0)),
            ]
        };
        names.iter().flat_map(|peer| of(peer)).collect()
    };
    let open = Workload {
        id: "memory",
        title: format!("{streams} open streams"),
        peers: peers(&[HYPER, NGINX, HAPROXY, RELAY, ALL, BEDROCK]),
        load: Load::OpenStreams { streams, gap, wait },
        shown: &[Metric::MemoryIdle, Metric::MemoryPerStream, Metric::MemoryAfter],
        goals: goals(&[RELAY, ALL, BEDROCK]),
    };
    let silent = Workload {
        id: "memory-silent",
        title: format!("{streams} streams before their first delta (held back)"),
        peers: peers(&[HYPER, NGINX, FALLBACKS]),
        load: Load::SilentStreams { streams, wait },
        shown: &[Metric::MemoryPerStream, Metric::MemoryAfter],
        goals: goals(&[FALLBACKS]),
    };
    vec![open, silent]
}
