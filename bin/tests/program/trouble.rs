//! `status` and `explain` about providers that fail, and the client that `explain` assumes.

use relay_tests::fakes::anthropic;
use relay_tests::{Call, Upstream};
use serde_json::Value;

use crate::process::User;

const REQUEST: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[]}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_rejects_its_key_is_named_with_the_reason_and_exits_1() {
    let rejecting =
        Upstream::answering(|_| anthropic::error_with(401, "authentication_error", "invalid x-api-key"))
            .await;
    let providers = format!(
        "providers: [{{ name: gateway, type: zai, base_url: '{}', keys: [{{ key: expired }}] }}]\n",
        rejecting.url()
    );
    let user = User::new();
    user.write("config.yaml", &providers);
    user.write("request.json", REQUEST);
    let (_relay, address) = user.serve(&[]);
    let url = address.to_string();
    assert_eq!(user.run(&["status", "--url", &url]).code, Some(0));
    assert_eq!(Call::messages(REQUEST).send(address).await.status, 502);

    let outcome = user.run(&["status", "--url", &url]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stdout.contains(": no usable provider\n"), "{outcome:?}");
    let reason = "gateway: not usable: it has rejected every credential of the relay\n";
    let failure = "gateway: the last attempt failed: answered 401 (";
    assert!(outcome.stdout.contains(reason) && outcome.stdout.contains(failure), "{outcome:?}");

    // `explain` finds the running relay at the address of the configuration.
    user.write("config.yaml", &format!("server: {{ listen: '{url}' }}\n{providers}"));
    let outcome = user.run(&["explain", "request.json"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(
        outcome.stdout.contains(&format!("in the relay that runs at http://{url}:\n  {reason}")),
        "{outcome:?}"
    );
    let outcome = user.run(&["explain", "--json", "request.json"]);
    let explanation: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(explanation["running"]["providers"][0]["name"], "gateway");
    assert!(explanation["running"]["providers"][0]["unusable"].is_string(), "{explanation}");
}

#[test]
fn explain_assumes_the_client_that_the_configuration_suggests_and_says_so() {
    #[track_caller]
    fn check(config: &str, assumed: &str, remark: &str) {
        // No relay runs at this address.
        let listen = "server: { listen: '127.0.0.1:1'";
        let user = User::new();
        user.write("config.yaml", &format!("{listen}{config}"));
        user.write("request.json", REQUEST);
        let outcome = user.run(&["explain", "request.json"]);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert!(outcome.stdout.contains(remark), "{outcome:?}");
        assert_eq!(outcome.stdout.contains("--client names another one"), !remark.is_empty(), "{outcome:?}");
        let outcome = user.run(&["explain", "--json", "request.json"]);
        let explanation: Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert_eq!(
            (&explanation["client"], &explanation["client_is_assumed"]),
            (&assumed.into(), &true.into())
        );
    }
    let anthropic = "providers: [{ name: a, type: anthropic }]\n";
    let zai = "providers: [{ name: z, type: zai, keys: [{ key: k }] }]\n";
    let own = "assumed: a client with its own Claude subscription, as the configuration suggests";
    let with_key = "assumed: a client with a key of the relay and no credential for Anthropic, as the configuration suggests";
    check(&format!(" }}\n{anthropic}"), "subscription", own);
    check(&format!(", auth: {{ allow_subscription: true }} }}\n{anthropic}"), "subscription", own);
    check(&format!(", auth: {{ api_key: k }} }}\n{zai}"), "nothing", with_key);
    check(&format!(" }}\n{zai}"), "nothing", "");
}
