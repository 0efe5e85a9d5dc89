//! A configuration with a setting whose feature is not compiled in is refused by name, and so is a compressed request.

use http::{HeaderValue, Request};
use http_body_util::{BodyExt, Full};
use relay_config::{Format, Loader};
use relay_server::{BuildError, Relay};
use tower::ServiceExt;

/// Asserts that a provider with `settings`, of which `refused` needs `feature`, can be built only with this feature.
#[track_caller]
fn check(settings: &str, refused: &str, feature: &str, is_compiled_in: bool) {
    let text = format!("providers: [{{ name: cloud, {settings} }}]");
    let config = Loader::new().with_text("c.yaml", Format::Yaml, text).load().expect("a valid file").config;
    match Relay::builder(config).build() {
        Err(error @ BuildError::Feature { .. }) => {
            assert!(!is_compiled_in, "{error}");
            let expected = format!(
                "provider `cloud`: `{refused}` needs the feature `{feature}` of relay-server, which is not compiled in"
            );
            assert_eq!(error.to_string(), expected);
        }
        other => assert!(is_compiled_in, "{settings}: {:?}", other.err()),
    }
}

#[tokio::test]
async fn a_kind_without_its_feature_is_refused_by_name() {
    let azure = "type: azure, azure_resource_name: r, keys: [{ key: k }]";
    check(azure, "type: azure", "azure", cfg!(feature = "azure"));
    let bedrock = "type: bedrock, aws_region: us-east-1";
    check(bedrock, "type: bedrock", "bedrock", cfg!(feature = "bedrock"));
    let vertex = "type: vertex, gcp_region: us-east5, gcp_project_id: p";
    check(vertex, "type: vertex", "vertex", cfg!(feature = "vertex"));
}

#[test]
fn images_by_url_without_their_feature_are_refused_only_if_they_are_enabled() {
    let settings = |fetch_images| format!("type: ollama, fetch_images: {fetch_images}");
    check(&settings(true), "fetch_images: true", "fetch-images", cfg!(feature = "fetch-images"));
    check(&settings(false), "", "", true);
}

#[tokio::test]
async fn a_compressed_request_without_the_feature_is_refused_with_the_encodings() {
    let config = "providers: [{ name: a, type: mock }]";
    let config = Loader::new().with_text("c.yaml", Format::Yaml, config).load().expect("a valid file").config;
    let relay = Relay::builder(config).build().expect("a relay");
    let request = Request::post("/v1/messages").header("content-encoding", "gzip");
    let response = relay.oneshot(request.body(Full::from("no gzip")).expect("a request")).await;
    let response = response.expect("an answer to every request");
    let (status, accepted) = (response.status(), response.headers().get("accept-encoding").cloned());
    let body = response.into_body().collect().await.expect("a whole body").to_bytes();
    let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    let message = body["error"]["message"].as_str().expect("a message");
    if cfg!(feature = "compression") {
        assert_eq!((status.as_u16(), message), (400, "the request body is not valid gzip"));
        return;
    }
    assert_eq!((status.as_u16(), accepted), (415, Some(HeaderValue::from_static("identity"))));
    assert_eq!(body["type"], "error");
    let expected =
        "content-encoding `gzip` is not supported: send the body without one; this relay decodes none";
    assert_eq!(message, expected);
}
