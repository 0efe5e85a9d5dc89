//! Workloads that measure memory.

use std::time::Duration;

use super::goal;
use super::peers::{ALL, BEDROCK, FALLBACKS, HAPROXY, HYPER, HYPER_TLS2, NGINX, RELAY, RELAY_TLS2, peers};
use crate::workload::Workload;
use crate::workload::goal::{Bound, Goal};
use crate::workload::load::Load;
use crate::workload::metric::Metric;
use crate::workload::open_streams::HeldStreams;
use crate::workload::scale::Scale;
use crate::workload::stalled::StalledClients;

/// The large deltas that a stream has for a client that stops reading: 32 MB, more than the sockets on the way buffer.
const DELTAS: u32 = 4096;

/// Open streams, and streams that the relay holds back.
pub(super) fn memory(scale: &Scale) -> Vec<Workload> {
    let (streams, wait) = (scale.memory_streams, scale.wait);
    let open_for = Duration::from_millis(if scale.is_smoke { 50 } else { 500 });
    let open = Workload {
        id: "memory",
        title: format!("{streams} open streams"),
        peers: peers(&[HYPER, NGINX, HAPROXY, RELAY, ALL, BEDROCK]),
        load: Load::Held(HeldStreams { streams, gap: Some(slow(scale, 5)), hold: open_for, wait }),
        shown: &[Metric::MemoryIdle, Metric::MemoryPerStream, Metric::MemoryAfter],
        goals: goals(&[RELAY, ALL, BEDROCK]),
    };
    let silent = Workload {
        id: "memory-silent",
        title: format!("{streams} streams before their first delta (held back)"),
        peers: peers(&[HYPER, NGINX, FALLBACKS]),
        load: Load::Held(HeldStreams { streams, gap: None, hold: Duration::from_millis(1_500), wait }),
        shown: &[Metric::MemoryPerStream, Metric::MemoryAfter],
        goals: goals(&[FALLBACKS]),
    };
    vec![open, silent]
}

/// Slow streams, as many as cc-relay accepts. They are held until each has had a further event.
pub(super) fn many_streams(scale: &Scale) -> Workload {
    let (streams, gap) = (scale.many_streams, slow(scale, 10));
    Workload {
        id: "many-streams",
        title: format!("{streams} open streams of an event in 10 s, upstream with TLS and HTTP/2"),
        peers: peers(&[HYPER_TLS2, RELAY_TLS2]),
        load: Load::Held(HeldStreams { streams, gap: Some(gap), hold: gap, wait: scale.wait }),
        shown: &[Metric::MemoryPerStream, Metric::MemoryAfter, Metric::DelayP99],
        goals: goals(&[RELAY_TLS2]),
    }
}

/// Returns the time between two events of a slow stream.
fn slow(scale: &Scale, seconds: u64) -> Duration {
    if scale.is_smoke { Duration::from_millis(50) } else { Duration::from_secs(seconds) }
}

/// Returns the goals for memory of these peers.
fn goals(names: &[&'static str]) -> Vec<Goal> {
    let of = |peer| {
        [
            goal(peer, Metric::MemoryPerStream, Bound::AtMost(34.0)),
            goal(peer, Metric::MemoryAfter, Bound::AtMost(30.0)),
        ]
    };
    names.iter().flat_map(|peer| of(peer)).collect()
}

/// Clients that stop reading.
pub(super) fn stalled(scale: &Scale) -> Workload {
    let (clients, streams) = (scale.stalled_streams, 40);
    Workload {
        id: "stalled",
        title: format!("{clients} clients that stop reading, beside {streams} streams of 50 events/s"),
        peers: peers(&[HYPER, NGINX, RELAY, HYPER_TLS2, RELAY_TLS2]),
        load: Load::Stalled(StalledClients {
            clients,
            deltas: DELTAS,
            streams,
            gap: Duration::from_millis(20),
        }),
        shown: &[Metric::MemoryPerStalled, Metric::SentPerStalled, Metric::DelayP50, Metric::DelayP99],
        goals: Vec::new(),
    }
}
