//! Ledgers on a disk, written by rows and by the records of a relay.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use http::Request;
use http_body_util::{BodyExt, Full};
use relay_config::{Config, PriceRule, ProviderConfig, ProviderKind, TokenPrices};
use relay_server::Relay;
use rusqlite::Connection;
use tempfile::TempDir;
use tower::ServiceExt;

use super::amounts::Amounts;
use super::row::{Row, State};
use super::store::{HOUR_MS, Store};
use super::*;
use crate::prices::{CurrentPrices, PriceTable};

/// 2026-11-26T00:00:00Z.
pub(super) const DAY: i64 = 1_795_651_200_000;

pub(super) fn row<'a>(unix_ms: i64, provider: &'a str, client: &'a str, cost_nanos: i64) -> Row<'a> {
    Row {
        unix_ms,
        request_id: "req_1",
        attempt: 1,
        provider,
        provider_type: "mock",
        key: "k1",
        client,
        session: "s",
        model: "m",
        model_requested: "m",
        model_sent: "m",
        endpoint: "messages",
        state: State::Complete,
        source: "reported",
        status: Some(200),
        result: "success",
        stop_reason: "end_turn",
        duration_ms: 5,
        cache_verdict: String::new(),
        amounts: Amounts {
            requests: 1,
            attempts: 1,
            input: 10,
            cache_read: 30,
            cache_write_5m: 4,
            cache_write_1h: 6,
            cost_nanos,
            priced: 1,
            uncached_nanos: 3_000_000_000,
            ..Amounts::default()
        },
    }
}

pub(super) fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state/usage.db");
    (directory, path)
}

