//! The thread that writes the ledger.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use relay_messages::ErrorChain;
use relay_server::record::RequestRecord;

use super::error::LedgerError;
use super::merge::merge_refusals;
use super::retention;
use super::row::{rows, unix_ms};
use super::shared::Shared;
use super::store::Store;
use super::wall_clock::WallClock;

/// The time for which records are collected before they are written.
const BATCH_TIME: Duration = Duration::from_millis(200);
/// The most records in one transaction.
const BATCH_RECORDS: usize = 500;
/// The time between two searches for rows to remove.
const RETENTION_INTERVAL: Duration = Duration::from_secs(600);
/// The time from the start to the first search: a clock that is wrong at the start of a machine is corrected by then, and the jump
/// is noticed.
const RETENTION_DELAY: Duration = Duration::from_secs(300);
/// The shortest and the longest time between two tries after a failure.
const RETRY: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(60)];
/// The shortest time between two warnings about records that were dropped.
const DROPPED_INTERVAL: Duration = Duration::from_secs(60);

/// A message to the thread.
#[derive(Debug)]
pub(super) enum Message {
    /// A request has ended.
    Finished(Arc<RequestRecord>),
    /// Write what has been received, and answer.
    Flush(SyncSender<()>),
    /// Write what has been received, and end.
    Close,
}

