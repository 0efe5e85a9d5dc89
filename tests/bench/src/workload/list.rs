//! The list of all workloads.

use std::time::Duration;

use super::Workload;
use super::goal::{Bound, Goal};
use super::load::Load;
use super::metric::Metric;
use super::scale::Scale;
use crate::peer::{Kind, Spec, Variant};
use crate::upstream::handle::Protocol;

const HYPER: &str = "bare hyper";
const NGINX: &str = "nginx";
const HAPROXY: &str = "haproxy";
const AGAIN: &str = "bare hyper, again";
/// The peers of the workloads with many connections.
const MANY: [&str; 8] = [HYPER, AGAIN, NGINX, HAPROXY, RELAY, ALL, FALLBACKS, BEDROCK];
const RELAY: &str = "cc-relay";
const ALL: &str = "cc-relay, all features";
const FALLBACKS: &str = "cc-relay, unused fallbacks";
const BEDROCK: &str = "cc-relay, Bedrock";
const KEYS_10: &str = "cc-relay, 10 keys";
const KEYS_1000: &str = "cc-relay, 1000 keys";
const KEYS_10000: &str = "cc-relay, 10000 keys";
const SIX: &str = "cc-relay, 6 providers";
const RELAY_TLS1: &str = "cc-relay, TLS HTTP/1.1";
const RELAY_TLS2: &str = "cc-relay, TLS HTTP/2";
const HYPER_TLS2: &str = "bare hyper, TLS HTTP/2";

/// Returns the workloads, with further peers that take part in all of them that proxy requests.
pub(crate) fn workloads(scale: &Scale, further: &[Spec]) -> Vec<Workload> {
    let mut all = requests();
    all.extend(over_tls());
    all.extend(streams(scale));
    all.extend(memory(scale));
    all.extend([added(), rate(), keys(), start()]);
    for workload in &mut all {
        if scale.is_smoke {
            workload.load = workload.load.reduced();
        }
        if !matches!(workload.load, Load::Start) && !workload.id.starts_with("keys") {
            workload.peers.extend_from_slice(further);
        }
    }
    all
}

fn peers(names: &[&str]) -> Vec<Spec> {
    names.iter().map(|name| spec(name)).collect()
}

fn spec(name: &str) -> Spec {
    let kind = match name {
        "direct" => Kind::Direct,
        NGINX | "nginx, TLS HTTP/1.1" => Kind::Nginx,
        HAPROXY => Kind::Haproxy,
        RELAY | RELAY_TLS1 | RELAY_TLS2 => Kind::Relay(Variant::Lone),
        ALL => Kind::Relay(Variant::AllFeatures),
        FALLBACKS => Kind::Relay(Variant::Fallbacks),
        BEDROCK => Kind::Relay(Variant::Bedrock),
        KEYS_10 => Kind::Relay(Variant::Keys(10)),
        KEYS_1000 => Kind::Relay(Variant::Keys(1_000)),
        KEYS_10000 => Kind::Relay(Variant::Keys(10_000)),
        SIX => Kind::Relay(Variant::SixProviders),
        _ => Kind::Hyper,
    };
    let protocol = match name.rsplit_once(", TLS ") {
        Some((_, "HTTP/1.1")) => Protocol::TlsHttp1,
        Some((_, "HTTP/2")) => Protocol::TlsHttp2,
        _ => Protocol::Plain,
    };
    Spec::new(name, kind).over(protocol)
}

fn goal(peer: &'static str, metric: Metric, bound: Bound) -> Goal {
    Goal { peer, metric, bound }
}

/// JSON answers, by the size of the request.
fn requests() -> Vec<Workload> {
    let metric = Metric::CpuPerRequest;
    [("1 KB", 1024, 32), ("150 KB", 150_000, 16), ("1 MB", 1_000_000, 8)]
        .map(|(name, size, connections)| {
            let mut goals = vec![
                goal(RELAY, metric, Bound::Times(2.0, HYPER)),
                goal(ALL, metric, Bound::Times(2.0, HYPER)),
            ];
            if size == 1_000_000 {
                goals.push(goal(FALLBACKS, metric, Bound::Times(1.05, RELAY)));
                let hash = 1.15 * super::sha256_time(&crate::body::of_size(size, false)).as_secs_f64() * 1e6;
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

fn over_tls() -> Vec<Workload> {
    let names = ["bare hyper, TLS HTTP/1.1", HYPER_TLS2, "nginx, TLS HTTP/1.1", RELAY_TLS1, RELAY_TLS2];
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

fn streams(scale: &Scale) -> Vec<Workload> {
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

fn memory(scale: &Scale) -> Vec<Workload> {
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

fn added() -> Workload {
    Workload {
        id: "added",
        title: "1 KB request, JSON answer, 1 connection, one CPU".to_owned(),
        peers: peers(&["direct", HYPER, AGAIN, NGINX, HAPROXY, RELAY, ALL]),
        load: Load::Json { size: 1024, connections: 1 },
        shown: &[Metric::AddedP50, Metric::CallsPerRequest],
        goals: [RELAY, ALL].map(|peer| goal(peer, Metric::AddedP50, Bound::Above(20.0, HYPER))).into(),
    }
}

fn rate() -> Workload {
    Workload {
        id: "rate",
        title: "1 KB request, JSON answer, 500 requests/s".to_owned(),
        peers: peers(&["direct", HYPER, NGINX, HAPROXY, RELAY, ALL]),
        load: Load::Rate { size: 1024, per_second: 500 },
        shown: &[Metric::TimeP50, Metric::TimeP99],
        goals: Vec::new(),
    }
}

fn keys() -> Workload {
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

fn start() -> Workload {
    Workload {
        id: "start",
        title: "Start".to_owned(),
        peers: peers(&[HYPER, NGINX, HAPROXY, RELAY, SIX]),
        load: Load::Start,
        shown: &[Metric::Start],
        goals: vec![goal(SIX, Metric::Start, Bound::AtMost(10.0))],
    }
}
