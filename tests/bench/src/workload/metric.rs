//! The quantities that are measured.

use std::fmt;
use std::time::Duration;

use crate::Result;
use crate::peer::Peer;
use crate::proc::cpu_time;
use crate::stats::percentile;

/// A quantity with its unit. Less is better, except for the rates of requests and events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Metric {
    CpuPerRequest,
    CpuPerEvent,
    /// The rate at which events arrive. It is less than the upstream's if the proxy or the load is at its limit.
    EventsPerSecond,
    CallsPerRequest,
    CallsPerEvent,
    RequestsPerSecond,
    TimeP50,
    TimeP99,
    /// The median time of a request less that of the same request without a proxy, in the same round.
    AddedP50,
    DelayP50,
    DelayP99,
    MemoryIdle,
    MemoryPerStream,
    MemoryAfter,
    /// The growth for each stream whose client has stopped reading.
    MemoryPerStalled,
    /// The bytes that the upstream could send for each such stream: the most that is buffered on the way.
    SentPerStalled,
    Start,
}

impl Metric {
    /// Returns the name in the JSON lines, with the unit.
    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::CpuPerRequest => "cpu_us_per_request",
            Self::CpuPerEvent => "cpu_us_per_event",
            Self::EventsPerSecond => "events_per_second",
            Self::CallsPerRequest => "system_calls_per_request",
            Self::CallsPerEvent => "system_calls_per_event",
            Self::RequestsPerSecond => "requests_per_second",
            Self::TimeP50 => "time_us_p50",
            Self::TimeP99 => "time_us_p99",
            Self::AddedP50 => "added_us_p50",
            Self::DelayP50 => "delay_ms_p50",
            Self::DelayP99 => "delay_ms_p99",
            Self::MemoryIdle => "rss_mb_idle",
            Self::MemoryPerStream => "rss_kb_per_stream",
            Self::MemoryAfter => "rss_mb_after",
            Self::MemoryPerStalled => "rss_kb_per_stalled_stream",
            Self::SentPerStalled => "sent_kb_per_stalled_stream",
            Self::Start => "start_ms",
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CpuPerRequest => "CPU per request, µs",
            Self::CpuPerEvent => "CPU per event, µs",
            Self::EventsPerSecond => "events per second",
            Self::CallsPerRequest => "system calls per request",
            Self::CallsPerEvent => "system calls per event",
            Self::RequestsPerSecond => "requests per second",
            Self::TimeP50 => "time p50, µs",
            Self::TimeP99 => "time p99, µs",
            Self::AddedP50 => "added p50, µs",
            Self::DelayP50 => "event delay p50, ms",
            Self::DelayP99 => "event delay p99, ms",
            Self::MemoryIdle => "RSS idle, MB",
            Self::MemoryPerStream => "RSS per stream, KB",
            Self::MemoryAfter => "RSS 10 s after, MB",
            Self::MemoryPerStalled => "RSS per stalled stream, KB",
            Self::SentPerStalled => "sent per stalled stream, KB",
            Self::Start => "exec to listening, ms",
        })
    }
}

/// The values of one peer in one round.
pub(crate) type Values = Vec<(Metric, f64)>;

/// The CPU time of a peer's process from a moment on.
pub(super) struct CpuUse {
    pid: u32,
    before: Duration,
}

impl CpuUse {
    /// Begins now. Returns `None` if there is no proxy.
    /// # Errors
    /// If the process does not exist.
    pub(super) fn begin(peer: &Peer) -> Result<Option<Self>> {
        peer.pid.map(|pid| Ok(Self { pid, before: cpu_time(pid)? })).transpose()
    }

    /// Returns the CPU time so far, in microseconds.
    /// # Errors
    /// If the process has ended.
    pub(super) fn microseconds(&self) -> Result<f64> {
        Ok(cpu_time(self.pid)?.saturating_sub(self.before).as_secs_f64() * 1e6)
    }
}

/// Returns the median and the 99th percentile of sorted nanoseconds, in units of `unit` nanoseconds.
pub(super) fn quantiles(sorted: &[u64], (p50, p99): (Metric, Metric), unit: f64) -> Values {
    let value = |p| percentile(sorted, p).map(|value| value as f64 / unit);
    [(p50, value(0.5)), (p99, value(0.99))]
        .into_iter()
        .filter_map(|(metric, value)| Some((metric, value?)))
        .collect()
}
