//! Amounts and times that no honest upstream and no right clock produces.

use relay_providers::Usage;
use rusqlite::Connection;

use super::amounts::Amounts;
use super::row::Row;
use super::store::{HOUR_MS, Store};
use super::tests::{DAY, place, report, row, written};
use super::*;

/// The amounts of an answer that reports the largest numbers.
fn largest() -> Amounts {
    let mut usage = Usage::default();
    for count in [
        &mut usage.input_tokens,
        &mut usage.output_tokens,
        &mut usage.cache_read_input_tokens,
        &mut usage.cache_creation_input_tokens,
        &mut usage.ephemeral_5m_input_tokens,
        &mut usage.ephemeral_1h_input_tokens,
        &mut usage.web_search_requests,
    ] {
        *count = Some(u64::MAX);
    }
    let cost = Some(Usd::from_nanos(u64::MAX));
    Amounts { requests: 1, attempts: 1, ..Amounts::of_usage(&usage, cost, cost, false) }
}

#[test]
fn sums_beyond_the_integers_of_the_database_are_reported_and_folded() {
    let (_directory, path) = place();
    let rows: Vec<_> =
        (0..24).map(|hour| Row { amounts: largest(), ..row(DAY + hour * HOUR_MS, "a", "x", 0) }).collect();
    let mut store = written(&path, &rows);
    // As many rows as an hour can have.
    let database = Connection::open(&path).unwrap();
    database
        .execute_batch(
            "UPDATE sums SET cost_nanos = 3999999999999999999, uncached_nanos = 4000000000000000000",
        )
        .unwrap();
    store.write(&rows, "test").unwrap();
    let check = || {
        let found = report(&path, &UsageQuery::default().by(GroupBy::Day));
        assert_eq!(found.total.requests, 48);
        assert_eq!(found.total.cost_usd.map(Usd::as_nanos), Some(9_000_000_000_000_000_000));
        assert_eq!(found.rows.len(), 1);
        let costs = LedgerReader::open(&path).unwrap().costs_by_day(0).unwrap();
        assert_eq!(costs.len(), 1);
    };
    check();
    while retention::step(store.database(), DAY + 30 * 24 * HOUR_MS, 7).unwrap() {}
    check();
    drop(store);
    let mut store = Store::open(&path).unwrap();
    store.write(&rows, "test").unwrap();
    assert_eq!(report(&path, &UsageQuery::default()).total.requests, 72);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_wrong_at_the_start_deletes_nothing() {
    let (_directory, path) = place();
    drop(written(&path, &[row(DAY - 3000 * 24 * HOUR_MS, "a", "x", 1)]));
    let ledger = Ledger::open(LedgerSettings::new(&path)).unwrap();
    ledger.flush();
    ledger.close();
    assert_eq!(report(&path, &UsageQuery::default()).total.requests, 1);
}
