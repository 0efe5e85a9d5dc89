//! The database file: opening, and writing batches of rows.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, params_from_iter};

use super::error::LedgerError;
use super::row::Row;
use super::schema::{self, AMOUNTS, Found};
use crate::fast_map::FastMap;

/// The time to wait for a lock of another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The columns of `attempts` before the amounts.
const FACTS: [&str; 20] = [
    "unix_ms",
    "request_id",
    "attempt",
    "provider",
    "provider_type",
    "key",
    "client",
    "session",
    "model",
    "model_requested",
    "model_sent",
    "endpoint",
    "state",
    "source",
    "status",
    "result",
    "stop_reason",
    "duration_ms",
    "price_version",
    "cache_verdict",
];
/// The columns of `sums` before the amounts: its primary key.
const KEYS: [&str; 6] = ["hour", "provider", "key", "client", "session", "model"];
/// The milliseconds of an hour.
pub(super) const HOUR_MS: i64 = 3_600_000;

/// The largest amount of a row of `sums`.
const LARGEST_SUM: i64 = 4_000_000_000_000_000_000;

/// A database that is open for writing.
#[derive(Debug)]
pub(super) struct Store {
    database: Connection,
    path: PathBuf,
    file: Option<FileId>,
    /// The write-ahead log of the file.
    log: Option<FileId>,
    insert_attempt: String,
    add_to_sums: String,
}

/// The identity of a file, whatever its name.
type FileId = (u64, u64);

impl Store {
    /// Opens the ledger at `path`, or creates it. The file can be read by its owner only, and so can a directory that is created
    /// for it.
    pub(super) fn open(path: &Path) -> Result<Self, LedgerError> {
        create(path).map_err(|source| LedgerError::Create { path: path.to_owned(), source })?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let error = LedgerError::at(path, "opened");
        let mut database = Connection::open_with_flags(path, flags).map_err(&error)?;
        database.busy_timeout(BUSY_TIMEOUT).map_err(&error)?;
        match schema::find(&database).map_err(&error)? {
            Found::Foreign => return Err(LedgerError::Foreign { path: path.to_owned() }),
            Found::Version(found) if found > schema::VERSION => {
                return Err(LedgerError::NewerSchema {
                    path: path.to_owned(),
                    found,
                    known: schema::VERSION,
                });
            }
            Found::Version(schema::VERSION) => set_up(&database).map_err(&error)?,
            Found::Empty | Found::Version(_) => {
                set_up(&database).and_then(|()| schema::migrate(&mut database)).map_err(&error)?;
            }
        }
        Ok(Self {
            database,
            path: path.to_owned(),
            file: file_id(path),
            log: file_id(&beside(path, "-wal")),
            insert_attempt: insert_attempt(),
            add_to_sums: add_to_sums(),
        })
    }

    /// Returns `true` if the file still has its name. A file that was deleted or replaced would take rows that are never seen.
    pub(super) fn is_current(&self) -> bool {
        file_id(&self.path) == self.file
    }

    /// Closes a file that is not current any more. Its log is not written into the file that has the name now.
    ///
    /// A log that was left in place would be replayed into that file by the next process that opens it, and would damage it. The
    /// log is removed, unless it came with the new file.
    pub(super) fn abandon(self) {
        let Self { database, path, log, .. } = self;
        // If the setting is refused, the log is removed with the file that it belonged to.
        let _ = database.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        drop(database);
        let name = beside(&path, "-wal");
        if log.is_some() && file_id(&name) == log {
            // An error means that another process has removed it.
            let _ = fs::remove_file(name);
            let _ = fs::remove_file(beside(&path, "-shm"));
        }
    }

