//! The removal of old rows, in steps that a writer can take between two batches.

use rusqlite::{Connection, TransactionBehavior};

use super::schema::{AMOUNTS, sums};
use super::store::HOUR_MS;

/// The rows that one step removes.
const STEP: i64 = 1000;
/// The hours of a day.
const DAY: i64 = 24;
/// The days for which daily sums are kept: three years.
const SUMS_DAYS: i64 = 1096;

/// Takes one step to remove what is older than `days` days at `now_ms`. Returns `true` if there may be more to remove.
///
/// Rows of single attempts are deleted. The sums of their days stay, without hours and sessions, for three years: budgets of a month
/// and comparisons of years need them.
pub(super) fn step(database: &mut Connection, now_ms: i64, days: i64) -> rusqlite::Result<bool> {
    let today = now_ms.div_euclid(HOUR_MS * DAY);
    let first_day = today.saturating_sub(days);
    let deleted = database.execute(
        "DELETE FROM attempts WHERE id IN (SELECT id FROM attempts WHERE unix_ms < ?1 LIMIT ?2)",
        [first_day.saturating_mul(DAY * HOUR_MS), STEP],
    )?;
    if deleted as i64 == STEP {
        return Ok(true);
    }
    if fold_day(database, first_day.saturating_mul(DAY))? {
        return Ok(true);
    }
    let oldest = today.saturating_sub(SUMS_DAYS.max(days)).saturating_mul(DAY);
    database.execute("DELETE FROM sums WHERE hour < ?1", [oldest])?;
    Ok(false)
}

/// Adds up the oldest day before the hour `end` that has hours or sessions. Returns `false` if there is none.
fn fold_day(database: &mut Connection, end: i64) -> rusqlite::Result<bool> {
    let change = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let oldest: Option<i64> = change.query_row(
        "SELECT min(hour) FROM sums WHERE hour < ?1 AND (session <> '' OR hour % 24 <> 0)",
        [end],
        |row| row.get(0),
    )?;
    let Some(oldest) = oldest else { return Ok(false) };
    let day = oldest.div_euclid(DAY) * DAY;
    let columns = AMOUNTS.join(", ");
    let sums = sums();
    change.execute_batch(
        "CREATE TEMP TABLE IF NOT EXISTS folded AS SELECT * FROM sums WHERE 0; DELETE FROM folded;",
    )?;
    change.execute(
        &format!(
            "INSERT INTO folded (hour, provider, key, client, session, model, {columns}) \
             SELECT ?1, provider, key, client, '', model, {sums} FROM sums WHERE hour >= ?1 AND hour < ?1 + 24 \
             GROUP BY provider, key, client, model"
        ),
        [day],
    )?;
    change.execute("DELETE FROM sums WHERE hour >= ?1 AND hour < ?1 + 24", [day])?;
    change.execute("INSERT INTO sums SELECT * FROM folded", [])?;
    change.commit()?;
    Ok(true)
}
