//! Workloads: a load, the peers that get it, and the goals for the result.

pub(crate) mod goal;
pub(crate) mod list;
pub(crate) mod load;
pub(crate) mod metric;
pub(crate) mod open_streams;
pub(crate) mod scale;
mod stalled;
pub(crate) mod system_calls;

use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use self::goal::Goal;
use self::load::Load;
use self::metric::Metric;
use crate::peer::{Kind, Spec};

/// A load with its peers.
#[derive(Debug, Clone)]
pub(crate) struct Workload {
    /// The name on the command line and in the JSON lines.
    pub(crate) id: &'static str,
    pub(crate) title: String,
    pub(crate) peers: Vec<Spec>,
    pub(crate) load: Load,
    /// The quantities in the table. The JSON lines have all.
    pub(crate) shown: &'static [Metric],
    pub(crate) goals: Vec<Goal>,
}

impl Workload {
    /// Returns the name of the first peer of a kind, with which the others are compared.
    pub(crate) fn first(&self, kind: &Kind) -> Option<&str> {
        self.peers.iter().find(|peer| peer.kind == *kind).map(|peer| peer.name.as_str())
    }

    /// Returns `true` if a quick run has this workload on request only.
    pub(crate) fn is_long(&self) -> bool {
        LONG.contains(&self.id)
    }

    /// Returns `true` if client, proxy and upstream share one CPU.
    pub(crate) fn on_one_cpu(&self) -> bool {
        self.shown.contains(&Metric::AddedP50)
    }
}

/// The workloads that a quick run has on request only.
const LONG: [&str; 4] = ["protocols-250", "protocols-2000", "many-streams", "stalled"];

/// Returns the time of a SHA-256 of `body`, which a signature of AWS needs: the least of nine.
fn sha256_time(body: &[u8]) -> Duration {
    let times = (0..9).map(|_| {
        let begin = Instant::now();
        std::hint::black_box(Sha256::digest(std::hint::black_box(body)));
        begin.elapsed()
    });
    times.min().unwrap_or_default()
}