/// The state of the thread.
pub(super) struct Writer {
    shared: Arc<Shared>,
    store: Option<Store>,
    batch: Vec<Arc<RequestRecord>>,
    /// True if the last batch was full, so that further records wait already.
    is_behind: bool,
    flushes: Vec<SyncSender<()>>,
    is_closing: bool,
    retry_after: Duration,
    retention_at: Instant,
    clock: WallClock,
    dropped: (u64, Instant),
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let now = Instant::now();
        Self {
            shared,
            store: None,
            batch: Vec::new(),
            is_behind: false,
            flushes: Vec::new(),
            is_closing: false,
            retry_after: RETRY[0],
            retention_at: now + RETENTION_DELAY,
            clock: WallClock::new(),
            dropped: (0, now),
        }
    }

    /// Writes batches until a message or the end of all senders closes the ledger.
    pub(super) fn run(mut self, messages: &Receiver<Message>) {
        // The file is there before the first request, and a failure is known at the start.
        self.write();
        while !self.is_closing {
            self.collect(messages);
            self.write();
            self.warn_of_dropped();
            self.remove_old_rows();
        }
        self.collect_rest(messages);
    }

    /// Waits for a record, then collects those of the next [`BATCH_TIME`]. The senders do not wake the thread within it. After a full
    /// batch it collects at once: a pause after each of them would limit the ledger to 2500 requests/s.
    fn collect(&mut self, messages: &Receiver<Message>) {
        let until_retention = self.retention_at.saturating_duration_since(Instant::now());
        match messages.recv_timeout(until_retention) {
            Ok(message) => self.take(message),
            Err(RecvTimeoutError::Timeout) => return,
            Err(RecvTimeoutError::Disconnected) => self.is_closing = true,
        }
        if self.flushes.is_empty() && !self.is_closing && !self.is_behind {
            // A flush or a close unparks the thread.
            thread::park_timeout(BATCH_TIME);
        }
        while self.batch.len() < BATCH_RECORDS
            && let Ok(message) = messages.try_recv()
        {
            self.take(message);
        }
        self.is_behind = self.batch.len() == BATCH_RECORDS;
        self.is_closing |= self.shared.is_closing();
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Finished(record) => self.batch.push(record),
            Message::Flush(answer) => self.flushes.push(answer),
            Message::Close => self.is_closing = true,
        }
    }

    /// Writes everything that is still in the queue, unless the database fails.
    fn collect_rest(&mut self, messages: &Receiver<Message>) {
        while let Ok(message) = messages.try_recv() {
            self.take(message);
            if self.batch.len() >= BATCH_RECORDS {
                self.write();
            }
        }
        self.write();
    }

    /// Writes the batch. If the database fails, it waits and tries again, while the queue fills up. A closing ledger tries once.
    fn write(&mut self) {
        while let Err(error) = self.try_write() {
            self.store = None;
            self.shared.set_error(&error);
            self.flushes.clear();
            if self.is_closing {
                self.shared.add_dropped(self.batch.len());
                self.batch.clear();
                return;
            }
            thread::park_timeout(self.retry_after);
            self.is_closing = self.shared.is_closing();
            self.retry_after = (self.retry_after * 2).min(RETRY[1]);
        }
        self.retry_after = RETRY[0];
        self.shared.clear_error();
        for flush in self.flushes.drain(..) {
            // The caller may have stopped waiting.
            let _ = flush.try_send(());
        }
    }

    fn try_write(&mut self) -> Result<(), LedgerError> {
        let path = self.shared.path();
        if self.store.as_ref().is_some_and(|store| !store.is_current()) {
            self.store.take().into_iter().for_each(Store::abandon);
        }
        let store = match self.store.take() {
            Some(store) => self.store.insert(store),
            None => self.store.insert(Store::open(path)?),
        };
        if self.batch.is_empty() {
            return Ok(());
        }
        let prices = self.shared.prices();
        let rows = self.batch.iter().flat_map(|record| {
            let (mut rows, last) = rows(record, prices.as_deref());
            if let (Some(row), Some((verdict, place))) = (rows.get_mut(last), self.shared.verdict(record)) {
                row.set_verdict(verdict, place.as_deref());
            }
            rows
        });
        let version = prices.as_ref().map(|prices| prices.version()).unwrap_or_default();
        store.write(&merge_refusals(rows), &version).map_err(LedgerError::at(path, "written"))?;
        self.batch.clear();
        Ok(())
    }

    /// Takes one step to remove old rows, if it is time. Other steps follow between the next batches.
    fn remove_old_rows(&mut self) {
        let (Some(days), Some(store)) = (self.shared.retention_days(), &mut self.store) else {
            self.retention_at = Instant::now() + RETENTION_INTERVAL;
            return;
        };
        if Instant::now() < self.retention_at {
            return;
        }
        let has_more = self.clock.is_steady()
            && retention::step(store.database(), unix_ms(SystemTime::now()), days).unwrap_or_else(|error| {
                tracing::warn!(error = %ErrorChain(&error), "old rows of the usage ledger could not be removed");
                false
            });
        self.retention_at = Instant::now() + if has_more { BATCH_TIME } else { RETENTION_INTERVAL };
    }

    fn warn_of_dropped(&mut self) {
        let (dropped, (known, at)) = (self.shared.dropped(), self.dropped);
        if dropped > known && at <= Instant::now() {
            let count = dropped - known;
            tracing::warn!(
                count,
                "requests are missing in the usage ledger, since they ended faster than it can write"
            );
            self.dropped = (dropped, Instant::now() + DROPPED_INTERVAL);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::super::tests::place;
    use super::*;
    use crate::backlog::tests::record;
    use crate::ledger::LedgerSettings;

    #[tokio::test]
    async fn a_full_batch_is_followed_by_the_next_one_without_a_pause() {
        let ((_directory, path), record) = (place(), record().await);
        let (messages, received) = sync_channel(2 * BATCH_RECORDS);
        (0..2 * BATCH_RECORDS - 1)
            .for_each(|_| messages.send(Message::Finished(Arc::clone(&record))).unwrap());
        let mut writer = Writer::new(Arc::new(Shared::new(LedgerSettings::new(path))));
        for (count, pauses, limit) in
            [(BATCH_RECORDS, true, BATCH_TIME), (BATCH_RECORDS - 1, false, 10 * BATCH_TIME)]
        {
            // A pause takes the token, and ends at once.
            thread::current().unpark();
            writer.collect(&received);
            assert_eq!(writer.batch.len(), count);
            writer.batch.clear();
            let start = Instant::now();
            thread::park_timeout(limit);
            assert_eq!(start.elapsed() >= limit, pauses, "of the batch of {count}");
        }
    }
}
