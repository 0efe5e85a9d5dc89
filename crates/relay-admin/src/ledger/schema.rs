//! The tables of the ledger, and their versions.

use rusqlite::{Connection, TransactionBehavior};

/// The number that marks a database as a ledger: `ccRu` in ASCII.
pub(super) const APPLICATION_ID: i64 = 0x6363_5275;
/// The version of the tables that this program writes.
pub(super) const VERSION: i64 = MIGRATIONS.len() as i64;

/// The statements that lead from each version to the next one, from an empty database on.
///
/// `attempts` has one row for each attempt at an upstream, and one for each request without an attempt. Equal refusals may share
/// a row. `sums` has the same amounts by hour. Rows of days that are older than the retention have the first hour of the day and
/// no session. A text that is unknown is empty.
const MIGRATIONS: [&str; 2] = [FIRST, PRICED_AND_CACHE];

/// The tables of the first version.
pub(super) const FIRST: &str = "
CREATE TABLE attempts (
    id INTEGER PRIMARY KEY,
    unix_ms INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    provider TEXT NOT NULL,
    provider_type TEXT NOT NULL,
    key TEXT NOT NULL,
    client TEXT NOT NULL,
    session TEXT NOT NULL,
    model TEXT NOT NULL,
    model_requested TEXT NOT NULL,
    model_sent TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    state TEXT NOT NULL,
    source TEXT NOT NULL,
    status INTEGER,
    result TEXT NOT NULL,
    stop_reason TEXT NOT NULL,
    duration_ms INTEGER NOT NULL,
    price_version TEXT NOT NULL,
    requests INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL,
    cache_write_5m_tokens INTEGER NOT NULL,
    cache_write_1h_tokens INTEGER NOT NULL,
    web_search_requests INTEGER NOT NULL,
    web_fetch_requests INTEGER NOT NULL,
    cost_nanos INTEGER NOT NULL,
    uncached_nanos INTEGER NOT NULL,
    estimated INTEGER NOT NULL,
    unpriced INTEGER NOT NULL
);
CREATE INDEX attempts_by_time ON attempts (unix_ms);
CREATE TABLE sums (
    hour INTEGER NOT NULL,
    provider TEXT NOT NULL,
    key TEXT NOT NULL,
    client TEXT NOT NULL,
    session TEXT NOT NULL,
    model TEXT NOT NULL,
    requests INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL,
    cache_write_5m_tokens INTEGER NOT NULL,
    cache_write_1h_tokens INTEGER NOT NULL,
    web_search_requests INTEGER NOT NULL,
    web_fetch_requests INTEGER NOT NULL,
    cost_nanos INTEGER NOT NULL,
    uncached_nanos INTEGER NOT NULL,
    estimated INTEGER NOT NULL,
    unpriced INTEGER NOT NULL,
    PRIMARY KEY (hour, provider, key, client, session, model)
) WITHOUT ROWID;
";

/// The attempts with a known price, and the use of the prompt cache. A process with the first version may still write: its rows
/// have the defaults.
const PRICED_AND_CACHE: &str = "
ALTER TABLE attempts ADD COLUMN cache_verdict TEXT NOT NULL DEFAULT '';
ALTER TABLE attempts ADD COLUMN priced INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN cache_losses INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sums ADD COLUMN priced INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sums ADD COLUMN cache_losses INTEGER NOT NULL DEFAULT 0;
UPDATE attempts SET priced = 1 WHERE unpriced = 0 AND source <> 'none';
UPDATE sums SET priced = max(1, attempts - failed) WHERE cost_nanos > 0 OR (unpriced = 0 AND attempts > failed);
";

/// The amounts of a ledger of this version, as the columns of a query. Those that it does not have are derived.
pub(super) fn amounts(version: i64) -> String {
    let derived = |amount: &'static str| match amount {
        "priced" => "(cost_nanos > 0 OR (unpriced = 0 AND attempts > failed)) AS priced",
        "cache_losses" => "0 AS cache_losses",
        amount => amount,
    };
    AMOUNTS.map(|amount| if version < 2 { derived(amount) } else { amount }).join(", ")
}

/// Returns the sums of the amounts, as the columns of a query.
///
/// `sum` of SQLite fails above its largest integer, and a relay would never report its usage again. `total` does not, and is exact
/// for costs up to 9,000,000 dollars.
pub(super) fn sums() -> String {
    AMOUNTS.map(|amount| format!("CAST(min(total({amount}), 9e18) AS INTEGER)")).join(", ")
}

/// The columns with amounts, in both tables.
pub(super) const AMOUNTS: [&str; 16] = [
    "requests",
    "attempts",
    "failed",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "web_search_requests",
    "web_fetch_requests",
    "cost_nanos",
    "uncached_nanos",
    "estimated",
    "unpriced",
    "priced",
    "cache_losses",
];

/// A database, as its header describes it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A database without tables.
    Empty,
    /// A ledger with this version of the tables.
    Version(i64),
    /// A database of another program.
    Foreign,
}

/// Reads the kind of the database.
pub(super) fn find(database: &Connection) -> rusqlite::Result<Found> {
    let application: i64 = database.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if application == APPLICATION_ID {
        return Ok(Found::Version(database.pragma_query_value(None, "user_version", |row| row.get(0))?));
    }
    let tables: i64 = database.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(if tables == 0 && application == 0 { Found::Empty } else { Found::Foreign })
}

/// Brings the tables from version `from` to [`VERSION`], in one transaction. If another process has done so in the meantime,
/// nothing is changed.
pub(super) fn migrate(database: &mut Connection) -> rusqlite::Result<()> {
    let change = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let from = match find(&change)? {
        Found::Version(version) => usize::try_from(version).unwrap_or(0),
        Found::Empty | Found::Foreign => 0,
    };
    for migration in MIGRATIONS.iter().skip(from) {
        change.execute_batch(migration)?;
    }
    change.pragma_update(None, "application_id", APPLICATION_ID)?;
    change.pragma_update(None, "user_version", VERSION)?;
    change.commit()
}
