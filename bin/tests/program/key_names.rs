//! The names of keys: the same in every output.

use std::net::SocketAddr;

use relay_tests::fakes::anthropic;
use relay_tests::{Call, Upstream, within_limit};
use serde_json::json;

use crate::admin::operator;

const REQUEST: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[]}"#;

#[tokio::test]
async fn a_key_has_one_name_in_the_log_explain_config_show_status_state_and_metrics() {
    let upstream = Upstream::answering(anthropic::answer).await;
    let user = operator().with_variable("CC_RELAY_LOGGING__FORMAT", "json");
    let provider = json!({"name": "a", "type": "anthropic", "base_url": upstream.url(), "passthrough": false,
                          "keys": [{"key": "sk-ant-api03-one", "name": "team-one"}]});
    user.write("config.yaml", &json!({"providers": [provider]}).to_string());
    user.write("request.json", REQUEST);
    let explained = user.run(&["explain", "request.json"]).stdout;
    let shown = user.run(&["config", "show"]).stdout;

    let (mut relay, address) = user.serve(&[]);
    let line = relay.wait_for("admin on http://");
    let admin: SocketAddr = line.split("http://").nth(1).unwrap().split('"').next().unwrap().parse().unwrap();
    let answer = within_limit("answer", Call::messages(REQUEST).send(address)).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body());
    let metrics = within_limit("metrics", Call::get("/metrics").send(admin)).await.body();
    let state = within_limit("state", Call::get("/admin/v1/state").send(admin)).await.body();
    let [metrics, state] = [metrics, state].map(|body| String::from_utf8(body.to_vec()).unwrap());
    let listen = address.to_string();
    let mut status =
        user.spawn_with(&["status", "--listen", &listen], &[("CC_RELAY_ADMIN__LISTEN", admin.to_string())]);
    assert_eq!(status.exit_code(), Some(0));
    let table = status.seen();
    assert!(table.contains("\na         team-one  ready"), "{table}");
    relay.signal("TERM");
    assert_eq!(relay.exit_code(), Some(0));
    assert!(
        relay.seen().contains(r#""attempts":"a/team-one claude-opus-5-5 200 success"#),
        "{}",
        relay.seen()
    );
    assert!(
        !relay.seen().contains("/metrics") && !relay.seen().contains("/admin/v1/state"),
        "scrapes are logged"
    );
    assert!(explained.contains("team-one"), "{explained}");
    assert!(shown.contains("team-one"), "{shown}");
    assert!(metrics.contains(r#"key="team-one""#), "{metrics}");
    assert!(state.contains(r#""credential":"team-one""#), "{state}");
}
