//! The flows of Google's credentials: each kind against scripted endpoints that fail, repeat secrets, or return values
//! that a careless client could not bear.

use std::path::PathBuf;

use relay_tests::fakes::google::{self, CLIENT_SECRET, REFRESH_TOKEN, SUBJECT_TOKEN};
use relay_tests::fakes::{oauth, vertex};
use relay_tests::{Answer, Call, Relay, Request, Response, Upstream, within_limit};
use serde_json::{Value, json};
use tempfile::TempDir;

const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[]}"#;
const TOKEN: &str = "ya29.token-of-google";
/// Words of the library's own error messages.
const LIBRARY: [&str; 7] = [
    "yup",
    "Server error",
    "JSON Error",
    "Connection failure",
    "Low level",
    "Credential source",
    "user input",
];

/// A directory with the credentials file and the file of a subject token.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().expect("a temporary directory"));
        std::fs::write(files.subject(), format!("{SUBJECT_TOKEN}\n")).expect("a file");
        files
    }

    fn credentials(&self) -> PathBuf {
        self.0.path().join("credentials.json")
    }

    fn subject(&self) -> PathBuf {
        self.0.path().join("subject")
    }

    /// Returns credentials of each kind, with the number of requests for one token.
    fn kinds(&self, server: &str) -> [(&'static str, Value, usize); 7] {
        let by_file = google::external_account(server, &json!({ "file": self.subject() }));
        let source = json!({"url": format!("{server}/subject"), "headers": {"x-for": "relay"},
                            "format": {"type": "json", "subject_token_field_name": "value"}});
        let by_url = google::external_account(server, &source);
        let mut with_account = by_url.clone();
        with_account["service_account_impersonation_url"] = json!(google::impersonation_url(server));
        let (account, user) = (google::service_account(server), google::authorized_user(server));
        let (as_account, as_user) =
            (google::impersonated(server, &account), google::impersonated(server, &user));
        [
            ("service account", account, 1),
            ("user", user, 1),
            ("subject token in a file", by_file, 1),
            ("subject token at a URL", by_url, 2),
            ("subject token for a service account", with_account, 3),
            ("impersonation by a service account", as_account, 2),
            ("impersonation by a user", as_user, 2),
        ]
    }

    /// Returns two of the kinds, which differ with `turn`. Together, few turns have each kind.
    fn two_kinds(&self, server: &str, turn: usize) -> Vec<(&'static str, Value, usize)> {
        self.kinds(server).into_iter().cycle().skip(turn * 2).take(2).collect()
    }

    /// Starts a relay, and then writes its credentials file.
    async fn relay(&self, upstream: &Upstream, credentials: &Value) -> Relay {
        let provider = json!({
            "name": "vertex", "type": "vertex", "base_url": upstream.url(), "gcp_project_id": "my-project",
            "gcp_region": "eu", "credentials_file": self.credentials(),
        });
        let relay = Relay::start(&json!({"providers": [provider]})).await;
        std::fs::write(self.credentials(), credentials.to_string()).expect("a file");
        relay
    }
}

async fn vertex() -> Upstream {
    Upstream::builder().require(vertex::rules()).answering(vertex::answer).await
}

/// A token server whose responses `change` replaces.
async fn token_server(change: impl Fn(&Request, Answer) -> Answer + Send + Sync + 'static) -> Upstream {
    Upstream::answering(move |request| change(request, google::answer(request, TOKEN, 3600))).await
}

async fn send(relay: &Relay) -> Response {
    within_limit("answer", Call::messages(BODY).send(relay.address())).await
}

/// Returns the message of an error of the provider.
#[track_caller]
fn message(response: &Response) -> String {
    assert_eq!(response.status, 502, "{:?}", response.body());
    response.json()["error"]["message"].as_str().expect("a message").to_owned()
}

fn is_impersonation(request: &Request) -> bool {
    request.path().ends_with(":generateAccessToken")
}

