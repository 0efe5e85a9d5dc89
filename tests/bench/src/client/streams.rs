//! Streams that stay open.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http_body_util::BodyExt;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::check::{Counter, DelayReader};
use super::connection::{Connection, Target};
use crate::{Error, Result};

/// The number of connections that are opened at the same time.
const OPENING: usize = 64;
/// The longest time for all streams to open, or to end. 8000 streams need a few seconds on a calm machine.
const LIMIT: Duration = Duration::from_secs(120);

/// A number of open streams, each on its own connection.
#[derive(Debug)]
pub(crate) struct OpenStreams {
    tasks: JoinSet<Result<Vec<u64>>>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    opened: AtomicU64,
    events: AtomicU64,
    /// True while delays are recorded.
    records: AtomicBool,
    opening: Semaphore,
}

impl OpenStreams {
    /// Opens `count` streams, and waits until each has its head and, with `first_event`, its first event.
    /// # Errors
    /// If a stream fails, or if they are not open in time.
    pub(crate) async fn open(target: &Target, count: usize, first_event: bool) -> Result<Self> {
        let shared = Arc::new(Shared {
            opened: AtomicU64::new(0),
            events: AtomicU64::new(0),
            records: AtomicBool::new(false),
            opening: Semaphore::new(OPENING),
        });
        let mut tasks = JoinSet::new();
        for session in 0..count {
            tasks.spawn(read(target.clone(), session, Arc::clone(&shared), first_event));
        }
        let mut streams = Self { tasks, shared };
        timeout(LIMIT, streams.all_open(count)).await.map_err(|_| "not all streams have opened")??;
        Ok(streams)
    }

    async fn all_open(&mut self, count: usize) -> Result<()> {
        while self.shared.opened.load(Ordering::Relaxed) < count as u64 {
            // A stream that has ended already has failed.
            if let Some(ended) = self.tasks.try_join_next() {
                ended??;
                return Err("a stream ended at once".into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Returns the number of events that have arrived.
    pub(crate) fn events(&self) -> u64 {
        self.shared.events.load(Ordering::Relaxed)
    }

    /// Records the delays of events from now on, or no longer.
    pub(crate) fn record_delays(&self, records: bool) {
        self.shared.records.store(records, Ordering::Relaxed);
    }

    /// Waits for the end of the streams. Returns the recorded delays in nanoseconds, sorted.
    /// # Errors
    /// If a stream has broken off, or has not ended in time.
    pub(crate) async fn end(mut self) -> Result<Vec<u64>> {
        let mut delays = Vec::new();
        let all = async {
            while let Some(one) = self.tasks.join_next().await {
                delays.extend(one??);
            }
            Ok::<_, Error>(())
        };
        timeout(LIMIT, all).await.map_err(|_| "not all streams have ended")??;
        delays.sort_unstable();
        Ok(delays)
    }
}

/// Reads one stream to its end, and returns its recorded delays.
async fn read(target: Target, session: usize, shared: Arc<Shared>, first_event: bool) -> Result<Vec<u64>> {
    let permit = shared.opening.acquire().await?;
    let mut connection = Connection::open(target.address).await?;
    let request = target.request(session)?;
    let mut is_open = !first_event;
    let mut body = if first_event {
        let response = connection.send(request).await?;
        drop(permit);
        response.into_body()
    } else {
        // The head may wait for the first event.
        drop(permit);
        shared.opened.fetch_add(1, Ordering::Relaxed);
        connection.send(request).await?.into_body()
    };
    let (mut counter, mut reader, mut delays) = (Counter::default(), DelayReader::default(), Vec::new());
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        counter.push(&data);
        let records = shared.records.load(Ordering::Relaxed);
        let mut deltas = 0;
        let events = reader.push(&data, |delay| {
            deltas += 1;
            if records {
                delays.push(delay);
            }
        });
        shared.events.fetch_add(events, Ordering::Relaxed);
        if deltas > 0 && !is_open {
            shared.opened.fetch_add(1, Ordering::Relaxed);
            is_open = true;
        }
    }
    counter.finish(0)?;
    Ok(delays)
}
