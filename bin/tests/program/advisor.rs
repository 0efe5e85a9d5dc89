//! Answers for which an upstream has called further models: their tokens and costs in the ledger, the admin API and the metrics.

use relay_tests::{Answer, Call, Upstream};
use serde_json::{Value, json};

use crate::admin::{admin_address, get, operator, request};
use crate::day::{nanos, recorded};

const BODY: &str =
    r#"{"model":"claude-opus-5-5","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#;
/// 1,760 input tokens at 4 dollars for a million, 412 read from a cache at 0.2, and 531 output tokens at 20, in nanodollars.
const OPUS: u64 = 1760 * 4000 + 412 * 200 + 531 * 20_000;
/// 823 input tokens at 10 dollars for a million, and 1,612 output tokens at 50.
const FABLE: u64 = 823 * 10_000 + 1612 * 50_000;

/// The example in the documentation of the advisor tool.
fn advised() -> Value {
    json!({ "input_tokens": 412, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0, "output_tokens": 531,
        "iterations": [
            { "type": "message", "input_tokens": 412, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0, "output_tokens": 89 },
            { "type": "advisor_message", "model": "claude-fable-5", "input_tokens": 823, "cache_read_input_tokens": 0,
              "cache_creation_input_tokens": 0, "output_tokens": 1612 },
            { "type": "message", "input_tokens": 1348, "cache_read_input_tokens": 412, "cache_creation_input_tokens": 0, "output_tokens": 442 },
        ] })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tokens_of_an_advisor_are_shown_once_and_billed_at_the_price_of_its_model() {
    let upstream = Upstream::answering(|_| {
        let message = json!({ "id": "m", "type": "message", "role": "assistant", "model": "claude-opus-5-5",
            "content": [], "stop_reason": "end_turn", "stop_sequence": null, "usage": advised() });
        Answer::json(200, &message)
    })
    .await;
    let user = operator().with_variable("CC_RELAY_USAGE__ENABLED", "true");
    let provider =
        json!({ "name": "a", "type": "anthropic", "base_url": upstream.url(), "keys": [{ "key": "k" }] });
    user.write("config.yaml", &json!({ "providers": [provider] }).to_string());
    let (mut relay, address) = user.serve(&[]);
    let admin = admin_address(&mut relay);
    assert_eq!(Call::messages(BODY).send(address).await.status, 200);

    let report = recorded(&user, &["--by", "model"], 1).await;
    let facts = |row: &Value| {
        let count = |name: &str| row[name].as_u64().unwrap();
        (count("requests"), count("input_tokens"), count("output_tokens"), nanos(&row["cost_usd"]))
    };
    assert_eq!(facts(&report["total"]), (1, 2583, 2143, OPUS + FABLE), "{report:#}");
    let row = |model: &str| {
        let rows = report["rows"].as_array().unwrap();
        facts(rows.iter().find(|row| row["group"] == model).unwrap_or_else(|| panic!("{report:#}")))
    };
    assert_eq!(row("claude-opus-5-5"), (1, 1760, 531, OPUS));
    assert_eq!(row("claude-fable-5"), (0, 823, 1612, FABLE));

    let (_, requests) = request(admin, "GET", "/admin/v1/requests");
    let shown = &requests["data"][0];
    assert_eq!(nanos(&shown["cost_usd"]), OPUS + FABLE, "{requests:#}");
    let parts = shown["attempts"][0]["by_model"].as_array().unwrap();
    let of = |part: &Value| (part["model"].clone(), nanos(&part["cost_usd"]));
    assert_eq!(
        parts.iter().map(of).collect::<Vec<_>>(),
        [("claude-opus-5-5".into(), OPUS), ("claude-fable-5".into(), FABLE)]
    );
    let (_, metrics) = get(admin, "/metrics");
    let cost: f64 = metrics
        .lines()
        .filter(|line| line.starts_with("cc_relay_cost_usd_total{"))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum();
    assert_eq!((cost * 1e9).round() as u64, OPUS + FABLE, "{metrics}");
}
