//! One day of traffic in every view of it: the ledger, the metrics and the admin API have the same totals.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::admin::{admin_address, get, request};
use crate::day::{Day, WRITTEN_WITHIN, call, check_total, nanos, traffic};

/// The cost of all requests of [`traffic`] in nanodollars.
const COST: u64 = 57_220_000;

/// Sums up the samples of a metric that contain each of `labels`.
fn sum(metrics: &str, name: &str, labels: &[&str]) -> f64 {
    let samples = metrics.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('{'));
    let matching = samples.filter(|sample| labels.iter().all(|label| sample.contains(label)));
    matching.map(|sample| sample.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

#[track_caller]
fn check_metrics(metrics: &str) {
    #[track_caller]
    fn check(metrics: &str, name: &str, labels: &[&str], expected: f64) {
        assert_eq!(sum(metrics, name, labels), expected, "{name} {labels:?} in\n{metrics}");
    }
    let cost = |labels: &[&str]| (sum(metrics, "cc_relay_cost_usd_total", labels) * 1e9).round() as u64;
    assert_eq!(cost(&[]), COST, "{metrics}");
    assert_eq!((cost(&["client=\"alice\""]), cost(&["client=\"bob\""])), (43_000_000, 14_220_000));
    assert_eq!((cost(&["provider=\"main\""]), cost(&["provider=\"spare\""])), (51_220_000, 6_000_000));
    for (kind, tokens) in [
        ("kind=\"input\"", 5100.0),
        ("kind=\"output\"", 1121.0),
        ("kind=\"cache_read\"", 10_000.0),
        ("kind=\"cache_write_5m\"", 2000.0),
        ("kind=\"cache_write_1h\"", 300.0),
    ] {
        check(metrics, "cc_relay_tokens_total", &[kind], tokens);
    }
    let of_alice = sum(metrics, "cc_relay_requests_total", &["client=\"alice\""]);
    assert_eq!(of_alice + sum(metrics, "cc_relay_requests_total", &["client=\"bob\""]), 7.0, "{metrics}");
    check(metrics, "cc_relay_attempts_total", &[], 8.0);
    check(metrics, "cc_relay_estimated_answers_total", &[], 3.0);
    check(metrics, "cc_relay_unpriced_answers_total", &[], 0.0);
}

#[track_caller]
fn check_requests(requests: &[Value]) {
    let cost = |value: &Value| value["cost_usd"].as_f64().unwrap_or(0.0);
    let total = requests.iter().map(cost).sum::<f64>();
    assert_eq!((total * 1e9).round() as u64, COST, "{requests:#?}");
    let known = requests.iter().filter(|request| request["client"].is_string());
    assert_eq!(known.count(), 7, "{requests:#?}");
    let attempts = || requests.iter().flat_map(|request| request["attempts"].as_array().unwrap());
    assert_eq!(attempts().count(), 8, "{requests:#?}");
}

fn admin_json(admin: SocketAddr, path: &str) -> Value {
    let (status, body) = request(admin, "GET", path);
    assert_eq!(status, "HTTP/1.1 200 OK", "{body:#}");
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn ledger_metrics_and_admin_api_have_the_same_totals_to_the_cent() {
    let day = Day::new().await.observed();
    let (mut relay, address) = day.user.serve(&[]);
    let admin = admin_address(&mut relay);
    traffic(address).await;
    let from_command = day.total(7).await;
    check_total(&from_command);

    let mut report = admin_json(admin, "/admin/v1/usage");
    assert_eq!(report["dropped"], 0);
    assert_eq!(report["total"].take(), from_command);
    let by_client = admin_json(admin, "/admin/v1/usage?by=client");
    let rows = by_client["rows"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| nanos(&row["cost_usd"])).sum::<u64>(), COST, "{by_client:#}");

    check_requests(admin_json(admin, "/admin/v1/requests").get("data").unwrap().as_array().unwrap());
    let (status, metrics) = get(admin, "/metrics");
    assert_eq!(status, "HTTP/1.1 200 OK");
    check_metrics(&metrics);
    for name in ["cc_relay_usage_dropped_records_total", "cc_relay_log_dropped_lines_total"] {
        assert!(metrics.lines().any(|line| line == format!("{name} 0")), "{name} in\n{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_changes_the_period_and_the_amount_of_a_budget() {
    let day = Day::with_client(", budget_usd: 0.02, budget_period: month").await.observed();
    let (mut relay, address) = day.user.serve(&[]);
    let admin = admin_address(&mut relay);
    let send = || async { call("bob", "whole", false).send(address).await };
    let reload = |before: &str, after: &str| {
        let config = std::fs::read_to_string(day.user.path("config.yaml")).unwrap();
        assert!(config.contains(before), "{config}");
        day.user.write("config.yaml", &config.replace(before, after));
        let (status, answer) = request(admin, "POST", "/admin/v1/reload");
        assert_eq!(status, "HTTP/1.1 200 OK", "{answer:#}");
        let mut budgets = admin_json(admin, "/admin/v1/budgets");
        (budgets["data"][0]["period"].take(), nanos(&budgets["data"][0]["spent_usd"]))
    };
    let refusal = |response: relay_tests::Response| {
        assert_eq!(response.status, 429);
        response.json()["error"]["message"].as_str().unwrap().to_owned()
    };
    assert_eq!([send().await.status, send().await.status], [200, 200]);
    assert!(refusal(send().await).contains("$0.03 of $0.02 for this month; "));
    assert_eq!(reload("budget_period: month", "budget_period: day"), ("day".into(), 28_000_000));
    assert!(refusal(send().await).contains("$0.03 of $0.02 for today; "));
    assert_eq!(reload("budget_period: day", "budget_period: week"), ("week".into(), 28_000_000));
    assert!(refusal(send().await).contains("$0.03 of $0.02 for this week; "));
    assert_eq!(reload("budget_usd: 0.02", "budget_usd: 0.035").1, 28_000_000);
    let warned = send().await;
    let warning = warned.headers.get("x-cc-relay-budget-warning").unwrap();
    assert!(warning.starts_with("80 % of $0.035000 for this week spent; resets at "), "{warning}");
    assert_eq!(warned.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_of_a_reload_counts_the_requests_before_the_start_and_before_the_reload() {
    let day = Day::new().await.observed();
    let send = |address| async move { call("bob", "whole", false).send(address).await };
    let (relay, address) = day.user.serve(&[]);
    assert_eq!(send(address).await.status, 200);
    day.total(1).await;
    drop(relay);

    let (mut relay, address) = day.user.serve(&[]);
    let admin = admin_address(&mut relay);
    assert_eq!(send(address).await.status, 200);
    let config = std::fs::read_to_string(day.user.path("config.yaml")).unwrap();
    day.user.write("config.yaml", &config.replace("key: key-of-bob", "key: key-of-bob, budget_usd: 0.02"));
    let (status, answer) = request(admin, "POST", "/admin/v1/reload");
    assert_eq!(status, "HTTP/1.1 200 OK", "{answer:#}");
    let deadline = Instant::now() + WRITTEN_WITHIN;
    // A thread of its own reads the ledger at the start.
    loop {
        let budgets = admin_json(admin, "/admin/v1/budgets");
        if nanos(&budgets["data"][0]["spent_usd"]) == 28_000_000 {
            break;
        }
        assert!(Instant::now() < deadline, "{budgets:#}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(send(address).await.status, 429);
}