#[tokio::test]
async fn fifty_callers_share_one_token_of_each_kind() {
    let files = Files::new();
    let tokens = token_server(|_, answer| answer).await;
    let mut expected = 0;
    for (kind, credentials, requests) in files.kinds(&tokens.url()) {
        let upstream = vertex().await;
        let relay = files.relay(&upstream, &credentials).await;
        let address = relay.address();
        let calls: Vec<_> = (0..50)
            .map(|_| tokio::spawn(async move { Call::messages(BODY).send(address).await.status }))
            .collect();
        for call in calls {
            assert_eq!(call.await.expect("no panic"), 200, "{kind}");
        }
        expected += requests;
        assert_eq!((tokens.requests().len(), upstream.requests().len()), (expected, 50), "{kind}");
    }
}

#[tokio::test]
async fn a_url_or_header_that_cannot_be_used_is_reported_before_anything_is_sent() {
    let files = Files::new();
    let (tokens, upstream) = (token_server(|_, answer| answer).await, vertex().await);
    let server = tokens.url();
    let [account, user, _, by_url, ..] = files.kinds(&server).map(|(_, credentials, _)| credentials);
    let path = |pointer: &'static str, credentials: &Value| (pointer, credentials.clone());
    let members = [
        path("/token_uri", &account),
        path("/token_uri", &user),
        path("/token_url", &by_url),
        path("/credential_source/url", &by_url),
        path("/service_account_impersonation_url", &by_url),
        path("/service_account_impersonation_url", &google::impersonated(&server, &user)),
        path("/source_credentials/token_uri", &google::impersonated(&server, &account)),
    ];
    for (pointer, credentials) in members {
        for (written, shown) in [
            ("not a url?s3cret", "not a url"),
            ("https://me:s3cret@example.com/token", "https://example.com/token"),
            ("https://example.com:port/token#s3cret", "https://example.com:port/token"),
        ] {
            let mut bad = credentials.clone();
            let (parent, member) = pointer.rsplit_once('/').expect("a pointer");
            bad.pointer_mut(parent).expect("an object")[member] = json!(written);
            let relay = files.relay(&upstream, &bad).await;
            let text = message(&send(&relay).await);
            let file = files.credentials().display().to_string();
            for part in [&*file, member, &format!("{shown:?}"), "expected an http:// or https:// URL"] {
                assert!(text.contains(part), "{pointer} {written}: {text}");
            }
            assert!(!text.contains("s3cret"), "{text}");
            std::fs::remove_file(files.credentials()).expect("a file");
        }
    }
    for (name, value) in [("x-a", "s3cret\r\nx-b: c"), ("x a", "s3cret")] {
        let mut bad = by_url.clone();
        bad["credential_source"]["headers"] = json!({ name: value });
        let relay = files.relay(&upstream, &bad).await;
        let text = message(&send(&relay).await);
        assert!(text.contains(&format!("the header `{name}` of credential_source cannot be sent")), "{text}");
        assert!(text.contains("credentials.json") && !text.contains("s3cret"), "{text}");
        std::fs::remove_file(files.credentials()).expect("a file");
    }
    assert_eq!((tokens.connections(), upstream.connections()), (0, 0));
}

