//! The reading side of the ledger.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use relay_routing::Usd;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, Row, params_from_iter};

use super::amounts::Amounts;
use super::error::LedgerError;
use super::report::{GroupBy, UsageQuery, UsageReport, UsageRow};
use super::row::unix_ms;
use super::schema::{self, Found};
use super::store::HOUR_MS;
use super::time::{day_text, hour_text};

/// The time to wait for a writer that changes the tables.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// A ledger that is open for reading. A relay may write to it at the same time.
///
/// ```no_run
/// use relay_admin::ledger::{GroupBy, LedgerReader, UsageQuery};
///
/// let report = LedgerReader::open("/var/lib/cc-relay/usage.db")?.query(&UsageQuery::default().by(GroupBy::Client))?;
/// println!("{:?} for {} requests", report.total.cost_usd, report.total.requests);
/// # Ok::<(), relay_admin::ledger::LedgerError>(())
/// ```
#[derive(Debug)]
pub struct LedgerReader {
    database: Connection,
    path: PathBuf,
    /// The version of its tables, which may be an earlier one: a file that is open for reading is not changed.
    version: i64,
}

impl LedgerReader {
    /// Opens the ledger at `path`. Blocks for as long as the disk needs.
    ///
    /// # Errors
    /// [`LedgerError`]: there is no file, or it is no ledger, or one of a later version.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, LedgerError> {
        let path = path.as_ref();
        let missing = || LedgerError::Missing { path: path.to_owned() };
        if !path.try_exists().unwrap_or(true) {
            return Err(missing());
        }
        let error = LedgerError::at(path, "read");
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let database = Connection::open_with_flags(path, flags).map_err(&error)?;
        database.busy_timeout(BUSY_TIMEOUT).map_err(&error)?;
        let path = path.to_owned();
        match schema::find(&database).map_err(&error)? {
            Found::Version(found) if found > schema::VERSION => {
                Err(LedgerError::NewerSchema { path, found, known: schema::VERSION })
            }
            Found::Version(0) | Found::Empty => Err(missing()),
            Found::Version(version) => Ok(Self { database, path, version }),
            Found::Foreign => Err(LedgerError::Foreign { path }),
        }
    }

    /// Returns the usage that `query` selects, as of one moment. Blocks for as long as the disk needs.
    ///
    /// Spans that end within an hour are exact for as long as single rows are kept. In older times, a day counts in full if its
    /// first hour is in the span.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn query(&self, query: &UsageQuery) -> Result<UsageReport, LedgerError> {
        self.report(query).map_err(LedgerError::at(&self.path, "read"))
    }

    /// Returns the cost of each client on each day from `first_day` on, in days since 1970.
    pub(crate) fn costs_by_day(&self, first_day: i64) -> Result<Vec<(String, i64, Usd)>, LedgerError> {
        let read = || {
            let mut select = self.database.prepare(
                "SELECT client, hour / 24, CAST(min(total(cost_nanos), 9e18) AS INTEGER) FROM sums \
                 WHERE hour >= ?1 AND client <> '' GROUP BY 1, 2",
            )?;
            let rows = select.query_map([first_day.saturating_mul(24)], |row| {
                Ok((row.get(0)?, row.get(1)?, usd(row.get(2)?)))
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(LedgerError::at(&self.path, "read"))
    }

    fn report(&self, query: &UsageQuery) -> rusqlite::Result<UsageReport> {
        // Both selects see the same state.
        let read = self.database.unchecked_transaction()?;
        // A row of the future, from a clock that was set wrong, is not hidden.
        let until = query.until_unix_ms.unwrap_or(i64::MAX);
        let span = Span::new(query.since_unix_ms.unwrap_or(i64::MIN), until);
        let limit = query.limit.unwrap_or(UsageQuery::DEFAULT_LIMIT);
        let select = || Select::new(&span, query, self.version);
        let mut rows = match query.by {
            Some(by) => select().rows(&read, by, limit)?,
            None => Vec::new(),
        };
        let is_truncated = rows.len() > limit;
        rows.truncate(limit);
        if query.by == Some(GroupBy::Session) && self.version >= 2 {
            add_losses(&read, &span, &mut rows)?;
        }
        if query.by.is_some_and(GroupBy::is_time) {
            rows.reverse();
        }
        Ok(UsageReport {
            since_unix_ms: query.since_unix_ms,
            until_unix_ms: query.until_unix_ms.unwrap_or_else(|| unix_ms(SystemTime::now())),
            by: query.by,
            rows,
            is_truncated,
            total: select().total(&read)?,
            dropped: 0,
        })
    }
}

/// A span of time: whole hours, and what is before and after them.
struct Span {
    since: i64,
    until: i64,
    first_hour: i64,
    end_hour: i64,
}

impl Span {
    fn new(since: i64, until: i64) -> Self {
        let until = until.max(since);
        let first_hour = since.div_euclid(HOUR_MS) + i64::from(since.rem_euclid(HOUR_MS) > 0);
        let end_hour = until.div_euclid(HOUR_MS);
        // A span within one hour has no whole one.
        Self { since, until, first_hour, end_hour: end_hour.max(first_hour) }
    }

    /// The bounds of the statement's parameters ?1 to ?6: hours, then the times of single rows.
    fn bounds(&self) -> [i64; 6] {
        let (start, end) = (self.first_hour.saturating_mul(HOUR_MS), self.end_hour.saturating_mul(HOUR_MS));
        let before = self.until.min(start);
        [self.first_hour, self.end_hour, self.since, before, end.max(before), self.until]
    }
}

/// A select over the sums of whole hours and the single rows around them.
struct Select {
    from: String,
    values: Vec<Value>,
}

impl Select {
    fn new(span: &Span, query: &UsageQuery, version: i64) -> Self {
        let columns = format!("provider, key, client, session, model, {}", schema::amounts(version));
        let mut from = format!(
            "FROM (SELECT hour, {columns} FROM sums WHERE hour >= ?1 AND hour < ?2 \
             UNION ALL SELECT unix_ms / {HOUR_MS}, {columns} FROM attempts WHERE unix_ms >= ?3 AND unix_ms < ?4 \
             UNION ALL SELECT unix_ms / {HOUR_MS}, {columns} FROM attempts WHERE unix_ms >= ?5 AND unix_ms < ?6)"
        );
        let mut values: Vec<Value> = span.bounds().into_iter().map(Value::from).collect();
        let filters = &query.filters;
        for (column, wanted) in [
            ("provider", &filters.provider),
            ("model", &filters.model),
            ("key", &filters.key),
            ("client", &filters.client),
            ("session", &filters.session),
        ] {
            if let Some(wanted) = wanted {
                values.push(Value::Text(wanted.clone()));
                let word = if values.len() == 7 { "WHERE" } else { "AND" };
                from += &format!(" {word} {column} = ?{}", values.len());
            }
        }
        Self { from, values }
    }

    /// Returns at most one row more than `limit`.
    fn rows(self, database: &Connection, by: GroupBy, limit: usize) -> rusqlite::Result<Vec<UsageRow>> {
        let group = match by {
            GroupBy::Provider => "provider",
            GroupBy::Model => "model",
            GroupBy::Key => "CASE WHEN provider = '' THEN '' ELSE provider || '/' || key END",
            GroupBy::Client => "client",
            GroupBy::Session => "session",
            GroupBy::Day => "hour / 24",
            GroupBy::Hour => "hour",
        };
        // The latest spans of time, if not all of them fit.
        let order = if by.is_time() { "1 DESC" } else { "sum(cost_nanos) DESC, sum(requests) DESC, 1" };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
        let text = format!(
            "SELECT {group}, {} {} GROUP BY 1 ORDER BY {order} LIMIT {limit}",
            schema::sums(),
            self.from
        );
        let mut select = database.prepare(&text)?;
        let rows = select.query_map(params_from_iter(self.values), |row| {
            Ok(usage_row(label(row, by)?, &Amounts::read(row, 1)?))
        })?;
        rows.collect()
    }

    fn total(self, database: &Connection) -> rusqlite::Result<UsageRow> {
        let text = format!("SELECT {} {}", schema::sums(), self.from);
        database.query_row(&text, params_from_iter(self.values), |row| {
            Ok(usage_row(None, &Amounts::read(row, 0)?))
        })
    }
}

/// Adds the latest loss of the prompt cache to the rows of sessions that have lost it.
fn add_losses(database: &Connection, span: &Span, rows: &mut [UsageRow]) -> rusqlite::Result<()> {
    let lost = rows.iter_mut().filter(|row| row.cache_losses > 0);
    let mut sessions: HashMap<String, &mut UsageRow> =
        lost.filter_map(|row| Some((row.group.clone()?, row))).collect();
    if sessions.is_empty() {
        return Ok(());
    }
    // SQLite takes the bare columns from the row with the maximum.
    let mut select = database.prepare(
        "SELECT session, cache_verdict, max(unix_ms) FROM attempts \
         WHERE unix_ms >= ?1 AND unix_ms < ?2 AND cache_losses > 0 GROUP BY session",
    )?;
    let mut found = select.query([span.since, span.until])?;
    while let Some(row) = found.next()? {
        if let Some(session) = sessions.get_mut(&row.get::<_, String>(0)?) {
            session.last_cache_loss = Some(row.get(1)?);
        }
    }
    Ok(())
}

/// Returns the name of a group.
fn label(row: &Row<'_>, by: GroupBy) -> rusqlite::Result<Option<String>> {
    Ok(match by {
        GroupBy::Day => Some(day_text(row.get(0)?)),
        GroupBy::Hour => Some(hour_text(row.get(0)?)),
        _ => Some(row.get(0)?).filter(|text: &String| !text.is_empty()),
    })
}

fn usage_row(group: Option<String>, amounts: &Amounts) -> UsageRow {
    let written = amounts.cache_write_5m + amounts.cache_write_1h;
    let prompt = amounts.input + amounts.cache_read + written;
    let is_known = amounts.priced > 0 || amounts.unpriced == 0;
    let known = |nanos: i64| is_known.then(|| usd(nanos));
    let (cost, uncached) = (known(amounts.cost_nanos), known(amounts.uncached_nanos));
    UsageRow {
        group,
        requests: amounts.requests.unsigned_abs(),
        attempts: amounts.attempts.unsigned_abs(),
        failed: amounts.failed.unsigned_abs(),
        input_tokens: amounts.input.unsigned_abs(),
        output_tokens: amounts.output.unsigned_abs(),
        cache_read_tokens: amounts.cache_read.unsigned_abs(),
        cache_write_5m_tokens: amounts.cache_write_5m.unsigned_abs(),
        cache_write_1h_tokens: amounts.cache_write_1h.unsigned_abs(),
        web_search_requests: amounts.web_searches.unsigned_abs(),
        web_fetch_requests: amounts.web_fetches.unsigned_abs(),
        cost_usd: cost,
        uncached_usd: uncached,
        saved_usd: cost.zip(uncached).map(|(cost, uncached)| saved(cost, uncached)),
        is_cost_partial: is_known && amounts.unpriced > 0,
        cache_hit_rate: (prompt > 0).then(|| amounts.cache_read as f64 / prompt as f64),
        estimated_requests: amounts.estimated.unsigned_abs(),
        unpriced_requests: amounts.unpriced.unsigned_abs(),
        cache_losses: amounts.cache_losses.unsigned_abs(),
        last_cache_loss: None,
    }
}

/// Returns `uncached` less `cost` in dollars, which may be negative.
fn saved(cost: Usd, uncached: Usd) -> f64 {
    if cost > uncached {
        -cost.saturating_sub(uncached).as_dollars()
    } else {
        uncached.saturating_sub(cost).as_dollars()
    }
}

fn usd(nanos: i64) -> Usd {
    Usd::from_nanos(nanos.max(0).unsigned_abs())
}
