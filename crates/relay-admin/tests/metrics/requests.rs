//! The values of the metrics after known requests.

use relay_admin::metrics::{Metrics, MetricsSettings};
use serde_json::json;

use crate::exposition::Format;
use crate::served::{Served, by_name, config, has, post, serve_some, upstream};

#[tokio::test]
async fn requests_attempts_tokens_and_cost_are_counted_by_their_labels() {
    let upstream = upstream().await;
    let served = Served::new(&config(&upstream));
    serve_some(&served).await;

    let of_one = [("client", "team-one"), ("model", "claude-a"), ("provider", "a"), ("endpoint", "messages")];
    assert_eq!(served.sum("cc_relay_requests_total", &[("status", "200"), ("end", "complete")]), 4.0);
    assert_eq!(served.sum("cc_relay_requests_total", &of_one), 1.0);
    assert_eq!(served.sum("cc_relay_requests_total", &[("end", "broken"), ("status", "200")]), 1.0);
    assert_eq!(served.sum("cc_relay_requests_total", &[("status", "401"), ("client", "none")]), 1.0);
    assert_eq!(served.sum("cc_relay_requests_total", &[("endpoint", "other"), ("provider", "none")]), 1.0);
    assert_eq!(served.sum("cc_relay_requests_total", &[]), 9.0);
    // Neither the model that no upstream has nor the one that always fails becomes a value.
    assert_eq!(served.sum("cc_relay_requests_total", &[("model", "other"), ("status", "404")]), 1.0);
    assert_eq!(served.sum("cc_relay_requests_total", &[("model", "unknown")]), 0.0);

    let tokens = |kind| served.sum("cc_relay_tokens_total", &[("kind", kind), ("model", "claude-a")]);
    assert_eq!(["input", "output", "cache_read"].map(tokens), [20.0, 40.0, 60.0]);
    assert_eq!(["cache_write_5m", "cache_write_1h"].map(tokens), [8.0, 16.0]);
    let cost = served.sum("cc_relay_cost_usd_total", &[("model", "claude-a"), ("client", "team-one")]);
    assert!((cost - 72e-6).abs() < 1e-12, "{cost}");
    assert_eq!(served.sum("cc_relay_web_searches_total", &[("model", "claude-a")]), 4.0);
    assert_eq!(served.sum("cc_relay_unpriced_answers_total", &[("model", "unpriced")]), 1.0);
    let families = served.families(Format::Prometheus);
    let samples = families.iter().flat_map(|family| &family.samples);
    let costs = || samples.clone().filter(|sample| sample.name == "cc_relay_cost_usd_total");
    assert!(costs().count() > 0);
    assert!(!costs().any(|sample| has(sample, &[("model", "unpriced")])), "an unknown cost is no sample");
    assert_eq!(served.sum("cc_relay_estimated_answers_total", &[]), 1.0);

    let successes = served.sum("cc_relay_attempts_total", &[("key", "a-1"), ("result", "success")]);
    assert!(successes >= 4.0, "{successes}");
    assert!(served.sum("cc_relay_attempts_total", &[("provider", "b")]) >= 1.0, "a failover");
    assert_eq!(served.sum("cc_relay_in_flight_requests", &[]), 0.0);
    assert_eq!(served.sum("cc_relay_label_overflows_total", &[]), 0.0);
}

#[tokio::test]
async fn times_are_in_histograms_with_the_ids_of_requests_as_exemplars() {
    let upstream = upstream().await;
    let served = Served::new(&config(&upstream));
    serve_some(&served).await;

    let count = |name: &str, labels: &[(&str, &str)]| served.sum(&format!("cc_relay_{name}_count"), labels);
    assert_eq!(count("request_duration_seconds", &[]), 9.0);
    assert_eq!(
        count("request_duration_seconds", &[("outcome", "success"), ("endpoint", "count_tokens")]),
        1.0
    );
    assert_eq!(count("request_head_seconds", &[]), 9.0);
    assert_eq!(count("first_content_seconds", &[("model", "claude-a")]), 1.0);
    assert!(count("event_gap_seconds", &[]) >= 1.0);
    assert_eq!(count("own_time_seconds", &[]), 9.0);
    assert_eq!(count("answer_input_tokens", &[("model", "claude-a")]), 2.0);
    assert!(served.sum("cc_relay_sent_bytes_total", &[("endpoint", "messages")]) > 100.0);

    let families = served.families(Format::OpenMetrics);
    let families = by_name(&families);
    for name in ["cc_relay_requests", "cc_relay_request_duration_seconds", "cc_relay_first_content_seconds"] {
        let exemplars = families[name].samples.iter().filter_map(|sample| sample.exemplar.as_ref());
        let ids: Vec<_> = exemplars.map(|(labels, _)| labels.clone()).collect();
        assert!(!ids.is_empty(), "{name}");
        for labels in ids {
            assert!(labels.len() == 1 && labels[0].0 == "request_id" && labels[0].1.starts_with("req_"));
        }
    }
}

