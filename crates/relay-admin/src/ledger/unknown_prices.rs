//! Rows whose price is unknown, and ledgers of the version before the count of known prices.

use rusqlite::Connection;

use super::amounts::Amounts;
use super::row::Row;
use super::schema;
use super::store::{HOUR_MS, Store};
use super::tests::{DAY, place, report, row, written};
use super::*;

fn unpriced(provider: &str) -> Row<'_> {
    let amounts =
        Amounts { cost_nanos: 0, uncached_nanos: 0, priced: 0, unpriced: 1, ..row(DAY, "", "", 0).amounts };
    Row { amounts, ..row(DAY, provider, "x", 0) }
}

fn unbilled(provider: &str) -> Row<'_> {
    let amounts = Amounts { requests: 1, attempts: 1, failed: 1, ..Amounts::default() };
    Row { amounts, source: "none", ..row(DAY, provider, "x", 0) }
}

fn free(provider: &str) -> Row<'_> {
    Row {
        amounts: Amounts { uncached_nanos: 0, ..row(DAY, "", "", 0).amounts },
        ..row(DAY, provider, "x", 0)
    }
}

#[track_caller]
fn check(path: &Path, expected: &[(&str, Option<u64>, bool, u64)]) {
    let found = report(path, &UsageQuery::default().by(GroupBy::Provider));
    let mut rows: Vec<_> = found
        .rows
        .iter()
        .map(|row| {
            let cost = row.cost_usd.map(Usd::as_nanos);
            assert_eq!(
                (cost.is_some(), cost.is_some()),
                (row.uncached_usd.is_some(), row.saved_usd.is_some())
            );
            (row.group.as_deref().unwrap(), cost, row.is_cost_partial, row.unpriced_requests)
        })
        .collect();
    rows.sort_unstable();
    assert_eq!(rows, expected);
}

#[test]
fn an_unknown_price_is_no_cost_and_a_known_part_is_at_least_the_cost() {
    let (_directory, path) = place();
    let rows = [
        unpriced("a-unknown"),
        unbilled("a-unknown"),
        unpriced("b-partial"),
        row(DAY, "b-partial", "x", 7),
        unbilled("c-failed"),
        free("d-free"),
        unpriced("e-partly-free"),
        free("e-partly-free"),
    ];
    let _store = written(&path, &rows);
    check(
        &path,
        &[
            ("a-unknown", None, false, 1),
            ("b-partial", Some(7), true, 1),
            ("c-failed", Some(0), false, 0),
            ("d-free", Some(0), false, 0),
            ("e-partly-free", Some(0), true, 1),
        ],
    );
    let total = report(&path, &UsageQuery::default()).total;
    assert_eq!(
        (total.cost_usd, total.is_cost_partial, total.unpriced_requests),
        (Some(Usd::from_nanos(7)), true, 3)
    );
    let json =
        serde_json::to_value(&report(&path, &UsageQuery::default().by(GroupBy::Provider)).rows).unwrap();
    let unknown = json.as_array().unwrap().iter().find(|row| row["group"] == "a-unknown").unwrap();
    assert!(
        ["cost_usd", "uncached_usd", "saved_usd"].iter().all(|name| unknown[name].is_null()),
        "{unknown}"
    );
}

/// A ledger of the first version, with a priced, a failed and an unpriced attempt.
fn first_version(path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let database = Connection::open(path).unwrap();
    database.execute_batch(schema::FIRST).unwrap();
    database.pragma_update(None, "application_id", schema::APPLICATION_ID).unwrap();
    database.pragma_update(None, "user_version", 1).unwrap();
    let hour = DAY / HOUR_MS;
    for (provider, failed, source, cost, unpriced) in [
        ("a-unknown", 0, "reported", 0, 1),
        ("b-priced", 0, "reported", 7, 0),
        ("c-failed", 1, "none", 0, 0),
        ("d-free", 0, "reported", 0, 0),
    ] {
        let amounts = format!("1, 1, {failed}, 10, 0, 0, 0, 0, 0, 0, {cost}, {cost}, 0, {unpriced}");
        database
            .execute_batch(&format!(
                "INSERT INTO attempts VALUES (NULL, {DAY}, 'r', 1, '{provider}', 't', 'k', 'x', 's', 'm', 'm', 'm', 'messages', \
                 'complete', '{source}', 200, 'success', '', 5, '', {amounts}); \
                 INSERT INTO sums VALUES ({hour}, '{provider}', 'k', 'x', 's', 'm', {amounts});"
            ))
            .unwrap();
    }
}

#[test]
fn a_ledger_of_the_first_version_is_read_and_then_migrated_with_its_rows() {
    const EXPECTED: [(&str, Option<u64>, bool, u64); 4] = [
        ("a-unknown", None, false, 1),
        ("b-priced", Some(7), false, 0),
        ("c-failed", Some(0), false, 0),
        ("d-free", Some(0), false, 0),
    ];
    let (_directory, path) = place();
    first_version(&path);
    check(&path, &EXPECTED);
    // An older process that is still running.
    let old = Connection::open(&path).unwrap();
    let mut store = Store::open(&path).unwrap();
    assert_eq!(schema::find(&old).unwrap(), schema::Found::Version(2));
    check(&path, &EXPECTED);
    old.execute_batch(
        "INSERT INTO sums (hour, provider, key, client, session, model, requests, attempts, failed, input_tokens, output_tokens, \
         cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, web_search_requests, web_fetch_requests, cost_nanos, \
         uncached_nanos, estimated, unpriced) VALUES (1, 'e', 'k', 'x', 's', 'm', 1, 1, 0, 1, 1, 0, 0, 0, 0, 0, 5, 5, 0, 0)",
    )
    .unwrap();
    store.write(&[unpriced("b-priced")], "test").unwrap();
    let of_rows = |since| {
        let found = report(&path, &UsageQuery::default().since(since).until(DAY + 1).by(GroupBy::Provider));
        found
            .rows
            .iter()
            .map(|row| (row.group.clone(), row.cost_usd, row.is_cost_partial))
            .collect::<Vec<_>>()
    };
    // The sums of whole hours, and the single rows of a part of an hour.
    assert!(of_rows(DAY).contains(&(Some("b-priced".to_owned()), Some(Usd::from_nanos(7)), true)));
    assert_eq!(report(&path, &UsageQuery::default()).total.requests, 6);
    while retention::step(store.database(), DAY + 30 * 24 * HOUR_MS, 7).unwrap() {}
    assert_eq!(report(&path, &UsageQuery::default()).total.unpriced_requests, 2);
}
