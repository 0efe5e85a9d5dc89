//! The loads, each measured at one peer.

use std::time::{Duration, Instant};

use super::metric::{CpuUse, Metric, Values, quantiles};
use super::open_streams::{HeldStreams, paced, paced_in_new_process};
use super::stalled::StalledClients;
use crate::Result;
use crate::body::{of_size, small_stream};
use crate::client::closed::{ClosedLoop, Expect};
use crate::client::rate;
use crate::client::streams::OpenStreams;
use crate::peer::{Lab, Launch, Peer, Spec, start};
use crate::upstream::scenario::Scenario;

/// A load. Sizes are bytes of the request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// Requests for JSON in a closed loop.
    Json { size: usize, connections: usize },
    /// Requests for a stream of `events` deltas, as fast as they go, in a closed loop.
    Burst { events: u32, connections: usize },
    /// Requests for JSON at a constant rate.
    Rate { size: usize, per_second: u32 },
    /// Open streams with an event per `gap` each.
    Paced { streams: usize, gap: Duration },
    /// Paced streams through a new process of the proxy, whose memory is measured too.
    PacedInNewProcess { streams: usize, gap: Duration },
    /// Paced streams, and requests with large bodies at a constant rate.
    PacedBesideBodies { streams: usize, gap: Duration, size: usize, per_second: u32 },
    /// Streams that are opened through a new process of the proxy, held, and ended.
    Held(HeldStreams),
    /// Streams whose clients stop reading, beside paced streams, through a new process of the proxy.
    Stalled(StalledClients),
    /// The start of the program.
    Start,
}

impl Load {
    /// Returns the streams that the upstream sends for this load.
    pub(crate) fn scenario(self) -> Scenario {
        match self {
            Self::Burst { events, .. } => Scenario::Burst { events },
            Self::Paced { gap, .. }
            | Self::PacedInNewProcess { gap, .. }
            | Self::PacedBesideBodies { gap, .. }
            | Self::Held(HeldStreams { gap: Some(gap), .. })
            | Self::Stalled(StalledClients { gap, .. }) => Scenario::Paced { gap },
            Self::Held(HeldStreams { gap: None, .. }) => Scenario::Held,
            Self::Json { .. } | Self::Rate { .. } | Self::Start => Scenario::Burst { events: 1 },
        }
    }

    /// Returns the same load with small bodies and few connections, for a smoke run.
    pub(crate) fn reduced(self) -> Self {
        match self {
            Self::Json { size, connections } => {
                Self::Json { size: size.min(20_000), connections: connections.min(2) }
            }
            Self::Burst { events, connections } => {
                Self::Burst { events: events.min(20), connections: connections.min(2) }
            }
            Self::Rate { size, per_second } => {
                Self::Rate { size: size.min(20_000), per_second: per_second.min(500) }
            }
            Self::PacedInNewProcess { streams, gap } => {
                Self::PacedInNewProcess { streams: streams.min(4), gap }
            }
            Self::PacedBesideBodies { gap, per_second, .. } => {
                Self::PacedBesideBodies { streams: 2, gap, size: 20_000, per_second }
            }
            Self::Stalled(clients) => Self::Stalled(clients.reduced()),
            other => other,
        }
    }

    /// Opens the connections of a closed loop. Returns `None` for other loads.
    /// # Errors
    /// If a connection or a request fails.
    pub(crate) async fn closed_loop(self, peer: &Peer) -> Result<Option<ClosedLoop>> {
        let (body, expect, connections) = match self {
            Self::Json { size, connections } => (of_size(size, false), Expect::Json, connections),
            Self::Burst { events, connections } => {
                (small_stream(), Expect::Stream { deltas: events }, connections)
            }
            _ => return Ok(None),
        };
        Ok(Some(ClosedLoop::open(peer.target(body), expect, connections).await?))
    }

    /// Measures a peer that serves already, for `time`.
    /// # Errors
    /// If a request fails, or if an answer is not the upstream's.
    pub(crate) async fn measure(self, peer: &Peer, lab: &Lab, time: Duration) -> Result<Values> {
        match self {
            Self::Json { .. } | Self::Burst { .. } => match self.closed_loop(peer).await? {
                Some(mut load) => closed(peer, &mut load, time).await,
                None => Ok(Values::new()),
            },
            Self::Rate { size, per_second } => {
                let target = peer.target(of_size(size, false));
                let cpu = CpuUse::begin(peer)?;
                let times = rate::run(&target, per_second, time, rate::CONNECTIONS).await?;
                let mut values = quantiles(&times, (Metric::TimeP50, Metric::TimeP99), 1e3);
                if let Some(cpu) = cpu {
                    values.push((Metric::CpuPerRequest, cpu.microseconds()? / times.len() as f64));
                }
                Ok(values)
            }
            Self::Paced { streams, .. } => {
                let streams = OpenStreams::open(&peer.target(small_stream()), streams, true).await?;
                paced(peer, lab, streams, time, None).await
            }
            Self::PacedInNewProcess { streams, .. } => paced_in_new_process(peer, lab, streams, time).await,
            Self::PacedBesideBodies { streams, size, per_second, .. } => {
                let streams = OpenStreams::open(&peer.target(small_stream()), streams, true).await?;
                let body = of_size(size, false);
                paced(peer, lab, streams, time, Some((body, per_second))).await
            }
            Self::Stalled(clients) => clients.measure(peer, lab, time).await,
            Self::Held(_) | Self::Start => Err("this load starts its peers itself".into()),
        }
    }
}

/// Measures the start of a peer: from its execution until it answers.
/// # Errors
/// If the peer does not start.
pub(crate) async fn measure_start(spec: &Spec, lab: &Lab) -> Result<Option<Values>> {
    let begin = Instant::now();
    let peer = start(spec, lab, Launch::Plain).await?;
    let time = begin.elapsed();
    Ok(peer.map(|_| vec![(Metric::Start, time.as_secs_f64() * 1e3)]))
}

async fn closed(peer: &Peer, load: &mut ClosedLoop, time: Duration) -> Result<Values> {
    // Allocators and code of the proxy are warm after this.
    load.run(time / 5).await?;
    let cpu = CpuUse::begin(peer)?;
    let done = load.run(time).await?;
    let mut values = quantiles(&done.times, (Metric::TimeP50, Metric::TimeP99), 1e3);
    values.push((Metric::RequestsPerSecond, done.requests as f64 / done.elapsed.as_secs_f64()));
    if let Some(cpu) = cpu {
        let used = cpu.microseconds()?;
        values.push((Metric::CpuPerRequest, used / done.requests as f64));
        if done.events > 0 {
            values.push((Metric::CpuPerEvent, used / done.events as f64));
        }
    }
    Ok(values)
}
