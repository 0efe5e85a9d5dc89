//! A session that loses its prompt cache, in the report of usage.

use relay_tests::{Answer, Call, Upstream};
use serde_json::{Value, json};

use crate::admin::operator;
use crate::day::recorded;
use crate::process::{Process, User};

const SESSION: &str = "5f0c1c8e-6e5e-4a52-b0a5-6c1d2f3e4a5b";

fn body(system: &str) -> String {
    let system = json!([{ "type": "text", "text": system, "cache_control": { "type": "ephemeral" } }]);
    json!({ "model": "claude-opus-5-5", "max_tokens": 9, "system": system,
            "messages": [{ "role": "user", "content": "write a relay" }] })
    .to_string()
}

/// Sends two turns of a session whose prompts differ in their system, and returns the relay and the report of its usage.
async fn lost_turns(user: User) -> (User, Process, Value) {
    let upstream = Upstream::answering(|_| {
        let usage = json!({ "input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 9000 });
        Answer::json(
            200,
            &json!({ "id": "m", "type": "message", "role": "assistant", "model": "claude-opus-5-5", "content": [],
                     "stop_reason": "end_turn", "stop_sequence": null, "usage": usage }),
        )
    })
    .await;
    let user = user.with_variable("CC_RELAY_USAGE__ENABLED", "true");
    let provider =
        json!({ "name": "a", "type": "anthropic", "base_url": upstream.url(), "keys": [{ "key": "k" }] });
    user.write("config.yaml", &json!({ "providers": [provider] }).to_string());
    let (relay, address) = user.serve(&[]);
    for system in ["Today is Monday.", "Today is Tuesday."] {
        let call = Call::messages(body(system)).header("x-claude-code-session-id", SESSION);
        assert_eq!(call.send(address).await.status, 200);
    }
    let report = recorded(&user, &["--by", "session"], 2).await;
    (user, relay, report)
}

fn usage(user: &User, arguments: &[&str]) -> String {
    user.run(&[&["usage", "--by", "session"], arguments].concat()).stdout
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_prompt_cache_is_recorded_and_logged_without_an_admin_listener() {
    let user = User::new().with_variable("CC_RELAY_ADMIN__ENABLED", "false");
    let (_user, mut relay, report) = lost_turns(user).await;
    assert_eq!(report["rows"][0]["last_cache_loss"], "broken: system[0] changed", "{report:#}");
    let line = relay.wait_for("a session stops reading its prompt from the cache: ");
    assert!(line.contains("system[0] changed") && line.contains(SESSION), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_by_session_shows_the_latest_loss_of_a_prompt_cache_and_its_place() {
    let (user, _relay, report) = lost_turns(operator()).await;
    let row = &report["rows"][0];
    assert_eq!((&row["group"], &row["cache_losses"]), (&SESSION.into(), &1.into()), "{report:#}");
    assert_eq!(row["last_cache_loss"], "broken: system[0] changed", "{report:#}");
    assert_eq!(
        (&report["total"]["cache_losses"], &report["total"]["last_cache_loss"]),
        (&1.into(), &Value::Null)
    );
    let table = usage(&user, &[]);
    assert!(table.lines().next().unwrap().contains("lost"), "{table}");
    assert!(table.contains("6c1d2f3e4a5b  lost its cache: broken: system[0] changed\n"), "{table}");
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    assert!(usage(&user, &["--csv"]).contains(",1,broken: system[0] changed\n"));
}