#[tokio::test]
async fn the_error_names_the_file_and_the_status() {
    let files = Files::new();
    let upstream = vertex().await;
    let token = json!({"access_token": "ya29.of-a-failure", "accessToken": "ya29.of-a-failure",
                       "value": "subject-of-a-failure", "expires_in": 3600, "expireTime": "2099-01-01T00:00:00Z"});
    let failures = [
        (
            Answer::json(400, &json!({"error": "invalid_grant", "error_description": "Bad"})),
            "400 Bad Request: invalid_grant: Bad",
        ),
        (
            Answer::json(401, &json!({"error": {"code": 401, "status": "UNAUTHENTICATED"}})),
            "401 Unauthorized: UNAUTHENTICATED",
        ),
        (Answer::text(404, "text/html", "<!DOCTYPE html><title>Error 404</title>"), "404 Not Found"),
        // A body that would be a token with another status.
        (Answer::json(403, &token), "403 Forbidden"),
        (Answer::json(500, &token), "500 Internal Server Error"),
        (Answer::new(503), "503 Service Unavailable"),
        (Answer::json(302, &token).with_header("location", "https://example.com/"), "302 Found"),
    ];
    for (turn, (answer, expected)) in failures.into_iter().enumerate() {
        let failing = answer.clone();
        let tokens = token_server(move |_, _| failing.clone()).await;
        let later = token_server(
            move |request, usual| if is_impersonation(request) { answer.clone() } else { usual },
        );
        let later = later.await;
        let last_step = files.kinds(&later.url()).into_iter().skip(4 + turn % 3).take(1);
        for (kind, credentials, _) in files.two_kinds(&tokens.url(), turn).into_iter().chain(last_step) {
            let relay = files.relay(&upstream, &credentials).await;
            let text = message(&send(&relay).await);
            let file = files.credentials().display().to_string();
            assert!(text.contains(&file) && text.contains(&format!(" {expected}")), "{kind}: {text}");
            for word in LIBRARY.into_iter().chain(["of-a-failure"]) {
                assert!(!text.contains(word), "{kind}: {text}");
            }
            std::fs::remove_file(files.credentials()).expect("a file");
        }
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn an_endpoint_that_repeats_the_request_discloses_no_secret() {
    let files = Files::new();
    let upstream = vertex().await;
    // As the fields are, and as they were sent.
    let repeating = |request: &Request, answer: Answer| {
        if request.method == "GET" {
            return answer;
        }
        let raw = String::from_utf8_lossy(&request.body).into_owned();
        let fields = oauth::form(request).map(|fields| fields.into_values().collect::<Vec<_>>().join(" "));
        let bearer = request.headers.get("authorization").unwrap_or_default();
        let text = format!("{} {raw} {bearer}", fields.unwrap_or_default());
        if is_impersonation(request) {
            return Answer::json(403, &json!({"error": {"message": text}}));
        }
        Answer::json(400, &json!({"error": "invalid_grant", "error_description": text}))
    };
    let tokens = token_server(repeating).await;
    let later = move |request: &Request, answer| {
        if is_impersonation(request) { repeating(request, answer) } else { answer }
    };
    let later = token_server(later).await;
    let kinds = files.kinds(&tokens.url()).into_iter();
    for (kind, credentials, _) in kinds.chain(files.kinds(&later.url()).into_iter().skip(4)) {
        let relay = files.relay(&upstream, &credentials).await;
        let text = message(&send(&relay).await);
        let encoded_refresh = REFRESH_TOKEN.replace('/', "%2F");
        for secret in [REFRESH_TOKEN, &encoded_refresh, CLIENT_SECRET, SUBJECT_TOKEN, TOKEN, "eyJ"] {
            assert!(!text.contains(secret), "{kind}: {text}");
        }
        assert!(text.contains("***"), "{kind}: {text}");
        std::fs::remove_file(files.credentials()).expect("a file");
    }
}

#[tokio::test]
async fn a_token_of_any_lifetime_is_used_and_one_without_is_refused() {
    let files = Files::new();
    let lifetimes = [
        (json!(0), true),
        (json!(1), true),
        (json!("3600"), true),
        (json!(i64::MAX), true),
        (json!(u64::MAX), true),
        (json!(9_223_372_036_854_775_000_i64), true),
        (json!(-1), false),
        (json!(3600.5), false),
        (json!(1e300), false),
        (json!(null), false),
        (json!("soon"), false),
        (json!([3600]), false),
    ];
    for (turn, (lifetime, is_usable)) in lifetimes.into_iter().enumerate() {
        let written = lifetime.clone();
        let tokens =
            token_server(move |request, answer| match is_impersonation(request) || request.method == "GET" {
                true => answer,
                false => Answer::json(200, &json!({"access_token": TOKEN, "expires_in": written})),
            });
        let tokens = tokens.await;
        for (kind, credentials, _) in files.two_kinds(&tokens.url(), turn).into_iter().take(1) {
            let upstream = vertex().await;
            let relay = files.relay(&upstream, &credentials).await;
            let response = send(&relay).await;
            if is_usable {
                assert_eq!(response.status, 200, "{kind} {lifetime}: {:?}", response.body());
            } else {
                let text = message(&response);
                assert!(text.contains("no usable `expires_in`"), "{kind} {lifetime}: {text}");
            }
            std::fs::remove_file(files.credentials()).expect("a file");
        }
    }
}

#[tokio::test]
async fn the_end_of_an_impersonated_token_may_be_any_text_or_missing() {
    let files = Files::new();
    let ends = ["never", "9999-12-31T23:59:59Z", "0000-01-01T00:00:00Z", "+999999-01-01T00:00:00Z"];
    for end in ends.map(|end| json!(end)).into_iter().chain([json!(null)]) {
        let answer = Answer::json(200, &json!({"accessToken": TOKEN, "expireTime": end}));
        let change =
            move |request: &Request, usual| if is_impersonation(request) { answer.clone() } else { usual };
        let (tokens, upstream) = (token_server(change).await, vertex().await);
        let [_, _, _, _, (_, with_account, requests), ..] = files.kinds(&tokens.url());
        let relay = files.relay(&upstream, &with_account).await;
        for _ in 0..2 {
            assert_eq!(send(&relay).await.status, 200, "{end}");
        }
        assert_eq!(tokens.requests().len(), requests, "{end}");
        std::fs::remove_file(files.credentials()).expect("a file");
    }
}

#[tokio::test]
async fn a_token_that_no_header_can_carry_is_refused() {
    let files = Files::new();
    let unusable = [json!("a\r\nb: c"), json!("a\u{7f}"), json!(""), json!(null), json!(7), json!(["a"])];
    for (turn, token) in unusable.into_iter().enumerate() {
        let bad = token.clone();
        let tokens = token_server(move |request, answer| match request.method == "GET" {
            true => answer,
            false => Answer::json(200, &json!({"access_token": bad, "accessToken": bad, "expires_in": 3600})),
        });
        let tokens = tokens.await;
        let upstream = vertex().await;
        for (kind, credentials, _) in files.two_kinds(&tokens.url(), turn) {
            let relay = files.relay(&upstream, &credentials).await;
            let text = message(&send(&relay).await);
            assert!(text.contains("no usable `access_token`"), "{kind} {token}: {text}");
            std::fs::remove_file(files.credentials()).expect("a file");
        }
        assert_eq!(upstream.connections(), 0);
    }
}

#[tokio::test]
async fn an_endpoint_that_returns_anything_else_is_reported() {
    let files = Files::new();
    let upstream = vertex().await;
    let large = format!(r#"{{"access_token":"{}","expires_in":3600}}"#, "x".repeat(65 * 1024));
    let answers = [
        (Answer::text(200, "text/html", "<html>"), "no usable `access_token`"),
        (Answer::text(200, "application/json", "[]"), "no usable `access_token`"),
        (Answer::new(204), "no usable `access_token`"),
        // The fields of an error in a response that is a success.
        (Answer::json(200, &json!({"error": "invalid_grant"})), "no usable `access_token`"),
        (Answer::new(200).with_body(large), "length limit exceeded"),
    ];
    for (turn, (answer, expected)) in answers.into_iter().enumerate() {
        let tokens =
            token_server(move |request, usual| if request.method == "GET" { usual } else { answer.clone() });
        let tokens = tokens.await;
        for (kind, credentials, _) in files.two_kinds(&tokens.url(), turn) {
            let relay = files.relay(&upstream, &credentials).await;
            let text = message(&send(&relay).await);
            assert!(text.contains(expected) && text.contains("credentials.json"), "{kind}: {text}");
            std::fs::remove_file(files.credentials()).expect("a file");
        }
    }
}

#[tokio::test]
async fn subject_tokens_are_read_from_either_source_in_either_format() {
    let files = Files::new();
    let tokens = Upstream::answering(|request| match request.path() {
        "/plain" => Answer::text(200, "text/plain", "subject.token.of-another-issuer\r\n"),
        "/empty" => Answer::text(200, "text/plain", " \n"),
        _ => google::answer(request, TOKEN, 3600),
    });
    let tokens = tokens.await;
    let server = tokens.url();
    let json_format = json!({"type": "json", "subject_token_field_name": "value"});
    let by_file = json!({ "file": files.subject() });
    let json_file = json!({ "file": files.subject(), "format": json_format });
    let in_json = json!({ "value": SUBJECT_TOKEN }).to_string();
    let missing = json!({ "file": files.0.path().join("missing") });
    for (content, source, expected) in [
        (SUBJECT_TOKEN, by_file.clone(), None),
        ("\u{20}subject.token.of-another-issuer \n\n", by_file.clone(), None),
        (&in_json, json_file.clone(), None),
        ("", json!({ "url": format!("{server}/plain") }), None),
        ("", json!({ "url": format!("{server}/plain?s3cret"), "format": {"type": "text"} }), None),
        ("", by_file.clone(), Some("subject holds no subject token")),
        (SUBJECT_TOKEN, json_file, Some("subject holds no subject token")),
        ("", json!({ "url": format!("{server}/empty") }), Some("/empty holds no subject token")),
        ("", json!({ "url": format!("{server}/none?s3cret") }), Some("/none answered 404 Not Found")),
        ("", missing, Some("missing cannot be read: No such file")),
    ] {
        std::fs::write(files.subject(), content).expect("a file");
        let upstream = vertex().await;
        let relay = files.relay(&upstream, &google::external_account(&server, &source)).await;
        let response = send(&relay).await;
        match expected {
            None => assert_eq!(response.status, 200, "{source}: {:?}", response.body()),
            Some(expected) => {
                let text = message(&response);
                assert!(text.contains(expected) && text.contains("credentials.json"), "{text}");
                assert!(!text.contains("s3cret"), "{text}");
            }
        }
        std::fs::remove_file(files.credentials()).expect("a file");
    }
}

#[tokio::test]
async fn the_project_of_a_workforce_pools_user_is_sent_with_the_exchange() {
    let files = Files::new();
    let tokens =
        Upstream::answering(|_| Answer::json(200, &json!({"access_token": TOKEN, "expires_in": 3600})));
    let tokens = tokens.await;
    let upstream = vertex().await;
    let mut credentials = google::external_account(&tokens.url(), &json!({ "file": files.subject() }));
    credentials["workforce_pool_user_project"] = json!("of&the=user");
    let relay = files.relay(&upstream, &credentials).await;
    assert_eq!(send(&relay).await.status, 200);
    let form = oauth::form(&tokens.only_request()).expect("a form");
    assert_eq!(form["options"], r#"{"userProject":"of&the=user"}"#);
    assert_eq!(form["subject_token"], SUBJECT_TOKEN);
}

#[tokio::test]
async fn a_key_that_cannot_sign_is_reported() {
    let files = Files::new();
    let (tokens, upstream) = (token_server(|_, answer| answer).await, vertex().await);
    let pem = |kind: &str| format!("-----BEGIN {kind}-----\nczNjcmV0czNjcmV0\n-----END {kind}-----\n");
    for key in ["s3cret", &pem("PRIVATE KEY"), &pem("EC PRIVATE KEY")] {
        for universe in ["googleapis.com", "example.goog"] {
            let mut account = google::service_account(&tokens.url());
            account["private_key"] = json!(key);
            account["universe_domain"] = json!(universe);
            let relay = files.relay(&upstream, &account).await;
            let text = message(&send(&relay).await);
            assert!(
                text.contains("credentials.json: the private key is not an RSA key in PEM form"),
                "{text}"
            );
            assert!(!text.contains("czNj") && !text.contains("s3cret"), "{text}");
            std::fs::remove_file(files.credentials()).expect("a file");
        }
    }
    assert_eq!(tokens.connections(), 0);
}

#[tokio::test]
async fn the_token_request_ends_with_the_relay() {
    let files = Files::new();
    let tokens = Upstream::manual().await;
    let upstream = vertex().await;
    let mut relay = files.relay(&upstream, &google::authorized_user(&tokens.url())).await;
    let address = relay.address();
    let calling = tokio::spawn(async move { Call::messages(BODY).send(address).await });
    let (mut connection, _) = tokens.exchange().await;
    calling.abort();
    relay.stop();
    relay.stopped().await;
    drop(relay);
    within_limit("end of the token request", connection.peer_closed()).await;
}