#[tokio::test]
async fn exemplars_have_the_ids_of_traces_that_are_recorded() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    for (flags, is_recorded) in [("01", true), ("00", false)] {
        let upstream = upstream().await;
        let served = Served::with_traces(&config(&upstream));
        let body = json!({"model": "claude-a", "max_tokens": 1, "messages": [], "stream": true});
        let mut request = post("/v1/messages", "one", body.to_string());
        let parent = format!("00-{TRACE}-00f067aa0ba902b7-{flags}");
        request.headers_mut().insert("traceparent", parent.parse().expect("a value"));
        assert_eq!(served.send(request).await, 200);

        let families = served.families(Format::OpenMetrics);
        let samples = families.iter().flat_map(|family| &family.samples);
        let exemplars: Vec<_> = samples.filter_map(|sample| sample.exemplar.as_ref()).collect();
        assert_eq!(exemplars.len(), 3, "of the count, the duration and the first content");
        for (labels, _) in exemplars {
            let found: Vec<_> = labels.iter().map(|(name, value)| (&**name, &**value)).collect();
            match (&found[..], is_recorded) {
                ([("trace_id", TRACE), ("span_id", span), ("request_id", _)], true) => {
                    let is_hex = span.chars().all(|digit| digit.is_ascii_hexdigit());
                    // The span of the request at the relay, and not that of the client.
                    assert!(span.len() == 16 && is_hex && *span != "00f067aa0ba902b7", "{span}");
                }
                ([("request_id", _)], false) => {}
                _ => panic!("{found:?}"),
            }
        }
        assert!(!served.text(Format::Prometheus).contains(TRACE));
    }
}

#[tokio::test]
async fn gauges_show_limits_cooldowns_and_circuits_at_the_scrape() {
    let upstream = upstream().await;
    let served = Served::new(&config(&upstream));
    let state = [("provider", "a"), ("state", "closed")];
    assert_eq!(served.sum("cc_relay_circuit_state", &state), 1.0);
    assert_eq!(served.sum("cc_relay_circuit_state", &[]), 2.0, "each circuit has one state");
    serve_some(&served).await;
    let requests = [("provider", "a"), ("key", "a-1"), ("limit", "requests")];
    assert_eq!(served.sum("cc_relay_key_limit", &requests), 1000.0);
    assert!(served.sum("cc_relay_key_limit_remaining", &requests) < 1000.0);
    assert!(served.sum("cc_relay_key_limit", &[("limit", "input_tokens")]) >= 1000.0, "a learned limit");

    assert_eq!(served.sum("cc_relay_key_cooldown_seconds", &[]), 0.0);
    assert_eq!(served.message("limited", "one", false).await, 429);
    assert!(served.sum("cc_relay_key_cooldown_seconds", &[("key", "a-1")]) > 20.0);
    assert_eq!(served.sum("cc_relay_provider_info", &[("provider", "b"), ("type", "anthropic")]), 1.0);
    assert_eq!(served.sum("cc_relay_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), 1.0);
}

#[tokio::test]
async fn series_of_removed_providers_and_keys_end_with_a_reload() {
    let upstream = upstream().await;
    let mut config = config(&upstream);
    let first = Served::new(&config);
    serve_some(&first).await;
    assert!(first.sum("cc_relay_attempts_total", &[("key", "b-1")]) >= 1.0);

    config["providers"][1]["keys"] = json!([{"key": "another", "name": "b-2"}]);
    let second = Served::with_metrics(&config, first.metrics.clone(), Some(&first.relay));
    assert_eq!(second.sum("cc_relay_attempts_total", &[("key", "b-1")]), 0.0);
    assert!(second.sum("cc_relay_attempts_total", &[("key", "a-1")]) >= 1.0);
    let before = second.sum("cc_relay_requests_total", &[]);
    assert_eq!(before, 9.0);

    config["providers"].as_array_mut().expect("a list").remove(0);
    let third = Served::with_metrics(&config, first.metrics.clone(), Some(&second.relay));
    let text = third.text(Format::Prometheus);
    assert!(!text.contains("provider=\"a\""), "{text}");
    assert!(third.sum("cc_relay_requests_total", &[("provider", "none")]) >= 1.0);
}

#[tokio::test]
async fn a_program_adds_its_own_counts_and_known_models() {
    let upstream = upstream().await;
    let settings = MetricsSettings::default()
        .with_models(["unknown".to_owned()])
        .with_dropped_log_lines(|| 3)
        .with_dropped_usage_records(|| 4);
    let served = Served::with_metrics(&config(&upstream), Metrics::new(settings), None);
    serve_some(&served).await;
    assert_eq!(served.sum("cc_relay_log_dropped_lines_total", &[]), 3.0);
    assert_eq!(served.sum("cc_relay_usage_dropped_records_total", &[]), 4.0);
    assert_eq!(served.sum("cc_relay_requests_total", &[("model", "unknown"), ("status", "404")]), 1.0);
}

#[tokio::test]
async fn both_formats_have_the_same_values() {
    let upstream = upstream().await;
    let served = Served::new(&config(&upstream));
    serve_some(&served).await;
    let (old, new) = (served.families(Format::Prometheus), served.families(Format::OpenMetrics));
    let samples = |families: &[crate::exposition::Family]| -> Vec<(String, f64)> {
        let samples =
            families.iter().flat_map(|family| &family.samples).filter(|s| !s.name.starts_with("process_"));
        let is_stable = |name: &str| !name.ends_with("_bucket") && !name.contains("remaining");
        let samples = samples.filter(|sample| is_stable(&sample.name));
        let mut all: Vec<_> = samples.map(|s| (format!("{} {:?}", s.name, s.labels), s.value)).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    };
    assert_eq!(samples(&old), samples(&new));
    assert!(new.iter().any(|family| family.unit.as_deref() == Some("seconds")));
    assert!(old.iter().flat_map(|family| &family.samples).any(|sample| has(sample, &[("le", "0.25")])));
}
