//! Measurements with streams that stay open.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::metric::{CpuUse, Metric, Values, quantiles};
use crate::Result;
use crate::body::small_stream;
use crate::client::rate;
use crate::client::streams::OpenStreams;
use crate::peer::{Lab, Peer};
use crate::proc::memory;

const MEGABYTE: f64 = 1024.0 * 1024.0;
/// The time between the first event of the last stream and the measurement of the memory.
const SETTLED: Duration = Duration::from_millis(50);

/// Streams that are opened, held for a time, and ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeldStreams {
    pub(crate) streams: usize,
    /// The time between two events of a stream, or `None` if the upstream is silent after the start of the message.
    pub(crate) gap: Option<Duration>,
    pub(crate) hold: Duration,
    /// The time between their end and the measurement of the memory that is left.
    pub(crate) wait: Duration,
}

/// Measures open streams for `time`, beside large bodies at a rate per second if there are any, and ends them.
/// # Errors
/// If a stream or a request fails.
pub(super) async fn paced(
    peer: &Peer,
    lab: &Lab,
    streams: OpenStreams,
    time: Duration,
    bodies: Option<(Bytes, u32)>,
) -> Result<Values> {
    tokio::time::sleep(time / 5).await;
    let cpu = CpuUse::begin(peer)?;
    let (begin, events) = (Instant::now(), streams.events());
    streams.record_delays(true);
    match bodies {
        None => tokio::time::sleep(time).await,
        Some((body, per_second)) => {
            rate::run(&peer.target(body), per_second, time, rate::CONNECTIONS / 8).await?;
        }
    }
    streams.record_delays(false);
    let (elapsed, events) = (begin.elapsed(), streams.events() - events);
    let used = cpu.map(|cpu| cpu.microseconds()).transpose()?;
    lab.upstream.end_streams().await?;
    let delays = streams.end().await?;
    let mut values = quantiles(&delays, (Metric::DelayP50, Metric::DelayP99), 1e6);
    values.push((Metric::EventsPerSecond, events as f64 / elapsed.as_secs_f64()));
    values.extend(used.map(|used| (Metric::CpuPerEvent, used / events.max(1) as f64)));
    Ok(values)
}

/// Measures paced streams through a peer, which must be new, and its memory with them.
/// # Errors
/// If a stream fails.
pub(super) async fn paced_in_new_process(
    peer: &Peer,
    lab: &Lab,
    count: usize,
    time: Duration,
) -> Result<Values> {
    let idle = resident(peer)?;
    let streams = OpenStreams::open(&peer.target(small_stream()), count, true).await?;
    tokio::time::sleep(SETTLED).await;
    let open = resident(peer)?;
    let mut values = paced(peer, lab, streams, time, None).await?;
    values.extend(growth(Metric::MemoryPerStream, idle, open, count));
    Ok(values)
}

/// Measures the memory of a peer, which must be new: idle, and with open streams. Then it ends them.
/// # Errors
/// If a stream fails.
pub(crate) async fn measure_memory(peer: &Peer, lab: &Lab, load: &HeldStreams) -> Result<Values> {
    let idle = resident(peer)?;
    let streams = OpenStreams::open(&peer.target(small_stream()), load.streams, load.gap.is_some()).await?;
    streams.record_delays(true);
    tokio::time::sleep(load.hold).await;
    streams.record_delays(false);
    let open = resident(peer)?;
    lab.upstream.end_streams().await?;
    let delays = streams.end().await?;
    let mut values = quantiles(&delays, (Metric::DelayP50, Metric::DelayP99), 1e6);
    values.extend(idle.map(|idle| (Metric::MemoryIdle, idle / MEGABYTE)));
    values.extend(growth(Metric::MemoryPerStream, idle, open, load.streams));
    Ok(values)
}

/// Returns the resident bytes of a peer, or `None` if it has no process.
pub(super) fn resident(peer: &Peer) -> Result<Option<f64>> {
    Ok(peer.pid.map(memory).transpose()?.map(|memory| memory.resident as f64))
}

/// Returns the growth of the memory for each of `count` streams, in KB.
pub(super) fn growth(
    metric: Metric,
    before: Option<f64>,
    after: Option<f64>,
    count: usize,
) -> Option<(Metric, f64)> {
    Some((metric, (after? - before?) / count as f64 / 1024.0))
}

/// Measures the memory of a peer after `wait`.
/// # Errors
/// If the process has ended.
pub(crate) async fn measure_memory_after(peer: &Peer, wait: Duration) -> Result<Values> {
    tokio::time::sleep(wait).await;
    Ok(resident(peer)?.map(|bytes| (Metric::MemoryAfter, bytes / MEGABYTE)).into_iter().collect())
}
