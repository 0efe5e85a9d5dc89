//! An upstream that reports absurd numbers of tokens: the budget of the running relay and the ledger count the same cost.

use std::net::SocketAddr;

use relay_tests::{Answer, Call, Upstream};
use serde_json::{Value, json};

use crate::admin::{admin_address, operator, request};
use crate::day::recorded;

const BODY: &str =
    r#"{"model":"claude-opus-5-5","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#;

fn spent(admin: SocketAddr) -> Value {
    let (status, budgets) = request(admin, "GET", "/admin/v1/budgets");
    assert_eq!(status, "HTTP/1.1 200 OK", "{budgets:#}");
    budgets["data"][0]["spent_usd"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absurd_cost_is_the_same_in_the_budget_before_and_after_a_restart_and_in_the_ledger() {
    let upstream = Upstream::answering(|_| {
        let usage = json!({ "input_tokens": 10, "output_tokens": u64::MAX });
        let message = json!({ "id": "m", "type": "message", "role": "assistant", "model": "claude-opus-5-5",
            "content": [], "stop_reason": "end_turn", "stop_sequence": null, "usage": usage });
        Answer::json(200, &message)
    })
    .await;
    let user = operator().with_variable("CC_RELAY_USAGE__ENABLED", "true");
    let provider =
        json!({ "name": "a", "type": "anthropic", "base_url": upstream.url(), "keys": [{ "key": "k" }] });
    let client =
        json!({ "name": "alice", "key": "secret", "budget_usd": 5_000_000, "budget_period": "month" });
    let config = json!({ "server": { "auth": { "api_keys": [client] } }, "providers": [provider] });
    user.write("config.yaml", &config.to_string());

    let (mut relay, address) = user.serve(&[]);
    let admin = admin_address(&mut relay);
    let response = Call::messages(BODY).header("x-api-key", "secret").send(address).await;
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(spent(admin), 1e6);
    let report = recorded(&user, &[], 1).await;
    assert_eq!(report["total"]["cost_usd"], 1e6, "{report:#}");
    drop(relay);
    let (mut relay, _) = user.serve(&[]);
    assert_eq!(spent(admin_address(&mut relay)), 1e6);
}
