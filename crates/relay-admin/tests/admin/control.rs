//! The actions of an operator.

use std::sync::{Arc, Mutex};

use relay_admin::api::{Reload, ReloadError, Reloaded};
use relay_server::Reloadable;
use relay_tests::Call;
use serde_json::{Value, json};

use crate::fixture::{Fixture, Settings, config, load};

/// The path of the second provider, whose name is `se/c%ond`.
const SECOND: &str = "/admin/v1/providers/se%2Fc%25ond";
/// The path of the key `team/a%` of the first provider.
const KEY: &str = "/admin/v1/providers/first/keys/team%2Fa%25";

impl Fixture {
    /// Performs an action and returns `changed`.
    async fn act(&self, path: &str) -> bool {
        let response = self.post(path).await;
        assert_eq!(response.status, 200, "{path}: {:?}", response.body());
        response.json()["changed"].as_bool().unwrap()
    }

    async fn provider(&self, index: usize) -> Value {
        self.json("/admin/v1/state").await["providers"][index].clone()
    }

    /// Returns the providers that the last request has tried.
    async fn tried(&self) -> Vec<String> {
        let page = self.json("/admin/v1/requests?limit=1").await;
        let attempts = page["data"][0]["attempts"].as_array().unwrap().clone();
        attempts.iter().map(|attempt| attempt["provider"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test]
async fn a_paused_provider_gets_no_request_until_it_is_resumed() {
    let fixture = Fixture::start().await;
    assert!(fixture.act("/admin/v1/providers/first/pause").await);
    assert!(!fixture.act("/admin/v1/providers/first/pause").await, "it is paused already");
    let first = fixture.provider(0).await;
    assert_eq!(
        (&first["is_paused"], &first["unusable"]),
        (&json!(true), &json!("an operator has paused it"))
    );
    assert_eq!(fixture.listed_providers().await["data"][0]["state"], "paused");
    assert_eq!(fixture.message("m", "", "a").await, 200);
    assert_eq!(fixture.tried().await, ["se/c%ond"]);

    assert!(fixture.act(&format!("{SECOND}/pause")).await);
    assert_eq!(fixture.message("m", "", "b").await, 503);
    let request = &fixture.json("/admin/v1/requests/b").await;
    assert!(request["error"].as_str().unwrap().contains("the operator of the relay has paused"), "{request}");
    assert_eq!(fixture.json("/admin/v1/state").await["is_ready"], false);

    assert!(fixture.act("/admin/v1/providers/first/resume").await);
    assert!(!fixture.act("/admin/v1/providers/first/resume").await);
    assert_eq!(fixture.message("m", "", "c").await, 200);
    assert_eq!(fixture.tried().await, ["first"]);
}

#[tokio::test]
async fn a_drained_key_is_not_used_until_it_is_undrained() {
    let fixture = Fixture::start().await;
    assert!(fixture.act(&format!("{KEY}/drain")).await);
    let first = fixture.provider(0).await;
    assert_eq!(first["keys"][0]["is_drained"], true);
    assert_eq!(first["unusable"], "an operator drains every credential of it");
    assert_eq!(fixture.message("m", "", "a").await, 200);
    assert_eq!(fixture.tried().await, ["se/c%ond"]);
    assert!(fixture.act(&format!("{KEY}/undrain")).await);
    assert_eq!(fixture.message("m", "", "b").await, 200);
    assert_eq!(fixture.tried().await, ["first"]);
}

#[tokio::test]
async fn a_circuit_and_a_rejection_are_reset() {
    let fixture = Fixture::start().await;
    fixture.message("m", "first=529, se/c%ond=refuse", "a").await;
    assert_eq!(fixture.provider(0).await["resting_models"][0]["model"], "m");
    assert_eq!(fixture.provider(1).await["circuit"], "open");
    for path in ["/admin/v1/providers/first", SECOND] {
        assert!(fixture.act(&format!("{path}/circuit/reset")).await);
        assert!(!fixture.act(&format!("{path}/circuit/reset")).await, "there is nothing to reset");
    }
    assert_eq!(fixture.provider(0).await["resting_models"], json!([]));
    assert_eq!(fixture.provider(1).await["circuit"], "closed");

    fixture.message("m", "first=529, se/c%ond=401", "c").await;
    assert_eq!(fixture.provider(1).await["keys"][0]["is_rejected"], true);
    assert!(fixture.act(&format!("{SECOND}/keys/none/cooldown/reset")).await);
    assert!(!fixture.act(&format!("{SECOND}/keys/none/cooldown/reset")).await);
    assert_eq!(fixture.provider(1).await["keys"][0]["is_rejected"], false);
    assert!(fixture.act("/admin/v1/providers/first/circuit/reset").await);
    fixture.message("m", "", "d").await;
    assert_eq!(fixture.tried().await, ["first"]);
}

#[tokio::test]
async fn decisions_survive_a_reload_for_the_names_that_still_exist() {
    let fixture = Fixture::start().await;
    for path in [format!("{SECOND}/pause"), format!("{KEY}/drain")] {
        assert!(fixture.act(&path).await);
    }
    let mut changed = config();
    changed["providers"].as_array_mut().unwrap().push(json!({"name": "new", "type": "mock"}));
    fixture.relay.replace(load(&changed)).unwrap();
    let state = fixture.json("/admin/v1/state").await;
    assert_eq!(state["configuration"]["generation"], 2);
    let of = |index: usize| {
        (&state["providers"][index]["is_paused"], &state["providers"][index]["keys"][0]["is_drained"])
    };
    assert_eq!(of(0), (&json!(false), &json!(true)));
    assert_eq!(of(1), (&json!(true), &json!(false)));
    assert_eq!(of(3), (&json!(false), &json!(false)));
}

#[tokio::test]
async fn unknown_and_disabled_targets_are_refused() {
    let fixture = Fixture::start().await;
    for (path, status) in [
        ("/admin/v1/providers/unknown/pause", 404),
        ("/admin/v1/providers/FIRST/pause", 404),
        ("/admin/v1/providers/se/c%25ond/pause", 404),
        ("/admin/v1/providers/first/keys/unknown/drain", 404),
        ("/admin/v1/providers/off/resume", 409),
        ("/admin/v1/providers/%ff/pause", 400),
        ("/admin/v1/providers//pause", 404),
        ("/admin/v1/reload", 409),
    ] {
        let response = fixture.post(path).await;
        assert_eq!(response.status, status, "{path}: {:?}", response.body());
        assert_eq!(response.json()["type"], "error", "{path}");
    }
}

#[tokio::test]
async fn an_action_takes_no_body_or_an_empty_object() {
    let fixture = Fixture::start().await;
    let pause = || Call::post("/admin/v1/providers/first/pause");
    for (call, status) in [
        (pause(), 200),
        (pause().json("{}"), 200),
        (pause().json(" {\n} "), 200),
        (pause().header("content-type", "application/json; charset=utf-8"), 200),
        (pause().json(r#"{"for":"ever"}"#), 400),
        (pause().json("[]"), 400),
        (pause().json("{"), 400),
        (pause().header("content-type", "text/plain").body("{}"), 415),
        (pause().header("content-type", "application/x-www-form-urlencoded").body("a=b"), 415),
        (pause().json(format!("{{{}}}", " ".repeat(64 * 1024))), 413),
    ] {
        let response = call.send(fixture.address).await;
        assert_eq!(response.status, status, "{call:?}");
    }
}

/// A hook whose first call finds a valid file, and whose second one does not.
struct Hook {
    relay: Reloadable,
    calls: Mutex<usize>,
}

impl Reload for Hook {
    fn reload(&self) -> Result<Reloaded, ReloadError> {
        let mut calls = self.calls.lock().unwrap();
        *calls += 1;
        if *calls > 1 {
            return Err(ReloadError::Invalid { problems: "line 1: nonsense".to_owned() });
        }
        let changes = self.relay.replace(load(&config())).unwrap();
        Ok(Reloaded::new(!changes.added.is_empty(), "nothing has changed"))
    }
}

#[tokio::test]
async fn a_reload_calls_the_hook_and_reports_its_problems() {
    let reload = |relay| Arc::new(Hook { relay, calls: Mutex::default() }) as Arc<dyn Reload>;
    let fixture = Fixture::with(Settings { reload: Some(reload), ..Settings::default() }).await;
    let done = fixture.post("/admin/v1/reload").await;
    let unchanged =
        json!({"changed": false, "message": "nothing has changed", "differences": [], "restart": []});
    assert_eq!(done.json(), unchanged);
    assert_eq!(fixture.json("/admin/v1/state").await["configuration"]["generation"], 1);
    let failed = fixture.post("/admin/v1/reload").await;
    assert_eq!(failed.status, 422);
    assert!(failed.json()["error"]["message"].as_str().unwrap().ends_with("line 1: nonsense"));
}
