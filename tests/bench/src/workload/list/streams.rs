//! Workloads of streams: in bursts, paced, and beside large bodies.

use std::time::Duration;

use super::goal;
use super::peers::{
    AGAIN, ALL, BEDROCK, HAPROXY, HYPER, HYPER_TLS1, HYPER_TLS2, MANY, NGINX, RELAY, RELAY_TLS1, RELAY_TLS2,
    peers,
};
use crate::workload::Workload;
use crate::workload::goal::Bound;
use crate::workload::load::Load;
use crate::workload::metric::Metric;
use crate::workload::scale::Scale;

pub(super) fn streams(scale: &Scale) -> Vec<Workload> {
    let metric = Metric::CpuPerEvent;
    let burst = Workload {
        id: "burst",
        title: "SSE burst of 500 events, 16 connections".to_owned(),
        peers: peers(&MANY),
        load: Load::Burst { events: 500, connections: 16 },
        shown: &[Metric::CpuPerEvent, Metric::CallsPerEvent],
        goals: vec![
            goal(RELAY, metric, Bound::Times(1.15, HYPER)),
            goal(ALL, metric, Bound::Times(1.15, HYPER)),
            goal(BEDROCK, metric, Bound::Times(1.15, RELAY)),
        ],
    };
    let (streams, gap) = (scale.paced_streams, Duration::from_millis(20));
    let paced = Workload {
        id: "paced",
        title: format!("{streams} streams of 50 events/s"),
        peers: peers(&[HYPER, AGAIN, NGINX, HAPROXY, RELAY, ALL, BEDROCK]),
        load: Load::Paced { streams, gap },
        goals: vec![
            goal(RELAY, metric, Bound::Times(1.05, HYPER)),
            goal(ALL, metric, Bound::Times(1.05, HYPER)),
            goal(BEDROCK, metric, Bound::Times(1.15, RELAY)),
        ],
        ..burst.clone()
    };
    let delay = Metric::DelayP99;
    let beside = Workload {
        id: "beside-bodies",
        title: "40 streams of 50 events/s beside 4 bodies of 10 MB per second".to_owned(),
        peers: peers(&[HYPER, NGINX, HAPROXY, RELAY, ALL, BEDROCK]),
        load: Load::PacedBesideBodies { streams: 40, gap, size: 10_000_000, per_second: 4 },
        shown: &[Metric::DelayP99],
        goals: [RELAY, ALL, BEDROCK].map(|peer| goal(peer, delay, Bound::Times(2.0, NGINX))).into(),
    };
    vec![burst, paced, beside]
}

/// Streams over HTTP/1.1 and over HTTP/2, by their number and the events per second of each.
pub(super) fn protocols(scale: &Scale) -> Vec<Workload> {
    let of = |id, streams: usize, per_second: u32| {
        let streams = streams.min(scale.protocol_streams);
        let noun = if streams == 1 { "stream" } else { "streams" };
        Workload {
            id,
            title: format!("{streams} {noun} of {per_second} events/s, upstream with TLS"),
            peers: peers(&[HYPER_TLS1, HYPER_TLS2, RELAY_TLS1, RELAY_TLS2]),
            load: Load::PacedInNewProcess { streams, gap: Duration::from_secs(1) / per_second },
            shown: &[Metric::CpuPerEvent, Metric::MemoryPerStream],
            goals: Vec::new(),
        }
    };
    vec![
        of("protocols-1", 1, 50),
        of("protocols-32", 32, 50),
        of("protocols-250", 250, 50),
        // 50 events/s of each would be more than one CPU can forward.
        of("protocols-2000", 2000, 5),
    ]
}
