//! The dashboard of a running relay, in Chromium.

use relay_tests::{Answer, Browser, Upstream};
use serde_json::json;

use crate::process::User;

const TOKEN: &str = "the-token-of-the-dashboard";

/// A provider whose key rests after a 429, one that cannot be reached, and one that answers.
fn config(limited: &str, broken: &str) -> String {
    format!(
        "providers:
  - name: limited
    type: anthropic
    base_url: {limited}
    priority: 3
    keys: [{{ name: limited-key, key: key-of-the-limited-provider }}]
  - name: broken
    type: anthropic
    base_url: {broken}
    priority: 2
    keys: [{{ name: broken-key, key: key-of-the-broken-provider }}]
  - name: steady
    type: mock
    priority: 1
prices: [{{ provider: steady, input: 1000, output: 2000 }}]
health: {{ circuit_breaker: {{ failure_threshold: 3, open_duration_ms: 600000 }} }}
admin: {{ listen: '127.0.0.1:0', token: {TOKEN} }}
"
    )
}

fn rate_limited() -> Answer {
    let error = json!({ "type": "rate_limit_error", "message": "too many tokens" });
    Answer::json(429, &json!({ "type": "error", "error": error })).with_header("retry-after", "600")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_shows_and_changes_the_relay() {
    let Some(browser) = Browser::find() else { return };
    let limited = Upstream::builder().allow_chunked().answering(|_| rate_limited()).await;
    let (_unused, broken) = Upstream::refusing();
    let user = User::new()
        .with_variable("CC_RELAY_ADMIN__ENABLED", "true")
        .with_variable("CC_RELAY_USAGE__ENABLED", "true")
        .with_variable("CC_RELAY_USAGE__PATH", "usage.db");
    let ledger = user.path("usage.db");
    user.write("config.yaml", &config(&limited.url(), &format!("http://{broken}")));
    let (mut relay, address) = user.serve(&[]);
    let admin = relay.wait_for("admin on http://");
    let admin = admin.split("admin on ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap();
    let (program, ledger) = (env!("CARGO_BIN_EXE_cc-relay"), ledger.to_str().unwrap());
    browser.run(&["--relay", admin, &format!("http://{address}"), TOKEN, program, ledger]).await;
}
