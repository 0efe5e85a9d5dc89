//! The endpoint of Bedrock from the variables and the profile that AWS's own tools read.

use relay_tests::fakes::bedrock::{self, ACCESS_KEY, REGION, SECRET_KEY};
use relay_tests::{Call, Relay, Upstream};
use serde_json::json;

const MODEL: &str = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0";

/// Sends a message through a relay with these variables and returns the path at the upstream.
async fn path_at_upstream(upstream: &Upstream, variables: &[(&str, &str)], api: &str) -> String {
    let config = json!({"providers": [{
        "name": "bedrock", "type": "bedrock", "aws_region": REGION, "bedrock_api": api,
        "aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY, "model_mapping": {"*": MODEL},
    }]});
    let relay = Relay::start_with_env(variables, &config).await;
    let body = json!({"model": "claude-sonnet-4-5", "max_tokens": 8, "messages": []});
    Call::messages(body.to_string()).send(relay.address()).await;
    upstream.only_request().target
}

#[tokio::test]
async fn the_endpoint_of_a_variable_receives_signed_requests() {
    for (variable, api, path) in [
        (
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
            "invoke",
            "/model/eu.anthropic.claude-sonnet-4-5-20250929-v1:0/invoke",
        ),
        ("AWS_ENDPOINT_URL", "invoke", "/model/eu.anthropic.claude-sonnet-4-5-20250929-v1:0/invoke"),
        ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "messages", "/anthropic/v1/messages"),
    ] {
        let signed = bedrock::signed_by(ACCESS_KEY, REGION, "bedrock");
        let upstream = Upstream::builder().require([signed]).answering(bedrock::answer).await;
        let found = path_at_upstream(&upstream, &[(variable, &upstream.url())], api).await;
        assert_eq!(found, path, "{variable}");
    }
}

#[tokio::test]
async fn the_endpoint_of_the_profile_is_used() {
    let upstream = Upstream::answering(bedrock::answer).await;
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config");
    let url = upstream.url();
    let text = format!(
        "[profile w]\nservices = local\n[services local]\nbedrock_runtime =\n  endpoint_url = {url}\n"
    );
    std::fs::write(&file, text).unwrap();
    let variables = [("AWS_CONFIG_FILE", file.to_str().unwrap()), ("AWS_PROFILE", "w")];
    let path = path_at_upstream(&upstream, &variables, "invoke").await;
    assert_eq!(path, format!("/model/{MODEL}/invoke"));
}
