//! The answers about the state and about requests.

use relay_tests::Call;
use serde_json::{Value, json};

use crate::fixture::{Fixture, Settings};

/// Returns the client's ids of the requests on a page.
fn ids(page: &Value) -> Vec<&str> {
    page["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|request| request["client_request_id"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn the_state_has_every_fact_of_the_relay_and_of_the_process() {
    let fixture = Fixture::start().await;
    let state = fixture.json("/admin/v1/state").await;
    let own = serde_json::to_value(fixture.relay.relay().state()).unwrap();
    // Every member that the relay serializes is part of the API.
    fn assert_contains(found: &Value, expected: &Value, path: &str) {
        match (found, expected) {
            (Value::Object(found), Value::Object(expected)) => {
                for (key, value) in expected {
                    let path = format!("{path}.{key}");
                    assert_contains(
                        found.get(key).unwrap_or_else(|| panic!("{path} is missing")),
                        value,
                        &path,
                    );
                }
            }
            (Value::Array(found), Value::Array(expected)) => {
                assert_eq!(found.len(), expected.len(), "{path}");
                found
                    .iter()
                    .zip(expected)
                    .for_each(|(found, expected)| assert_contains(found, expected, path));
            }
            _ => assert_eq!(found, expected, "{path}"),
        }
    }
    assert_contains(&state, &own, "state");
    assert!(state["started_unix_ms"].as_u64() <= state["now_unix_ms"].as_u64());
    assert_eq!((&state["in_flight"], &state["sessions"]), (&json!(0), &json!(0)));
    assert_eq!((&state["ledger"]["dropped"], &state["ledger"]["error"]), (&json!(0), &Value::Null));
    let off = &state["providers"][2];
    assert_eq!(
        (&off["is_enabled"], &off["circuit"], &off["keys"]),
        (&json!(false), &Value::Null, &json!([]))
    );
}

#[tokio::test]
async fn a_request_has_every_attempt_and_is_found_by_each_of_its_ids() {
    let fixture = Fixture::start().await;
    assert_eq!(fixture.message("claude-opus-5-5", "first=500", "mine-1").await, 200);
    let page = fixture.json("/admin/v1/requests").await;
    let request = &page["data"][0];
    assert_eq!(page["next"], Value::Null);
    let results: Vec<_> = request["attempts"].as_array().unwrap().iter().map(|it| &it["result"]).collect();
    assert_eq!(results, ["failed", "success"]);
    assert_eq!((&request["end"], &request["provider"]), (&json!("complete"), &json!("se/c%ond")));
    assert_eq!(request["session"], "session-mine-1");
    assert!(request["own_ms"].is_number() && request["total_ms"].is_number());
    for id in ["id", "client_request_id", "upstream_request_id"] {
        let id = request[id].as_str().unwrap();
        assert_eq!(fixture.json(&format!("/admin/v1/requests/{id}")).await, *request, "{id}");
        assert_eq!(fixture.json(&format!("/admin/v1/requests?q={id}")).await["data"][0], *request, "{id}");
    }
    let unknown = fixture.get("/admin/v1/requests/unknown").await;
    assert_eq!(unknown.status, 404);
    assert!(unknown.json()["error"]["message"].as_str().unwrap().contains("last 1000 requests are kept"));
}

#[tokio::test]
async fn requests_are_filtered_and_paged() {
    let fixture = Fixture::start().await;
    for (index, (model, fault)) in
        [("opus", ""), ("haiku", "first=500"), ("haiku", "first=529, se/c%ond=529"), ("opus", "400")]
            .iter()
            .enumerate()
    {
        fixture.message(model, fault, &format!("r{index}")).await;
    }
    let list = async |query: &str| {
        let page = fixture.json(&format!("/admin/v1/requests?{query}")).await;
        ids(&page).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(list("").await, ["r3", "r2", "r1", "r0"]);
    assert_eq!(list("model=haiku").await, ["r2", "r1"]);
    assert_eq!(list("q=HAI").await, ["r2", "r1"], "a part of a model, in any case");
    assert_eq!(list("provider=se%2Fc%25ond&model=haiku&status=2xx").await, ["r1"]);
    assert_eq!(list("status=400").await, ["r3"]);
    assert_eq!(list("status=5XX").await, ["r2"]);
    assert_eq!(list("end=complete&state=ended&client=&limit=2").await, ["r3", "r2"]);
    assert_eq!(list("session=session-r1").await, ["r1"]);
    assert_eq!(list("session=other").await, [""; 0]);
    assert_eq!(list("state=running").await, [""; 0]);

    let first = fixture.json("/admin/v1/requests?limit=3").await;
    let next = first["next"].as_str().unwrap();
    let second = fixture.json(&format!("/admin/v1/requests?limit=3&before={next}")).await;
    assert_eq!((ids(&first), ids(&second)), (vec!["r3", "r2", "r1"], vec!["r0"]));
    assert_eq!(second["next"], Value::Null);

    for query in [
        "limit=0",
        "limit=1001",
        "limit=x",
        "before=x",
        "status=9",
        "status=xx",
        "end=x",
        "state=x",
        "unknown=1",
    ] {
        let refused = fixture.get(&format!("/admin/v1/requests?{query}")).await;
        assert_eq!(
            (refused.status, &refused.json()["error"]["type"]),
            (400, &json!("invalid_request_error")),
            "{query}"
        );
    }
}

#[tokio::test]
async fn the_oldest_request_makes_room_and_probes_are_not_listed() {
    let fixture = Fixture::with(Settings { capacity: Some(2), ..Settings::default() }).await;
    for id in ["a", "b", "c"] {
        fixture.message("m", "", id).await;
    }
    for probe in ["/healthz", "/readyz", "/"] {
        let request =
            http::Request::get(probe).body(http_body_util::Full::<bytes::Bytes>::default()).unwrap();
        drop(tower::ServiceExt::oneshot(fixture.relay.clone(), request).await);
    }
    assert_eq!(ids(&fixture.json("/admin/v1/requests").await), ["c", "b"]);
    let points = fixture.json("/admin/v1/series?minutes=1").await;
    let sum = |member: &str| -> u64 {
        points["points"].as_array().unwrap().iter().map(|point| point[member].as_u64().unwrap()).sum()
    };
    assert_eq!((points["points"].as_array().unwrap().len(), sum("requests"), sum("errors")), (6, 3, 0));
    assert!(sum("output_tokens") > 0);
}

#[tokio::test]
async fn answers_are_compressed_for_clients_that_accept_it() {
    let fixture = Fixture::start().await;
    let get =
        Call::get("/admin/v1/openapi.json").header("accept-encoding", "gzip").send(fixture.address).await;
    assert_eq!(get.headers.get("content-encoding"), Some("gzip"));
    let plain = fixture.get("/admin/v1/openapi.json").await;
    assert!(plain.headers.get("content-encoding").is_none() && get.body().len() * 3 < plain.body().len());
}

#[tokio::test]
async fn metrics_and_budgets_are_served() {
    let fixture = Fixture::start().await;
    fixture.message("m", "", "a").await;
    let metrics = fixture.get("/metrics").await;
    assert_eq!(metrics.status, 200);
    assert_eq!(metrics.headers.get("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = String::from_utf8(metrics.body().to_vec()).unwrap();
    assert!(text.contains("cc_relay_provider_usable{provider=\"se/c%ond\"} 1\n"), "{text}");
    assert_eq!(fixture.post("/metrics").await.status, 405);
    let budgets = fixture.json("/admin/v1/budgets").await;
    let budget = &budgets["data"][0];
    assert_eq!(
        (&budget["client"], &budget["budget_usd"], &budget["period"]),
        (&json!("laptop"), &json!(5.0), &json!("day"))
    );
}

#[cfg(feature = "ledger")]
#[tokio::test]
async fn the_usage_is_that_of_the_ledger() {
    let fixture = Fixture::start().await;
    fixture.message("m", "", "a").await;
    fixture.message("m", "first=529", "b").await;
    let usage = fixture.json("/admin/v1/usage?since=-1h&by=provider&limit=10&client=laptop").await;
    assert_eq!(
        (&usage["by"], &usage["total"]["requests"], &usage["total"]["attempts"]),
        (&json!("provider"), &json!(2), &json!(3))
    );
    let groups: Vec<_> = usage["rows"].as_array().unwrap().iter().map(|row| &row["group"]).collect();
    assert_eq!(groups.len(), 2, "{usage}");
    assert_eq!(fixture.json("/admin/v1/usage?until=2020-01-01").await["total"]["requests"], 0);
    for query in [
        "since=yesterday",
        "by=x",
        "limit=0",
        "limit=10001",
        "unknown=1",
        "since=1h&until=2h",
        "since=2026-11-26&until=2026-11-26",
    ] {
        assert_eq!(fixture.get(&format!("/admin/v1/usage?{query}")).await.status, 400, "{query}");
    }
    let off = Fixture::with(Settings { without_ledger: true, ..Settings::default() }).await;
    let refused = off.get("/admin/v1/usage").await;
    assert_eq!((refused.status, &refused.json()["error"]["type"]), (503, &json!("overloaded_error")));
    assert_eq!(off.json("/admin/v1/state").await["ledger"]["enabled"], false);
}

#[tokio::test]
async fn the_sessions_have_their_turns() {
    let fixture = Fixture::start().await;
    for _ in 0..2 {
        fixture.message("m", "", "a").await;
    }
    let sessions = fixture.json("/admin/v1/sessions").await;
    let session = &sessions["data"][0];
    assert_eq!(
        (&session["session"], &session["client"], &session["turns"]),
        (&json!("session-a"), &json!("laptop"), &json!(2))
    );
    assert_eq!(session["recent"].as_array().unwrap().len(), 2);
    assert_eq!(fixture.json("/admin/v1/state").await["sessions"], 1);
}
