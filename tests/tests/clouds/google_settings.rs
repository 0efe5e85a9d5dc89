//! The quota project and the universe domain of Google, from variables and from the credentials file.

use relay_tests::fakes::{google, vertex};
use relay_tests::{Call, Relay, Request, Upstream};
use serde_json::{Value, json};

const TOKEN: &str = "ya29.token-of-google";
const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[]}"#;

async fn token_server() -> Upstream {
    Upstream::answering(|request| google::answer(request, TOKEN, 3600)).await
}

/// Sends a message with these credentials and variables, and returns the request that Vertex AI received.
async fn sent(credentials: &Value, variables: &[(&str, &str)]) -> Request {
    let upstream = Upstream::builder().require(vertex::rules()).answering(vertex::answer).await;
    let file = google::credentials_file(credentials);
    let provider = json!({
        "name": "vertex", "type": "vertex", "base_url": upstream.url(), "gcp_project_id": "my-project",
        "gcp_region": "eu", "credentials_file": file.path(),
    });
    let relay = Relay::start_with_env(variables, &json!({"providers": [provider]})).await;
    assert_eq!(Call::messages(BODY).send(relay.address()).await.status, 200);
    upstream.only_request()
}

#[tokio::test]
async fn the_quota_project_of_file_or_variable_is_sent() {
    let tokens = token_server().await;
    let (account, user) = (google::service_account(&tokens.url()), google::authorized_user(&tokens.url()));
    let mut account_with_quota = account.clone();
    account_with_quota["quota_project_id"] = json!("of-the-account");
    let variable = [("GOOGLE_CLOUD_QUOTA_PROJECT", "of-the-variable")];
    for (credentials, variables, expected) in [
        (&account, &[][..], None),
        (&account, &variable, Some("of-the-variable")),
        (&account_with_quota, &[], Some("of-the-account")),
        (&user, &[], Some("quota-project")),
        (&user, &variable, Some("of-the-variable")),
    ] {
        let request = sent(credentials, variables).await;
        assert_eq!(request.headers.get("x-goog-user-project"), expected, "{}", credentials["type"]);
    }
}

#[tokio::test]
async fn an_account_of_another_universe_signs_its_own_token() {
    let tokens = token_server().await;
    let mut account = google::service_account(&tokens.url());
    account["universe_domain"] = json!("example.goog");
    let request = sent(&account, &[]).await;
    assert_eq!(tokens.requests().len(), 0);
    let token = request.header("authorization").strip_prefix("Bearer ").unwrap();
    let claims = token.split('.').nth(1).unwrap();
    let claims = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(claims).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["sub"], claims["iss"]);
    assert_eq!(claims["scope"], "https://www.googleapis.com/auth/cloud-platform");
    assert!(claims.get("aud").is_none(), "{claims}");
}
