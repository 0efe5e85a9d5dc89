//! Workloads of requests: JSON answers in closed loops and at a constant rate, and the two workloads with TLS.

use super::goal;
use super::peers::{
    AGAIN, ALL, BEDROCK, FALLBACKS, HAPROXY, HYPER, HYPER_TLS1, HYPER_TLS2, KEYS_10, KEYS_1000, KEYS_10000,
    MANY, NGINX, RELAY, RELAY_TLS1, RELAY_TLS2, peers,
};
use crate::workload::goal::Bound;
use crate::workload::load::Load;
use crate::workload::metric::Metric;
use crate::workload::{Workload, sha256_time};

/// JSON answers, by the size of the request.
pub(super) fn requests() -> Vec<Workload> {
    let metric = Metric::CpuPerRequest;
    [("1 KB", 1024, 32), ("150 KB", 150_000, 16), ("1 MB", 1_000_000, 8)]
        .map(|(name, size, connections)| {
            // Bare hyper forwards a large body for half of what nginx needs, and neither reads it.
            let bound = if size == 1_000_000 { Bound::Times(2.3, NGINX) } else { Bound::Times(2.0, HYPER) };
            let mut goals = vec![goal(RELAY, metric, bound), goal(ALL, metric, bound)];
            if size == 1_000_000 {
                goals.push(goal(FALLBACKS, metric, Bound::Times(1.05, RELAY)));
                let hash = 1.15 * sha256_time(&crate::body::of_size(size, false)).as_secs_f64() * 1e6;
                goals.push(goal(BEDROCK, metric, Bound::Above((hash + 300.0).round(), RELAY)));
            }
            Workload {
                id: ["json-1k", "json-150k", "json-1m"]
                    [usize::from(size > 1024) + usize::from(size > 150_000)],
                title: format!("{name} request, JSON answer, {connections} connections"),
                peers: peers(&MANY),
                load: Load::Json { size, connections },
                shown: &[Metric::CpuPerRequest, Metric::CallsPerRequest],
                goals,
            }
        })
        .into()
}

pub(super) fn over_tls() -> Vec<Workload> {
    let names = [HYPER_TLS1, HYPER_TLS2, "nginx, TLS HTTP/1.1", RELAY_TLS1, RELAY_TLS2];
    let json = Workload {
        id: "tls-json-1k",
        title: "1 KB request, JSON answer, 32 connections, upstream with TLS".to_owned(),
        peers: peers(&names),
        load: Load::Json { size: 1024, connections: 32 },
        shown: &[Metric::CpuPerRequest, Metric::CallsPerRequest],
        goals: Vec::new(),
    };
    let burst = Workload {
        id: "tls-burst",
        title: "SSE burst, 16 connections, upstream with TLS".to_owned(),
        load: Load::Burst { events: 500, connections: 16 },
        shown: &[Metric::CpuPerEvent, Metric::CallsPerEvent],
        ..json.clone()
    };
    vec![json, burst]
}

pub(super) fn added() -> Workload {
    Workload {
        id: "added",
        title: "1 KB request, JSON answer, 1 connection, one CPU".to_owned(),
        peers: peers(&["direct", HYPER, AGAIN, NGINX, HAPROXY, RELAY, ALL]),
        load: Load::Json { size: 1024, connections: 1 },
        shown: &[Metric::AddedP50, Metric::CallsPerRequest],
        goals: [RELAY, ALL].map(|peer| goal(peer, Metric::AddedP50, Bound::Above(20.0, HYPER))).into(),
    }
}

/// JSON answers at a rate that no proxy is busy with. Each wakes up for a request, and wakes up client and upstream in turn.
pub(super) fn at_a_rate() -> Vec<Workload> {
    [("rate-1k", "1 KB", 1024, 2000), ("rate-150k", "150 KB", 150_000, 500)]
        .map(|(id, name, size, per_second)| Workload {
            id,
            title: format!("{name} request, JSON answer, {per_second} requests/s"),
            peers: peers(&["direct", HYPER, NGINX, HAPROXY, RELAY, ALL]),
            load: Load::Rate { size, per_second },
            shown: &[Metric::CpuPerRequest, Metric::TimeP50, Metric::TimeP99],
            goals: Vec::new(),
        })
        .into()
}

pub(super) fn keys() -> Workload {
    let metric = Metric::CpuPerRequest;
    Workload {
        id: "keys",
        title: "1 KB request, JSON answer, 32 connections, by the number of keys".to_owned(),
        peers: peers(&[KEYS_10, KEYS_1000, KEYS_10000]),
        load: Load::Json { size: 1024, connections: 32 },
        shown: &[Metric::CpuPerRequest, Metric::CallsPerRequest],
        goals: [KEYS_1000, KEYS_10000].map(|peer| goal(peer, metric, Bound::Times(1.3, KEYS_10))).into(),
    }
}