    /// Writes `rows` in one transaction.
    pub(super) fn write(&mut self, rows: &[Row<'_>], price_version: &str) -> rusqlite::Result<()> {
        let batch = self.database.transaction_with_behavior(TransactionBehavior::Immediate)?;
        add_rows(&batch, rows, price_version, &self.insert_attempt, &self.add_to_sums)?;
        batch.commit()?;
        // The first batch creates it.
        self.log = self.log.or_else(|| file_id(&beside(&self.path, "-wal")));
        Ok(())
    }

    /// The connection, for the steps of the retention.
    pub(super) fn database(&mut self) -> &mut Connection {
        &mut self.database
    }
}

fn add_rows(
    batch: &Transaction<'_>,
    rows: &[Row<'_>],
    price_version: &str,
    insert_attempt: &str,
    add_to_sums: &str,
) -> rusqlite::Result<()> {
    let mut attempts = batch.prepare_cached(insert_attempt)?;
    for row in rows {
        let amounts = row.amounts.values().map(ToSqlOutput::from);
        attempts.execute(params_from_iter(facts(row, price_version).into_iter().chain(amounts)))?;
    }
    let mut sums = batch.prepare_cached(add_to_sums)?;
    for (key, amounts) in sums_of(rows) {
        let amounts = amounts.map(ToSqlOutput::from);
        sums.execute(params_from_iter(key.values().into_iter().chain(amounts)))?;
    }
    Ok(())
}

fn facts<'a>(row: &'a Row<'_>, price_version: &'a str) -> [ToSqlOutput<'a>; FACTS.len()] {
    let version = if row.amounts.uncached_nanos > 0 { price_version } else { "" };
    [
        row.unix_ms.into(),
        text(row.request_id),
        row.attempt.into(),
        text(row.provider),
        text(row.provider_type),
        text(row.key),
        text(row.client),
        text(row.session),
        text(row.model),
        text(row.model_requested),
        text(row.model_sent),
        text(row.endpoint),
        text(row.state.as_str()),
        text(row.source),
        row.status.map_or(ToSqlOutput::Owned(Value::Null), |status| i64::from(status).into()),
        text(row.result),
        text(row.stop_reason),
        row.duration_ms.into(),
        text(version),
        text(&row.cache_verdict),
    ]
}

/// The primary key of `sums`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct SumKey<'a> {
    hour: i64,
    /// The texts of [`KEYS`] after the hour.
    texts: [&'a str; KEYS.len() - 1],
}

impl<'a> SumKey<'a> {
    fn of(row: &Row<'a>) -> Self {
        let texts = [row.provider, row.key, row.client, row.session, row.model];
        Self { hour: row.unix_ms.div_euclid(HOUR_MS), texts }
    }

    fn values(&self) -> [ToSqlOutput<'a>; KEYS.len()] {
        let [provider, key, client, session, model] = self.texts.map(text);
        [self.hour.into(), provider, key, client, session, model]
    }
}

/// Adds up the amounts of rows with the same key: an addition here costs a hundredth of one in the database.
fn sums_of<'a>(rows: &[Row<'a>]) -> FastMap<SumKey<'a>, [i64; AMOUNTS.len()]> {
    let mut sums = FastMap::default();
    for row in rows {
        let sum = sums.entry(SumKey::of(row)).or_insert([0_i64; AMOUNTS.len()]);
        for (sum, amount) in sum.iter_mut().zip(row.amounts.values()) {
            *sum = sum.saturating_add(amount).min(LARGEST_SUM);
        }
    }
    sums
}

fn text(text: &str) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes()))
}

fn insert_attempt() -> String {
    insert("attempts", &FACTS)
}

fn add_to_sums() -> String {
    // An integer that overflows would become a number that is read as no integer.
    let added = AMOUNTS.map(|amount| {
        format!("{amount} = CAST(min({amount} + excluded.{amount}, {LARGEST_SUM}) AS INTEGER)")
    });
    let added = added.join(", ");
    format!("{} ON CONFLICT DO UPDATE SET {added}", insert("sums", &KEYS))
}

fn insert(table: &str, facts: &[&str]) -> String {
    let columns = [facts, &AMOUNTS].concat();
    format!("INSERT INTO {table} ({}) VALUES ({})", columns.join(", "), vec!["?"; columns.len()].join(", "))
}

/// Sets the durability: a batch that was committed survives a crash of the machine, and readers do not wait for the writer.
fn set_up(database: &Connection) -> rusqlite::Result<()> {
    database.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    database.pragma_update(None, "synchronous", "FULL")?;
    database.pragma_update_and_check(None, "journal_size_limit", 16 << 20, |_| Ok(()))
}

/// Creates the file and its directory, unless they exist.
fn create(path: &Path) -> io::Result<()> {
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        private_directory().create(directory)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

fn private_directory() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

/// Returns the file of SQLite's with this suffix.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(unix)]
fn file_id(path: &Path) -> Option<FileId> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

/// A file that is open cannot be deleted on other systems.
#[cfg(not(unix))]
fn file_id(path: &Path) -> Option<FileId> {
    fs::metadata(path).ok().map(|_| (0, 0))
}
