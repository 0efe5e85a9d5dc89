//! The log with every filter, while the relay obtains Google's tokens: no secret and no token is in it.

use relay_tests::fakes::google::{self, CLIENT_SECRET, REFRESH_TOKEN, SUBJECT_TOKEN};
use relay_tests::fakes::vertex;
use relay_tests::{Call, Upstream, within_limit};
use serde_json::{Value, json};

use crate::process::User;

const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[]}"#;
const TOKEN: &str = "ya29.token-of-google";
/// The value of the header that the source of subject tokens requires.
const SOURCE_HEADER: &str = "relay";
/// The number of providers in the configuration, and of the requests by which they obtain their tokens.
const PROVIDERS: usize = 8;
const TOKEN_REQUESTS: usize = 12;

/// Returns credentials of each kind. The subject token is in the file `subject`.
fn kinds(server: &str, subject: &str) -> Vec<(&'static str, Value)> {
    let by_file = google::external_account(server, &json!({ "file": subject }));
    let source = json!({"url": format!("{server}/subject"), "headers": {"x-for": SOURCE_HEADER},
                        "format": {"type": "json", "subject_token_field_name": "value"}});
    let mut with_account = google::external_account(server, &source);
    with_account["service_account_impersonation_url"] = json!(google::impersonation_url(server));
    let (account, user) = (google::service_account(server), google::authorized_user(server));
    let mut of_another_universe = account.clone();
    of_another_universe["universe_domain"] = json!("example.goog");
    vec![
        ("as-account", google::impersonated(server, &account)),
        ("as-user", google::impersonated(server, &user)),
        ("service-account", account),
        ("other-universe", of_another_universe),
        ("user", user),
        ("subject-in-a-file", by_file),
        ("subject-at-a-url", with_account),
    ]
}

/// Returns a configuration with one provider for each kind of credentials, and one for the metadata server.
fn config(user: &User, tokens: &str, upstream: &str) -> String {
    let subject = user.write("subject", SUBJECT_TOKEN).display().to_string();
    let mut providers = Vec::new();
    for (name, credentials) in kinds(tokens, &subject) {
        let file = user.write(&format!("{name}.json"), &credentials.to_string());
        providers.push(json!({
            "name": name, "type": "vertex", "base_url": upstream, "gcp_project_id": "my-project",
            "credentials_file": file,
        }));
    }
    providers.push(json!({"name": "machine", "type": "vertex", "base_url": upstream}));
    json!({"providers": providers, "routing": {"strategy": "round_robin"}}).to_string()
}

/// The texts that the log must not contain: parts of the private key, secrets, tokens, and the signed parts of assertions.
fn secrets(tokens: &Upstream, upstream: &Upstream) -> Vec<String> {
    let key = google::service_account("")["private_key"].as_str().unwrap().to_owned();
    let mut secrets: Vec<String> =
        key.lines().filter(|line| !line.starts_with("---")).map(str::to_owned).collect();
    secrets.retain(|line| line.len() >= 16);
    secrets.extend([CLIENT_SECRET, SUBJECT_TOKEN, TOKEN, "the-users-refresh-token"].map(str::to_owned));
    for request in tokens.requests() {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        if let Some((_, assertion)) = body.split_once("assertion=") {
            secrets.push(assertion.rsplit('.').next().unwrap()[..32].to_owned());
        }
    }
    for request in upstream.requests() {
        let token = request.header("authorization").strip_prefix("Bearer ").unwrap();
        secrets.push(token.rsplit('.').next().unwrap().to_owned());
    }
    secrets
}

#[tokio::test]
async fn no_filter_lets_a_secret_of_googles_credentials_into_the_log() {
    assert!(REFRESH_TOKEN.ends_with("the-users-refresh-token"));
    for (filter, format) in [
        ("trace", "json"),
        ("trace", "text"),
        ("yup_oauth2=trace,info", "text"),
        (
            "trace,yup_oauth2=trace,yup_oauth2::authorized_user=trace,yup_oauth2::external_account=debug",
            "json",
        ),
    ] {
        let tokens = Upstream::answering(|request| google::answer(request, TOKEN, 3600)).await;
        let upstream = Upstream::answering(vertex::answer).await;
        let user = User::new()
            .with_variable("GCE_METADATA_HOST", tokens.address().to_string())
            .with_variable("CC_RELAY_LOGGING__FORMAT", format)
            .with_variable("CC_RELAY_LOG", filter);
        user.write("config.yaml", &config(&user, &tokens.url(), &upstream.url()));
        let (mut relay, address) = user.serve(&[]);
        for number in 1..=PROVIDERS {
            let response = within_limit("answer", Call::messages(BODY).send(address)).await;
            assert_eq!((response.status, upstream.requests().len()), (200, number), "{:?}", response.body());
        }
        assert_eq!(tokens.requests().len(), TOKEN_REQUESTS, "each kind was used");
        relay.signal("TERM");
        assert_eq!(relay.exit_code(), Some(0));
        let log = relay.seen();
        assert!(log.contains("TRACE") || !filter.starts_with("trace"), "{filter} has no effect:\n{log}");
        for secret in secrets(&tokens, &upstream) {
            assert!(!log.contains(&secret), "{filter}: {secret} is in\n{log}");
        }
        assert!(!log.contains("received response; head"), "{filter}: the library's own lines are in\n{log}");
    }
}
