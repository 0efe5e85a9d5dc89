//! The measurement with clients that stop reading.

use std::time::Duration;

use tokio::time::sleep;

use super::metric::{Metric, Values};
use super::open_streams::{growth, paced, resident};
use crate::Result;
use crate::body::small_stream;
use crate::client::stalled::StalledStreams;
use crate::client::streams::OpenStreams;
use crate::peer::{Lab, Peer};
use crate::upstream::scenario::Scenario;

/// The time in which the upstream sends nothing to any stalled stream if all buffers on the way are full.
const REST: Duration = Duration::from_millis(250);
/// The large deltas of a stream in a smoke run: 1 MB.
const FEW_DELTAS: u32 = 128;

/// Streams as fast as they go whose clients stop reading, beside paced streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StalledClients {
    pub(crate) clients: usize,
    /// The large deltas of each stream that is not read: more than are buffered on the way.
    pub(crate) deltas: u32,
    pub(crate) streams: usize,
    pub(crate) gap: Duration,
}

impl StalledClients {
    /// Returns the same load with fewer streams and deltas, for a smoke run.
    pub(super) fn reduced(self) -> Self {
        Self { clients: self.clients.min(2), deltas: self.deltas.min(FEW_DELTAS), streams: 2, ..self }
    }

    /// Measures a peer, which must be new: its memory and the bytes of the upstream, once the upstream cannot send more to
    /// the stalled streams, and then the paced streams beside them.
    /// # Errors
    /// If a stream fails.
    pub(super) async fn measure(self, peer: &Peer, lab: &Lab, time: Duration) -> Result<Values> {
        let target = peer.target(small_stream());
        lab.upstream.set(Scenario::Paced { gap: self.gap }).await?;
        let streams = OpenStreams::open(&target, self.streams, true).await?;
        let (memory, sent) = (resident(peer)?, lab.upstream.flooded().await?);

        lab.upstream.set(Scenario::Flood { events: self.deltas }).await?;
        let stalled = StalledStreams::open(&target, self.clients).await?;
        let sent = at_rest(lab).await? - sent;
        let memory = growth(Metric::MemoryPerStalled, memory, resident(peer)?, self.clients);

        let mut values = paced(peer, lab, streams, time, None).await?;
        drop(stalled);
        values.extend(memory);
        values.push((Metric::SentPerStalled, sent as f64 / self.clients as f64 / 1024.0));
        Ok(values)
    }
}

/// Waits until the upstream sends no more large deltas, and returns the bytes of all that it has sent. The wait ends at
/// the latest after the last delta of all streams.
async fn at_rest(lab: &Lab) -> Result<u64> {
    let mut sent = lab.upstream.flooded().await?;
    loop {
        sleep(REST).await;
        let now = lab.upstream.flooded().await?;
        if now == sent {
            return Ok(now);
        }
        sent = now;
    }
}
