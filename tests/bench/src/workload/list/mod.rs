//! The list of all workloads.

mod memory;
mod peers;
mod requests;
mod streams;

use self::memory::{many_streams, memory, stalled};
use self::peers::{HAPROXY, HYPER, NGINX, RELAY, SIX, peers};
use self::requests::{added, at_a_rate, keys, over_tls, requests};
use self::streams::{protocols, streams};
use super::Workload;
use super::goal::{Bound, Goal};
use super::load::Load;
use super::metric::Metric;
use super::scale::Scale;
use crate::peer::Spec;

/// The workloads without further peers. Those with plain connections to the upstream need two files for each stream, too
/// many for `many-streams`.
const CLOSED: [&str; 3] = ["many-streams", "keys", "start"];

/// Returns the workloads, with further peers that take part in all but three of them.
pub(crate) fn workloads(scale: &Scale, further: &[Spec]) -> Vec<Workload> {
    let mut all = requests();
    all.extend(over_tls());
    all.extend(streams(scale));
    all.extend(protocols(scale));
    all.extend(memory(scale));
    all.extend([many_streams(scale), stalled(scale), added()]);
    all.extend(at_a_rate());
    all.extend([keys(), start()]);
    for workload in &mut all {
        if scale.is_smoke {
            workload.load = workload.load.reduced();
        }
        if !CLOSED.contains(&workload.id) {
            workload.peers.extend_from_slice(further);
        }
    }
    all
}

fn goal(peer: &'static str, metric: Metric, bound: Bound) -> Goal {
    Goal { peer, metric, bound }
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
