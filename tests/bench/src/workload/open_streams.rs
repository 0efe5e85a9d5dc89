//! Measurements with streams that stay open.

use std::time::Duration;

use bytes::Bytes;

use super::load::{RATE_CONNECTIONS, microseconds, quantiles, small_stream};
use super::metric::{Metric, Values};
use crate::Result;
use crate::client::rate;
use crate::client::streams::OpenStreams;
use crate::peer::{Lab, Peer};
use crate::proc::{cpu_time, memory};

const MEGABYTE: f64 = 1024.0 * 1024.0;

pub(super) async fn paced(
    peer: &Peer,
    lab: &Lab,
    streams: OpenStreams,
    time: Duration,
    bodies: Option<(Bytes, u32)>,
) -> Result<Values> {
    tokio::time::sleep(time / 5).await;
    let before = peer.pid.map(cpu_time).transpose()?;
    let events = streams.events();
    streams.record_delays(true);
    match bodies {
        None => tokio::time::sleep(time).await,
        Some((body, per_second)) => {
            rate::run(&peer.target(body), per_second, time, RATE_CONNECTIONS / 8).await?;
        }
    }
    streams.record_delays(false);
    let events = streams.events() - events;
    let used = match (peer.pid, before) {
        (Some(pid), Some(before)) => Some(microseconds(cpu_time(pid)?.saturating_sub(before))),
        _ => None,
    };
    lab.upstream.end_streams().await?;
    let delays = streams.end().await?;
    let mut values = quantiles(&delays, (Metric::DelayP50, Metric::DelayP99), 1e6);
    values.extend(used.map(|used| (Metric::CpuPerEvent, used / events.max(1) as f64)));
    Ok(values)
}

/// Measures the memory of a peer, which must be new: idle, and with open streams. Then it ends them.
/// # Errors
/// If a stream fails.
pub(crate) async fn measure_memory(peer: &Peer, lab: &Lab, count: usize, silent: bool) -> Result<Values> {
    let Some(pid) = peer.pid else { return Ok(Values::new()) };
    let idle = memory(pid)?.resident as f64;
    let streams = OpenStreams::open(&peer.target(small_stream()), count, !silent).await?;
    let arrived = Duration::from_millis(if silent { 1_500 } else { 500 });
    tokio::time::sleep(arrived).await;
    let open = memory(pid)?.resident as f64;
    lab.upstream.end_streams().await?;
    streams.end().await?;
    let per_stream = (open - idle) / count as f64 / 1024.0;
    Ok(vec![(Metric::MemoryIdle, idle / MEGABYTE), (Metric::MemoryPerStream, per_stream)])
}

/// Measures the memory of a peer after `wait`.
/// # Errors
/// If the process has ended.
pub(crate) async fn measure_memory_after(peer: &Peer, wait: Duration) -> Result<Values> {
    tokio::time::sleep(wait).await;
    let Some(pid) = peer.pid else { return Ok(Values::new()) };
    Ok(vec![(Metric::MemoryAfter, memory(pid)?.resident as f64 / MEGABYTE)])
}
