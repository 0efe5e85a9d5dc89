//! Ledgers that cannot be written: damaged, locked and replaced files.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::tests::{DAY, place, relay, report, row, send, written};
use super::*;

/// The longest time until the thread has noticed a failure.
const NOTICED_WITHIN: Duration = Duration::from_secs(10);

#[track_caller]
fn wait_for_error(ledger: &Ledger) -> String {
    let deadline = Instant::now() + NOTICED_WITHIN;
    loop {
        ledger.flush();
        if let Some(error) = ledger.error() {
            return error;
        }
        assert!(Instant::now() < deadline, "the failure was not noticed");
        thread::sleep(Duration::from_millis(5));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_database_is_not_touched_and_does_not_stop_the_relay() {
    let (directory, _) = place();
    let path = directory.path().join("usage.db");
    let text = "This is no database. ".repeat(1000);
    std::fs::write(&path, &text).unwrap();
    let (relay, ledger) = relay(&path);
    send(&relay).await;
    let error = wait_for_error(&ledger);
    assert!(error.contains("usage.db cannot be opened"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    std::fs::remove_file(&path).unwrap();
    ledger.flush();
    assert_eq!(ledger.query(&UsageQuery::default()).unwrap().total.requests, 1);
    assert_eq!((ledger.error(), ledger.dropped()), (None, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_with_damaged_pages_does_not_stop_the_relay() {
    let (_directory, path) = place();
    drop(written(&path, &[row(DAY, "a", "x", 1)]));
    let mut bytes = std::fs::read(&path).unwrap();
    // The first page has the schema, the others have the rows.
    bytes[4096..].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    let (relay, ledger) = relay(&path);
    send(&relay).await;
    let error = wait_for_error(&ledger);
    assert!(error.contains("usage.db cannot be written"), "{error}");
    send(&relay).await;
    assert!(ledger.query(&UsageQuery::default()).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_do_not_wait_for_a_locked_file_and_are_written_after_the_lock() {
    let (_directory, path) = place();
    drop(written(&path, &[]));
    let (relay, ledger) = relay(&path);
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    for _ in 0..3 {
        send(&relay).await;
    }
    // The writer waits for the lock.
    ledger.flush();
    assert_eq!(report(&path, &UsageQuery::default()).total.requests, 0);
    other.execute_batch("COMMIT").unwrap();
    ledger.flush();
    assert_eq!(ledger.query(&UsageQuery::default()).unwrap().total.requests, 3);
    assert_eq!((ledger.error(), ledger.dropped()), (None, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_replaces_the_ledger_keeps_its_rows_and_gets_the_new_ones() {
    let (directory, path) = place();
    let copy = directory.path().join("copy.db");
    drop(written(&copy, &[row(DAY, "a", "x", 7), row(DAY, "b", "x", 7)]));
    let (relay, ledger) = relay(&path);
    send(&relay).await;
    ledger.flush();
    std::fs::rename(&copy, &path).unwrap();
    send(&relay).await;
    let found = ledger.query(&UsageQuery::default()).unwrap();
    assert_eq!(found.total.requests, 3, "two rows of the file, and a request after it was replaced");
    ledger.close();
    let database = Connection::open(&path).unwrap();
    let check: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}
