//! Clients, upstreams and operators that try to make the metrics grow or break.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use relay_admin::metrics::{Metrics, MetricsSettings};
use relay_server::{RecordSubscriber, RequestRecord};
use serde_json::json;

use crate::exposition::{Format, parse};
use crate::served::{Served, config, record, upstream};

/// The number of random names; more by `CC_RELAY_METRICS_NAMES`.
fn names() -> usize {
    std::env::var("CC_RELAY_METRICS_NAMES").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000)
}

fn changed(record: &RequestRecord, change: impl FnOnce(&mut RequestRecord)) -> Arc<RequestRecord> {
    let mut record = record.clone();
    change(&mut record);
    Arc::new(record)
}

#[tokio::test]
async fn random_models_clients_paths_and_methods_add_a_bounded_number_of_series() {
    let (served, record) = record().await;
    let metrics = &served.metrics;
    for number in 0..names() {
        // Models that no upstream has confirmed, then those of an upstream that accepts every name.
        let refused = changed(&record, |record| {
            record.model_requested = Some(format!("invented-{number}").into());
            record.model_served = None;
            record.path = format!("/path/{number}").into();
            record.endpoint = None;
            record.method = Method::from_bytes(format!("M{number}").as_bytes()).expect("a method");
        });
        metrics.finished(&refused);
    }
    let text = served.text(Format::Prometheus);
    assert!(!text.contains("invented-") && !text.contains("/path/"), "{text}");
    let without_names = text.lines().count();
    for number in 0..names() {
        metrics.finished(&changed(&record, |record| {
            record.model_requested = Some(format!("accepted-{number}").into());
            record.client = Some(format!("client-{}", number % 5000).into());
            record.status = Some(StatusCode::from_u16(200 + (number % 700) as u16).expect("a status"));
        }));
    }
    let text = served.text(Format::Prometheus);
    let lines = text.lines().count();
    assert!(lines < without_names + 80_000, "{lines} lines, {without_names} before");
    let families = parse(&text, Format::Prometheus);
    let requests = families.iter().find(|family| family.name == "cc_relay_requests_total").expect("requests");
    assert!(requests.samples.len() < 12_000, "{}", requests.samples.len());
    let total: f64 = requests.samples.iter().map(|sample| sample.value).sum();
    assert_eq!(total, 2.0 * names() as f64, "each request is counted once");
    assert!(served.sum("cc_relay_label_overflows_total", &[]) > 0.0 || names() < 1000);
}

#[tokio::test]
async fn names_with_quotes_newlines_and_other_scripts_are_escaped() {
    let (served, record) = record().await;
    let odd = [
        "a\"b",
        "a\\b",
        "a\nb",
        "a} 1\nevil{x=\"",
        "\u{e4}\u{1f980}\u{202e}",
        "\r",
        "\u{2028}",
        "{}",
        "a # {b=\"c\"} 1",
    ];
    for name in odd {
        served.metrics.finished(&changed(&record, |record| {
            record.model_requested = Some(name.into());
            record.client = Some(name.into());
        }));
    }
    for format in [Format::Prometheus, Format::OpenMetrics] {
        let families = served.families(format);
        for name in odd {
            let of_client = |family: &crate::exposition::Family| {
                family.samples.iter().any(|sample| sample.label("client") == Some(name))
            };
            assert!(families.iter().any(of_client), "{name:?}");
        }
        assert!(!families.iter().any(|family| family.name.contains("evil")));
    }
}

#[tokio::test]
async fn an_id_that_is_too_long_for_an_exemplar_is_left_away() {
    let upstream = upstream().await;
    let served = Served::new(&config(&upstream));
    let id = "x".repeat(128);
    let body = json!({"model": "claude-a", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]});
    let mut request = crate::served::post("/v1/messages", "one", body.to_string());
    request.headers_mut().insert("x-request-id", id.parse().expect("a value"));
    assert_eq!(served.send(request).await, 200);
    let text = served.text(Format::OpenMetrics);
    parse(&text, Format::OpenMetrics);
    assert!(!text.contains(&id), "{text}");
}

#[tokio::test]
async fn an_id_that_is_too_long_beside_a_trace_is_left_away() {
    // The trace and the span take 63 of 128 characters, the name of the id 10.
    for (length, has_id) in [(55, true), (56, false), (128, false)] {
        let upstream = upstream().await;
        let served = Served::with_traces(&config(&upstream));
        let id = "x".repeat(length);
        let body =
            json!({"model": "claude-a", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]});
        let mut request = crate::served::post("/v1/messages", "one", body.to_string());
        request.headers_mut().insert("x-request-id", id.parse().expect("a value"));
        assert_eq!(served.send(request).await, 200);
        let text = served.text(Format::OpenMetrics);
        parse(&text, Format::OpenMetrics);
        assert_eq!((text.contains(&id), text.contains("# {trace_id=\"")), (has_id, true), "{text}");
    }
}

#[tokio::test]
async fn a_scrape_of_ten_thousand_keys_is_valid_and_fast() {
    let upstream = upstream().await;
    let mut config = config(&upstream);
    let keys: Vec<_> = (0..10_000)
        .map(|number| json!({"key": format!("key-{number:05}"), "name": format!("k{number}"), "rpm_limit": 60}))
        .collect();
    config["providers"][0]["keys"] = json!(keys);
    let served = Served::new(&config);
    assert_eq!(served.message("claude-a", "one", false).await, 200);
    let state = served.relay.state();
    let started = Instant::now();
    let (_, text) = served.metrics.encode(&state, None);
    let time = started.elapsed();
    // A debug build on a busy machine; a release build takes about 20 ms.
    assert!(time < Duration::from_secs(5), "{time:?}");
    let families = parse(&text, Format::Prometheus);
    let rejected =
        families.iter().find(|family| family.name == "cc_relay_key_rejected").expect("a gauge per key");
    assert_eq!(rejected.samples.len(), 10_001);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scrapes_under_load_are_valid_and_no_request_is_lost() {
    let (served, record) = record().await;
    let metrics = served.metrics.clone();
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (metrics, record) = (metrics.clone(), Arc::clone(&record));
            std::thread::spawn(move || {
                for number in 0..5_000 {
                    metrics.finished(&changed(&record, |record| {
                        record.client = Some(format!("client-{writer}-{}", number % 50).into());
                    }));
                }
            })
        })
        .collect();
    while writers.iter().any(|writer| !writer.is_finished()) {
        served.families(Format::Prometheus);
        served.families(Format::OpenMetrics);
    }
    for writer in writers {
        writer.join().expect("no writer panics");
    }
    assert_eq!(served.sum("cc_relay_requests_total", &[]), 20_000.0);
    assert_eq!(served.sum("cc_relay_attempts_total", &[]), 20_000.0);
}

#[test]
fn metrics_without_any_request_are_valid() {
    let config = json!({"providers": [{"name": "a", "type": "mock"}]});
    let served = Served::with_metrics(&config, Metrics::new(MetricsSettings::default()), None);
    for format in [Format::Prometheus, Format::OpenMetrics] {
        assert!(served.families(format).len() > 10);
    }
}
