//! The usage ledger: the tokens and the cost of every request, in a SQLite database.
//!
//! ```text
//! RequestRecord ─▶ queue ─▶ writer thread: rows ▸ prices ▸ batch ──▶ attempts   one row for each attempt
//!                  bounded   every 200 ms, or 500 records       └──▶ sums       by hour and group
//! LedgerReader ◀── another connection, or another process ──────────────┘
//! ```
//! The data path hands over an `Arc` and never waits. A batch is one durable transaction: a process that is killed loses the records
//! of the last 200 ms at most. If the database fails (a full disk, a lock, a damaged file), the ledger warns once, keeps what its
//! queue holds, counts what is dropped, and tries again. The relay goes on.
//!
//! The tokens and the cost of an attempt belong to its provider and its key, also if another attempt answered the request. A request
//! counts once, in the row of its last attempt. Several processes may write to one file. It must not be on a network file system.
//!
//! Rows of single attempts are kept for the retention. Afterwards the sums of each day stay, by provider, key, client and model. No
//! prompt text is stored.

mod amounts;
mod error;
#[cfg(test)]
mod extremes;
#[cfg(test)]
mod failures;
mod location;
mod merge;
mod query;
mod report;
mod retention;
mod row;
mod schema;
mod settings;
mod shared;
mod store;
#[cfg(test)]
mod tests;
mod time;
#[cfg(test)]
mod unknown_prices;
mod wall_clock;
mod writer;

use std::path::Path;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use relay_server::record::{RecordSubscriber, RequestRecord};

pub use relay_routing::Usd;

pub use error::LedgerError;
pub use location::default_path;
pub use query::LedgerReader;
pub use report::{GroupBy, UsageFilters, UsageQuery, UsageReport, UsageRow};
pub use settings::LedgerSettings;
pub use time::{TimeError, parse_time};

use self::shared::Shared;
use self::writer::{Message, Writer};

/// The records that wait for the writer at one time. Further ones are dropped and counted.
const QUEUE: usize = 4096;
/// The longest time that a query waits for the records of requests that have just ended.
const FLUSH_TIME: Duration = Duration::from_secs(1);

/// A ledger that is written. Clones share it.
///
/// ```
/// use relay_admin::ledger::{Ledger, LedgerSettings, UsageQuery};
///
/// let directory = tempfile::tempdir()?;
/// let ledger = Ledger::open(LedgerSettings::new(directory.path().join("usage.db")))?;
/// // `Builder::with_subscriber` takes a clone.
/// let report = ledger.query(&UsageQuery::default())?;
/// assert_eq!((report.total.requests, ledger.dropped()), (0, 0));
/// ledger.close();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Ledger(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    messages: SyncSender<Message>,
    writer: Thread,
    joined: Mutex<Option<JoinHandle<()>>>,
}

impl Ledger {
    /// Starts the thread that opens the file and writes it. A file that cannot be opened is a warning in the log and
    /// [`Ledger::error`]; the thread tries again.
    ///
    /// # Errors
    /// [`LedgerError::Thread`].
    pub fn open(settings: LedgerSettings) -> Result<Self, LedgerError> {
        let (messages, received) = sync_channel(QUEUE);
        let shared = Arc::new(Shared::new(settings));
        let writer = Writer::new(Arc::clone(&shared));
        let thread = thread::Builder::new().name("usage-ledger".to_owned());
        let joined = thread.spawn(move || writer.run(&received)).map_err(LedgerError::Thread)?;
        let writer = joined.thread().clone();
        Ok(Self(Arc::new(Handle { shared, messages, writer, joined: Mutex::new(Some(joined)) })))
    }

    /// The file of the database.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.shared.path()
    }

    /// The number of requests that could not be recorded since the start.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.shared.dropped()
    }

    /// The reason for which the ledger is not written at the moment; `None` if it is.
    #[must_use]
    pub fn error(&self) -> Option<String> {
        self.0.shared.error()
    }

    /// Returns the usage that `query` selects, with every request that has ended before the call. It blocks for as long as the disk
    /// needs: an asynchronous caller uses `tokio::task::spawn_blocking`.
    ///
    /// # Errors
    /// [`LedgerError`], for example if the file could not be created yet.
    pub fn query(&self, query: &UsageQuery) -> Result<UsageReport, LedgerError> {
        self.flush();
        let report = LedgerReader::open(self.path())?.query(query)?;
        Ok(UsageReport { dropped: self.dropped(), ..report })
    }

    /// Waits until the records of requests that have ended are written, for at most a second.
    pub fn flush(&self) {
        let (answer, written) = sync_channel(1);
        if self.0.messages.try_send(Message::Flush(answer)).is_ok() {
            self.0.writer.unpark();
            let _ = written.recv_timeout(FLUSH_TIME);
        }
    }

    /// Writes what has been received and ends the thread. Records of later requests are dropped and counted.
    pub fn close(self) {
        self.0.close();
    }
}

impl Handle {
    fn close(&self) {
        self.shared.set_closing();
        // A full queue wakes the thread as well.
        let _ = self.messages.try_send(Message::Close);
        self.writer.unpark();
        let joined = self.joined.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(joined) = joined {
            let _ = joined.join();
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}

impl RecordSubscriber for Ledger {
    fn finished(&self, record: &Arc<RequestRecord>) {
        match self.0.messages.try_send(Message::Finished(Arc::clone(record))) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.0.shared.add_dropped(1),
        }
    }
}
