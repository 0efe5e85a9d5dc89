//! The length of a run.

use std::time::Duration;

/// The numbers that differ between a full, a quick and a smoke run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scale {
    pub(crate) rounds: usize,
    /// Time of one measurement of a closed loop.
    pub(crate) closed: Duration,
    /// Time of one measurement with open streams.
    pub(crate) open: Duration,
    /// Rounds of the loads with open streams.
    pub(crate) open_rounds: usize,
    /// Rounds of the loads that need a new process of the proxy each time.
    pub(crate) new_process_rounds: usize,
    pub(crate) paced_streams: usize,
    /// The largest number of streams for the comparison of HTTP/1.1 with HTTP/2.
    pub(crate) protocol_streams: usize,
    pub(crate) memory_streams: usize,
    /// Slow streams over few connections to the upstream.
    pub(crate) many_streams: usize,
    /// Streams whose clients stop reading.
    pub(crate) stalled_streams: usize,
    /// Time between the end of the streams and the measurement of the memory that is left.
    pub(crate) wait: Duration,
    pub(crate) starts: usize,
    /// True if each load gets a handful of requests only.
    pub(crate) is_smoke: bool,
}

impl Scale {
    /// Returns the numbers of a full run: less than 10 minutes.
    pub(crate) fn full() -> Self {
        Self {
            rounds: 5,
            closed: Duration::from_millis(600),
            open: Duration::from_millis(2500),
            open_rounds: 3,
            new_process_rounds: 2,
            paced_streams: 1000,
            protocol_streams: 2000,
            memory_streams: 8000,
            many_streams: 10_000,
            stalled_streams: 100,
            wait: Duration::from_secs(10),
            starts: 10,
            is_smoke: false,
        }
    }

    /// Returns the numbers of a quick run: less than 2 minutes.
    pub(crate) fn quick() -> Self {
        Self {
            rounds: 3,
            closed: Duration::from_millis(200),
            open: Duration::from_millis(800),
            open_rounds: 2,
            new_process_rounds: 2,
            paced_streams: 200,
            protocol_streams: 2000,
            memory_streams: 500,
            many_streams: 1000,
            stalled_streams: 20,
            wait: Duration::from_secs(10),
            starts: 5,
            is_smoke: false,
        }
    }

    /// Returns the numbers of a smoke run: some seconds, for the test that every load works.
    pub(crate) fn smoke() -> Self {
        Self {
            rounds: 1,
            closed: Duration::from_millis(5),
            open: Duration::from_millis(100),
            open_rounds: 1,
            new_process_rounds: 1,
            paced_streams: 2,
            protocol_streams: 4,
            memory_streams: 4,
            many_streams: 4,
            stalled_streams: 2,
            wait: Duration::ZERO,
            starts: 1,
            is_smoke: true,
        }
    }

    /// Reduces the streams to what `files`, the largest number of open files, allows: a proxy has two for each stream,
    /// or one if streams share connections to the upstream. cc-relay uses at most three quarters of them for clients.
    pub(crate) fn within_files(self, files: usize) -> Self {
        let most = files.saturating_sub(500) / 2;
        Self {
            paced_streams: self.paced_streams.min(most),
            protocol_streams: self.protocol_streams.min(most),
            memory_streams: self.memory_streams.min(most),
            many_streams: self.many_streams.min(files / 4 * 3),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_files_reduces_the_streams() {
        let scale = Scale::full().within_files(1024);
        assert_eq!((scale.paced_streams, scale.memory_streams, scale.many_streams), (262, 262, 768));
        assert_eq!(Scale::full().within_files(20_000), Scale::full());
    }
}
