//! Answers whose price is unknown, in every view of the cost.

use std::net::SocketAddr;
use std::time::Duration;

use relay_tests::{Answer, Call, Upstream};
use serde_json::{Value, json};

use crate::admin::{admin_address, get, operator, request};
use crate::day::WRITTEN_WITHIN;
use crate::process::{Process, User};

/// A provider that bills 100 input and 50 output tokens for each model, and refuses the model `missing`.
async fn upstream() -> Upstream {
    Upstream::answering(|request| {
        let model = request.json()["model"].as_str().unwrap_or_default().to_owned();
        if model == "missing" {
            let error = json!({ "type": "not_found_error", "message": "no such model" });
            return Answer::json(404, &json!({ "type": "error", "error": error }));
        }
        let usage = json!({ "input_tokens": 100, "output_tokens": 50 });
        Answer::json(
            200,
            &json!({ "id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": [],
                     "stop_reason": "end_turn", "stop_sequence": null, "usage": usage }),
        )
    })
    .await
}

struct Scene {
    user: User,
    _relay: Process,
    address: SocketAddr,
    admin: SocketAddr,
    _upstream: Upstream,
}

impl Scene {
    async fn new() -> Self {
        let upstream = upstream().await;
        let user = operator().with_variable("CC_RELAY_USAGE__ENABLED", "true");
        let provider =
            json!({ "name": "a", "type": "anthropic", "base_url": upstream.url(), "keys": [{ "key": "k" }] });
        user.write("config.yaml", &json!({ "providers": [provider] }).to_string());
        let (mut relay, address) = user.serve(&[]);
        let admin = admin_address(&mut relay);
        Self { user, _relay: relay, address, admin, _upstream: upstream }
    }

    /// Sends a request for `model` in a session of this name.
    async fn send(&self, model: &str) -> u16 {
        let body =
            json!({ "model": model, "max_tokens": 9, "messages": [{ "role": "user", "content": "hi" }] });
        let call =
            Call::messages(body.to_string()).header("x-claude-code-session-id", format!("session-{model}"));
        call.send(self.address).await.status
    }

    fn usage(&self, arguments: &[&str]) -> String {
        let outcome = self.user.run(&[&["usage"], arguments].concat());
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        outcome.stdout
    }

    fn admin(&self, path: &str) -> Value {
        let (status, body) = request(self.admin, "GET", path);
        assert_eq!(status, "HTTP/1.1 200 OK", "{body:#}");
        body
    }

    fn total(&self) -> Value {
        self.admin("/admin/v1/usage")["total"].take()
    }

    /// Waits until the command sees what the API has flushed.
    fn wait_for_file(&self) {
        let started = std::time::Instant::now();
        while self.user.run(&["usage"]).code != Some(0) && started.elapsed() < WRITTEN_WITHIN {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Returns the sum of the points' costs; `None` if no point has one beside those without a request.
fn series(scene: &Scene) -> Vec<Value> {
    let body = scene.admin("/admin/v1/series");
    let points = body["points"].as_array().unwrap().iter();
    points.filter(|point| point["requests"] != 0).cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_price_is_shown_as_unknown_in_every_view() {
    let scene = Scene::new().await;
    scene.wait_for_file();
    assert_eq!(scene.send("in-house-1").await, 200);
    let total = scene.total();
    for name in ["cost_usd", "uncached_usd", "saved_usd"] {
        assert!(total[name].is_null(), "{name}: {total:#}");
    }
    assert_eq!((&total["unpriced_requests"], &total["is_cost_partial"]), (&1.into(), &false.into()));
    let summary = scene.usage(&[]);
    assert!(summary.contains("cost            –\n"), "{summary}");
    assert!(!summary.contains('$'), "{summary}");
    let table = scene.usage(&["--by", "model"]);
    assert!(table.lines().any(|line| line.starts_with("in-house-1 ") && line.ends_with(" –")), "{table}");
    let csv = scene.usage(&["--by", "model", "--csv"]);
    assert!(csv.contains("\nin-house-1,1,1,0,100,50,0,0,0,0,0,,,,0.000000,0,1,false,0,\n"), "{csv}");
    let sessions = scene.admin("/admin/v1/sessions");
    assert!(sessions["data"][0]["cost_usd"].is_null(), "{sessions:#}");
    assert_eq!(sessions["data"][0]["unpriced_requests"], 1);
    let requests = scene.admin("/admin/v1/requests");
    assert!(requests["data"][0]["cost_usd"].is_null(), "{requests:#}");
    assert!(series(&scene).iter().all(|point| point["cost_usd"].is_null()), "{:#?}", series(&scene));
    let (_, metrics) = get(scene.admin, "/metrics");
    assert!(!metrics.contains("cc_relay_cost_usd_total{"), "{metrics}");

    assert_eq!(scene.send("claude-opus-5-5").await, 200);
    assert_eq!(scene.send("missing").await, 404);
    let total = scene.total();
    assert_eq!(total["cost_usd"], 0.0014, "{total:#}");
    assert_eq!((&total["unpriced_requests"], &total["is_cost_partial"]), (&1.into(), &true.into()));
    let table = scene.usage(&["--by", "model"]);
    let ends =
        |start: &str, end: &str| table.lines().any(|line| line.starts_with(start) && line.ends_with(end));
    assert!(ends("claude-opus-5-5 ", " $0.0014") && ends("missing ", " $0.0000"), "{table}");
    assert!(ends("in-house-1 ", " –") && ends("total ", " ≥$0.0014"), "{table}");
    assert!(table.contains("≥ 1 attempt without a known price"), "{table}");
    let requests = scene.admin("/admin/v1/requests");
    assert_eq!(requests["data"][0]["cost_usd"], 0.0, "a failure that is not billed: {requests:#}");
    let (_, metrics) = get(scene.admin, "/metrics");
    assert_eq!(metrics.matches("cc_relay_cost_usd_total{").count(), 1, "{metrics}");
}