pub(super) fn written(path: &Path, rows: &[Row<'_>]) -> Store {
    let mut store = Store::open(path).unwrap();
    store.write(rows, "test").unwrap();
    store
}

#[track_caller]
pub(super) fn report(path: &Path, query: &UsageQuery) -> UsageReport {
    LedgerReader::open(path).unwrap().query(query).unwrap()
}

fn groups(report: &UsageReport) -> Vec<(Option<&str>, u64)> {
    report.rows.iter().map(|row| (row.group.as_deref(), row.requests)).collect()
}

#[test]
#[cfg(unix)]
fn only_the_owner_can_read_the_file_and_its_directory() {
    use std::os::unix::fs::PermissionsExt;

    let (_directory, path) = place();
    let _store = written(&path, &[row(DAY, "a", "x", 1)]);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    for file in path.parent().unwrap().read_dir().unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
}

#[test]
fn usage_is_grouped_by_every_fact() {
    #[track_caller]
    fn check(path: &Path, by: GroupBy, expected: &[(Option<&str>, u64)]) {
        assert_eq!(groups(&report(path, &UsageQuery::default().by(by))), expected, "{by:?}");
    }
    let (_directory, path) = place();
    let hour = DAY + HOUR_MS;
    let rows =
        [row(DAY, "a", "x", 5), row(hour, "b", "x", 7), row(hour, "b", "", 1), row(DAY - 1, "", "y", 0)];
    let _store = written(&path, &rows);
    check(&path, GroupBy::Provider, &[(Some("b"), 2), (Some("a"), 1), (None, 1)]);
    check(&path, GroupBy::Client, &[(Some("x"), 2), (None, 1), (Some("y"), 1)]);
    check(&path, GroupBy::Key, &[(Some("b/k1"), 2), (Some("a/k1"), 1), (None, 1)]);
    check(&path, GroupBy::Model, &[(Some("m"), 4)]);
    check(&path, GroupBy::Session, &[(Some("s"), 4)]);
    check(&path, GroupBy::Day, &[(Some("2026-11-25"), 1), (Some("2026-11-26"), 3)]);
    let hours =
        [(Some("2026-11-25T23:00Z"), 1), (Some("2026-11-26T00:00Z"), 1), (Some("2026-11-26T01:00Z"), 2)];
    check(&path, GroupBy::Hour, &hours);
    let limited = report(&path, &UsageQuery::default().by(GroupBy::Hour).with_limit(2));
    assert_eq!(
        (groups(&limited), limited.is_truncated, limited.total.requests),
        (hours[1..].to_vec(), true, 4)
    );
}

#[test]
fn a_row_has_the_rate_of_the_cache_and_the_money_it_saved() {
    let (_directory, path) = place();
    let _store = written(&path, &[row(DAY, "a", "x", 1_000_000_000), row(DAY, "a", "x", 1_500_000_000)]);
    let total = report(&path, &UsageQuery::default()).total;
    assert_eq!(total.cache_hit_rate, Some(0.6));
    assert_eq!(
        (total.cost_usd, total.uncached_usd, total.saved_usd),
        (Some(Usd::from_nanos(2_500_000_000)), Some(Usd::from_nanos(6_000_000_000)), Some(3.5))
    );
    let json = serde_json::to_value(&total).unwrap();
    assert_eq!(
        (&json["cost_usd"], &json["saved_usd"], &json["group"]),
        (&2.5.into(), &3.5.into(), &().into())
    );
    let empty = report(&path, &UsageQuery::default().since(DAY + 1)).total;
    assert_eq!((empty.cache_hit_rate, empty.saved_usd, empty.requests), (None, Some(0.0), 0));
}

#[test]
fn the_ends_of_a_span_are_exact_within_an_hour() {
    #[track_caller]
    fn check(path: &Path, since: i64, until: i64, expected: u64) {
        let found = report(
            path,
            &UsageQuery::default().since(DAY.saturating_add(since)).until(DAY.saturating_add(until)),
        )
        .total
        .requests;
        assert_eq!(found, expected, "{since} to {until}");
    }
    const MINUTE: i64 = 60_000;
    let (_directory, path) = place();
    // One row in each minute of three hours.
    let rows: Vec<_> = (0..180).map(|minute| row(DAY + minute * MINUTE, "a", "x", 1)).collect();
    let _store = written(&path, &rows);
    check(&path, 0, 180 * MINUTE, 180);
    check(&path, 0, 60 * MINUTE, 60);
    check(&path, 30 * MINUTE, 150 * MINUTE, 120);
    check(&path, 30 * MINUTE, 120 * MINUTE, 90);
    check(&path, 10 * MINUTE, 20 * MINUTE, 10);
    check(&path, 59 * MINUTE, 61 * MINUTE, 2);
    check(&path, 59 * MINUTE + 1, 61 * MINUTE, 1);
    check(&path, 20 * MINUTE, 10 * MINUTE, 0);
    check(&path, 120 * MINUTE, 0, 0);
    check(&path, i64::MIN, i64::MAX, 180);
    check(&path, i64::MIN, i64::MIN, 0);
}

#[test]
fn names_that_look_like_sql_are_only_names() {
    const NAME: &str = "x'; DROP TABLE sums; --";
    let (_directory, path) = place();
    let _store = written(&path, &[row(DAY, NAME, NAME, 1), row(DAY, "a", "\" OR 1=1", 1)]);
    let mut query = UsageQuery::default().by(GroupBy::Client);
    query.filters.provider = Some(NAME.to_owned());
    query.filters.client = Some(NAME.to_owned());
    assert_eq!(groups(&report(&path, &query)), [(Some(NAME), 1)]);
    query.filters.client = Some("' OR ''='".to_owned());
    assert_eq!(report(&path, &query).total.requests, 0);
}

#[test]
fn two_processes_can_write_to_one_file() {
    let (_directory, path) = place();
    let mut first = Store::open(&path).unwrap();
    let mut second = Store::open(&path).unwrap();
    for _ in 0..20 {
        first.write(&[row(DAY, "a", "x", 1)], "test").unwrap();
        second.write(&[row(DAY, "a", "x", 1)], "test").unwrap();
    }
    assert_eq!(report(&path, &UsageQuery::default()).total.requests, 40);
}

#[test]
fn a_file_of_a_later_version_or_of_another_program_is_not_touched() {
    let (_directory, path) = place();
    drop(written(&path, &[]));
    let database = Connection::open(&path).unwrap();
    database.pragma_update(None, "user_version", 99).unwrap();
    let error = Store::open(&path).unwrap_err();
    assert!(matches!(error, LedgerError::NewerSchema { found: 99, known: 2, .. }), "{error}");
    assert!(matches!(LedgerReader::open(&path), Err(LedgerError::NewerSchema { .. })));

    let foreign = path.with_file_name("foreign.db");
    Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE notes (text TEXT)").unwrap();
    assert!(matches!(Store::open(&foreign), Err(LedgerError::Foreign { .. })));
    assert!(matches!(LedgerReader::open(&foreign), Err(LedgerError::Foreign { .. })));
    let missing = LedgerReader::open(path.with_file_name("missing.db")).unwrap_err();
    assert!(missing.is_missing());
}

#[test]
fn old_attempts_are_deleted_in_steps_and_their_days_keep_their_sums() {
    let (_directory, path) = place();
    let old: Vec<_> = (0..2500).map(|index| row(DAY + index * 60_000, "a", "x", 1)).collect();
    let mut store = written(&path, &old);
    let now = DAY + 24 * HOUR_MS * 12;
    store.write(&[row(now, "a", "x", 1)], "test").unwrap();
    let mut steps = 1;
    while retention::step(store.database(), now, 7).unwrap() {
        steps += 1;
    }
    // Three steps of 1,000 rows or fewer, and one for each of two days.
    assert_eq!(steps, 5);
    let count = |table| store_count(&path, table);
    assert_eq!((count("attempts"), count("sums")), (1, 3));
    let days = report(&path, &UsageQuery::default().by(GroupBy::Day));
    let expected = [(Some("2026-11-26"), 1440), (Some("2026-11-27"), 1060), (Some("2026-12-08"), 1)];
    assert_eq!(groups(&days), expected);
    while retention::step(store.database(), DAY + 24 * HOUR_MS * 1200, 7).unwrap() {}
    assert_eq!(store_count(&path, "sums"), 0);
}

fn store_count(path: &Path, table: &str) -> i64 {
    let database = Connection::open(path).unwrap();
    database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

#[test]
fn equal_refusals_share_a_row() {
    let refused = |client, status| Row {
        state: State::Refused,
        status: Some(status),
        amounts: Amounts { requests: 1, failed: 1, ..Amounts::default() },
        ..row(DAY, "", client, 0)
    };
    let rows =
        [refused("x", 429), row(DAY, "a", "x", 1), refused("x", 429), refused("y", 429), refused("x", 403)];
    let merged = merge::merge_refusals(rows.into_iter());
    let counts: Vec<i64> = merged.iter().map(|row| row.amounts.requests).collect();
    assert_eq!(counts, [2, 1, 1, 1]);
    assert_eq!(merged[0].amounts.failed, 2);
}

#[test]
fn a_report_of_a_hundred_thousand_requests_takes_less_than_a_second() {
    let (_directory, path) = place();
    let mut store = Store::open(&path).unwrap();
    for batch in 0..100 {
        let sessions: Vec<_> =
            (0..1000).map(|index| format!("session-{}", (batch * 1000 + index) / 20)).collect();
        let rows: Vec<_> = (0..1000)
            .zip(&sessions)
            .map(|(index, session)| Row {
                session,
                ..row(DAY + (batch * 1000 + index) * 26_000, "a", "x", 1)
            })
            .collect();
        store.write(&rows, "test").unwrap();
    }
    for by in GroupBy::ALL {
        let start = Instant::now();
        let found = report(&path, &UsageQuery::default().since(DAY + 1).by(by));
        assert_eq!(found.total.requests, 99_999);
        assert!(start.elapsed() < Duration::from_secs(1), "{by:?}: {:?}", start.elapsed());
    }
}

/// A relay with the built-in upstream, whose answers cost something, and its ledger.
pub(super) fn relay(path: &Path) -> (Relay, Ledger) {
    let mut config = Config::new([ProviderConfig::new("local", ProviderKind::Mock)]);
    config.prices = vec![PriceRule::new(TokenPrices::default().with_input(1.0).with_output(2.0))];
    let prices = CurrentPrices::new(PriceTable::new(&config).unwrap());
    let settings = LedgerSettings::new(path).with_prices(prices.clone());
    let ledger = Ledger::open(settings).unwrap();
    let relay = Relay::builder(config)
        .without_proxy()
        .with_pricing(Arc::new(prices))
        .on_finished(ledger.clone())
        .build();
    (relay.unwrap(), ledger)
}

pub(super) async fn send(relay: &Relay) {
    let body =
        r#"{"model":"claude-opus-5-5","max_tokens":64,"messages":[{"role":"user","content":"Hello"}]}"#;
    let request = Request::post("/v1/messages").header("x-claude-code-session-id", "session-1");
    let response = relay.clone().oneshot(request.body(Full::from(body)).unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    response.into_body().collect().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_of_a_relay_is_in_the_ledger_after_its_end() {
    let (_directory, path) = place();
    let (relay, ledger) = relay(&path);
    for _ in 0..3 {
        send(&relay).await;
    }
    let report = ledger.query(&UsageQuery::default().by(GroupBy::Session)).unwrap();
    assert_eq!(groups(&report), [(Some("session-1"), 3)]);
    let total = &report.total;
    let expected = total.input_tokens * 1000 + total.output_tokens * 2000;
    assert_eq!(
        (total.cost_usd.map(Usd::as_nanos), total.failed, total.unpriced_requests),
        (Some(expected), 0, 0)
    );
    assert!(total.output_tokens > 0 && ledger.error().is_none());
    drop(relay);
    ledger.close();
    assert_eq!(self::report(&path, &UsageQuery::default()).total, report.total);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_cannot_be_written_keeps_the_relay_going_and_is_written_later() {
    let (directory, path) = place();
    // A file in the place of the directory.
    std::fs::write(directory.path().join("state"), "").unwrap();
    let (relay, ledger) = relay(&path);
    send(&relay).await;
    assert!(ledger.query(&UsageQuery::default()).is_err());
    assert!(ledger.error().unwrap().contains("cannot be created"), "{:?}", ledger.error());
    std::fs::remove_file(directory.path().join("state")).unwrap();
    // A flush wakes the thread, which tries again.
    ledger.flush();
    assert_eq!(ledger.query(&UsageQuery::default()).unwrap().total.requests, 1);
    assert_eq!((ledger.error(), ledger.dropped()), (None, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_deleted_is_created_again() {
    let (_directory, path) = place();
    let (relay, ledger) = relay(&path);
    send(&relay).await;
    ledger.flush();
    std::fs::remove_file(&path).unwrap();
    send(&relay).await;
    assert_eq!(ledger.query(&UsageQuery::default()).unwrap().total.requests, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_ledger_counts_what_it_drops() {
    let (_directory, path) = place();
    let (relay, ledger) = relay(&path);
    ledger.clone().close();
    send(&relay).await;
    assert_eq!(ledger.dropped(), 1);
}

#[test]
fn two_writers_at_the_same_time_lose_nothing() {
    let (_directory, path) = place();
    drop(written(&path, &[]));
    let writers = ["before", "after"].map(|provider| {
        let path = path.clone();
        std::thread::spawn(move || {
            let mut store = Store::open(&path).unwrap();
            for second in 0..50 {
                store.write(&[row(DAY + second, provider, "x", 1)], "test").unwrap();
            }
        })
    });
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    let found = report(&path, &UsageQuery::default().by(GroupBy::Provider));
    assert_eq!(
        (found.total.requests, found.rows.iter().map(|row| row.requests).collect::<Vec<_>>()),
        (100, vec![50, 50])
    );
}
