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
    pub(crate) paced_streams: usize,
    pub(crate) memory_streams: usize,
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
            paced_streams: 1000,
            memory_streams: 8000,
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
            paced_streams: 200,
            memory_streams: 500,
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
            paced_streams: 2,
            memory_streams: 4,
            wait: Duration::ZERO,
            starts: 1,
            is_smoke: true,
        }
    }

    /// Reduces the streams to what `files`, the largest number of open files, allows: a proxy has two for each stream.
    pub(crate) fn within_files(self, files: usize) -> Self {
        let most = files.saturating_sub(500) / 2;
        let (paced_streams, memory_streams) = (self.paced_streams.min(most), self.memory_streams.min(most));
        Self { paced_streams, memory_streams, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_files_reduces_the_streams() {
        let scale = Scale::full().within_files(1024);
        assert_eq!((scale.paced_streams, scale.memory_streams), (262, 262));
        assert_eq!(Scale::full().within_files(20_000), Scale::full());
    }
}
