//! Profiles of `aws login`, with the session in the cache of the AWS CLI.

use std::path::Path;

use relay_tests::fakes::bedrock::{self, REGION};
use relay_tests::{Answer, Call, RelayProcess, Response, Upstream};
use serde_json::{Value, json};

const MODEL: &str = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0";
const BODY: &str = r#"{"model":"claude-sonnet-4-5","max_tokens":8,"messages":[]}"#;
const PROFILE: &str = "[profile work]\nlogin_session = arn:aws:iam::0123456789012:user/Admin\n";
/// The SHA-256 of the session, which names the file of its token.
///
/// # Source
///
/// `cached_token_path` in `src/login/cache.rs` of aws-config 1.13.
const CACHED: &str = "36db1d138ff460920374e4c3d8e01f53f9f73537e89c88d639f68393df0e2726.json";
/// A key that signs no real request, from the tests of aws-config.
const DPOP_KEY: &str = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIFDZHUzOG1Pzq+6F0mjMlOSp1syN9LRPBuHMoCFXTcXhoAoGCCqGSM49\n\
    AwEHoUQDQgAE9qhj+KtcdHj1kVgwxWWWw++tqoh7H7UHs7oXh8jBbgF47rrYGC+t\ndjiIaHK3dBvvdE7MGj5HsepzLm3Kj91bqA==\n\
    -----END EC PRIVATE KEY-----\n";

/// A token of `aws login`, whose access key is valid until `expires_at`.
fn token(expires_at: &str) -> Value {
    json!({
        "accessToken": {
            "accessKeyId": "ASIACACHED", "secretAccessKey": "secret", "sessionToken": "cached-session",
            "accountId": "012345678901", "expiresAt": expires_at,
        },
        "tokenType": "aws_sigv4", "refreshToken": "refresh", "clientId": "arn:aws:signin:::devtools/same-device",
        "dpopKey": DPOP_KEY,
    })
}

/// Sends a message through a relay with the profile `work` and this token in the home directory.
async fn send(
    home: &Path,
    token: Option<Value>,
    sign_in: &Upstream,
    bedrock: &Upstream,
    way: Way,
) -> Response {
    let cache = home.join(".aws/login/cache");
    std::fs::create_dir_all(&cache).expect("a writable directory");
    std::fs::write(home.join(".aws/config"), PROFILE).expect("a writable directory");
    if let Some(token) = token {
        std::fs::write(cache.join(CACHED), token.to_string()).expect("a writable directory");
    }
    let mut provider = json!({
        "name": "bedrock", "type": "bedrock", "base_url": bedrock.url(), "aws_region": REGION,
        "model_mapping": {"*": MODEL},
    });
    let sign_in = sign_in.url();
    let mut environment = vec![
        ("HOME", home.to_str().expect("UTF-8")),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_ENDPOINT_URL_SIGNIN", &sign_in),
    ];
    match way {
        Way::Setting => provider["aws_profile"] = json!("work"),
        Way::Variable => environment.push(("AWS_PROFILE", "work")),
    }
    let program = env!("CARGO_BIN_EXE_relay-under-test");
    let relay = RelayProcess::start(program, &json!({"providers": [provider]}), &environment).await;
    Call::messages(BODY).send(relay.address()).await
}

/// The way in which the profile is selected.
#[derive(Debug, Clone, Copy)]
enum Way {
    Setting,
    Variable,
}

const WAYS: [Way; 2] = [Way::Setting, Way::Variable];

#[tokio::test]
async fn a_session_in_the_cache_signs_requests() {
    for way in WAYS {
        let home = tempfile::tempdir().expect("a directory");
        let sign_in = Upstream::answering(|_| Answer::json(500, &json!({}))).await;
        let upstream = Upstream::answering(bedrock::answer).await;
        let response = send(home.path(), Some(token("2199-12-25T21:30:00Z")), &sign_in, &upstream, way).await;
        assert_eq!(response.status, 200, "{way:?}: {}", response.text());
        let request = upstream.only_request();
        assert!(request.header("authorization").contains("Credential=ASIACACHED/"), "{way:?}");
        assert_eq!(request.header("x-amz-security-token"), "cached-session", "{way:?}");
        assert!(sign_in.requests().is_empty(), "{way:?}");
    }
}

#[tokio::test]
async fn an_access_key_that_has_expired_is_renewed_with_the_session() {
    let home = tempfile::tempdir().expect("a directory");
    let renewed = json!({
        "accessToken": {"accessKeyId": "ASIARENEWED", "secretAccessKey": "secret", "sessionToken": "renewed-session"},
        "tokenType": "aws_sigv4", "expiresIn": 900, "refreshToken": "next",
    });
    let sign_in = Upstream::answering(move |_| Answer::json(200, &renewed)).await;
    let upstream = Upstream::answering(bedrock::answer).await;
    let response =
        send(home.path(), Some(token("2020-01-01T00:00:00Z")), &sign_in, &upstream, Way::Setting).await;
    assert_eq!(response.status, 200, "{}", response.text());
    assert!(upstream.only_request().header("authorization").contains("Credential=ASIARENEWED/"));
    let renewal = sign_in.only_request();
    assert_eq!(renewal.json()["refreshToken"], "refresh");
    assert!(!renewal.header("dpop").is_empty());
    let file = std::fs::read_to_string(home.path().join(".aws/login/cache").join(CACHED)).expect("a file");
    assert!(file.contains("ASIARENEWED"), "the AWS CLI reads the renewed token from the cache: {file}");
}

#[tokio::test]
async fn a_session_that_is_over_names_the_command_that_starts_another_one() {
    let expired = || Some(token("2020-01-01T00:00:00Z"));
    let refusal = json!({"error": "TOKEN_EXPIRED", "message": "The refresh token has expired."});
    for (way, token) in WAYS.into_iter().flat_map(|way| [(way, expired()), (way, None)]) {
        let home = tempfile::tempdir().expect("a directory");
        let refusal = refusal.clone();
        let sign_in = Upstream::answering(move |_| {
            Answer::json(401, &refusal).with_header("x-amzn-errortype", "AccessDeniedException")
        })
        .await;
        let upstream = Upstream::answering(bedrock::answer).await;
        let response = send(home.path(), token, &sign_in, &upstream, way).await;
        let message = response.json()["error"]["message"].as_str().expect("a message").to_owned();
        let command = match way {
            Way::Setting => "has expired or was never started; run `aws login --profile work`",
            Way::Variable => "has expired or was never started; run `aws login (with --profile",
        };
        assert!(message.contains(command), "{way:?}: {message}");
        assert!(upstream.requests().is_empty());
    }
}
