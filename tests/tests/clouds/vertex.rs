//! Google Vertex AI.

use std::sync::atomic::{AtomicUsize, Ordering};

use relay_tests::fakes::google::{self, CLIENT_SECRET, METADATA_PROJECT, REFRESH_TOKEN, SUBJECT_TOKEN};
use relay_tests::fakes::{Reply, anthropic, vertex};
use relay_tests::{
    Answer, Call, CertificateAuthority, Client, Coding, End, Relay, Response, Upstream, in_turn, provider,
    rule,
};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":8, "temperature":1.0,"messages":[]}"#;
const STREAMED: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[],"stream":true}"#;
const TOKEN: &str = "ya29.token-of-google";

/// A provider that reads its credentials from this file.
fn provider_with(upstream: &Upstream, credentials: &NamedTempFile) -> Value {
    json!({"name": "vertex", "type": "vertex", "base_url": upstream.url(), "gcp_project_id": "my-project",
           "gcp_region": "eu", "credentials_file": credentials.path()})
}

/// A token endpoint that returns [`TOKEN`].
async fn token_server() -> Upstream {
    Upstream::answering(|request| google::answer(request, TOKEN, 3600)).await
}

/// An upstream that accepts only valid Vertex requests with this token.
async fn strict(token: &'static str) -> Upstream {
    let rules = vertex::rules().into_iter().chain([rule::header("authorization", token)]);
    Upstream::builder().require(rules).answering(vertex::answer).await
}

/// A relay before a Vertex upstream that answers with `answer`.
async fn relay_before(
    answer: impl Fn(&relay_tests::Request) -> Answer + Send + Sync + 'static,
) -> (Upstream, Upstream, Relay) {
    let tokens = token_server().await;
    let upstream = Upstream::builder().require(vertex::rules()).answering(answer).await;
    let file = google::credentials_file(&google::service_account(&tokens.url()));
    let relay = Relay::start(&json!({"providers": [provider_with(&upstream, &file)]})).await;
    // The file is read at the first request.
    let _ = file.keep().expect("a file can be kept");
    (tokens, upstream, relay)
}

#[track_caller]
fn message(response: &Response) -> String {
    response.json()["error"]["message"].as_str().expect("a message").to_owned()
}

#[tokio::test]
async fn a_request_is_sent_in_the_format_of_vertex() {
    let (_tokens, upstream, relay) = relay_before(vertex::answer).await;
    let betas = "claude-code-20250219,oauth-2025-04-20,advanced-tool-use-2025-11-20,mcp-client-2025-11-20";
    let call = Call::messages(BODY)
        .header("x-api-key", "sk-ant-api03-of-the-client")
        .header("anthropic-beta", betas)
        .header("x-claude-code-session-id", "s");
    let response = call.send(relay.address()).await;
    assert_eq!(response.status, 200);
    assert_eq!(response.text(), "Hello from Vertex!");
    let request = upstream.only_request();
    assert_eq!(
        request.target,
        format!("{}claude-opus-5-5:rawPredict", vertex::models_path("my-project", "eu"))
    );
    assert_eq!(
        request.body,
        r#"{"anthropic_version":"vertex-2023-10-16","max_tokens":8, "temperature":1.0,"messages":[]}"#
    );
    assert_eq!(request.header("authorization"), format!("Bearer {TOKEN}"));
    assert_eq!(request.header("anthropic-beta"), "claude-code-20250219,tool-search-tool-2025-10-19");
    assert_eq!(request.header("x-claude-code-session-id"), "s");
    assert!(!request.headers.contains("x-goog-user-project"));
}

#[tokio::test]
async fn a_mapped_model_is_named_in_the_path_and_its_date_is_dropped_for_token_counting() {
    let tokens = token_server().await;
    let upstream = strict("Bearer ya29.token-of-google").await;
    let file = google::credentials_file(&google::service_account(&tokens.url()));
    let mut provider = provider_with(&upstream, &file);
    provider["model_mapping"] = json!({"claude-opus-*": "claude-opus-5-5@20261001"});
    let relay = Relay::start(&json!({"providers": [provider]})).await;
    assert_eq!(Call::messages(STREAMED).send(relay.address()).await.status, 200);
    let count = Call::post("/v1/messages/count_tokens").header("anthropic-version", "2026-10-21").json(BODY);
    assert_eq!(count.send(relay.address()).await.json(), json!({"input_tokens": 2095}));

    let [streamed, counted] = &upstream.requests()[..] else { panic!("two requests") };
    let models = vertex::models_path("my-project", "eu");
    assert_eq!(streamed.target, format!("{models}claude-opus-5-5@20261001:streamRawPredict"));
    assert_eq!(streamed.json()["stream"], true);
    assert_eq!(counted.target, format!("{models}count-tokens:rawPredict"));
    assert_eq!(counted.json()["model"], "claude-opus-5-5");
    assert_eq!(counted.json()["anthropic_version"], "2026-10-21");
}

#[tokio::test]
async fn each_event_passes_at_once_and_googles_own_events_are_dropped() {
    let tokens = token_server().await;
    let upstream = Upstream::builder().require(vertex::rules()).manual().await;
    let file = google::credentials_file(&google::service_account(&tokens.url()));
    let relay = Relay::start(&json!({"providers": [provider_with(&upstream, &file)]})).await;
    let mut client = Client::connect(relay.address()).await;
    client.call(&Call::messages(STREAMED)).await;
    let (mut connection, _) = upstream.exchange().await;
    connection.send_head(&Answer::event_stream()).await;
    let events = Reply::new("claude-opus-5-5").thinking("hm", "signature").text("one at a time").events();
    for (number, event) in events.iter().enumerate() {
        // An event of Google's own precedes each, once whole and once split.
        let foreign = vertex::foreign_event();
        let (start, rest) = foreign.split_at(number.min(foreign.len()));
        for part in [start, rest].into_iter().filter(|part| !part.is_empty()) {
            connection.send_chunk(part).await;
        }
        connection.send_chunk(event).await;
        if number == 0 {
            assert_eq!(client.head().await.status, 200);
        }
        client.expect(event).await;
    }
    connection.send_last_chunk().await;
    assert_eq!(client.chunk().await, None);
    assert_eq!(client.end(), Some(End::Complete));
}

#[tokio::test]
async fn a_stream_that_ends_early_is_broken_off() {
    let events = vertex::events(&Reply::new("m").text("half an answer"));
    let count = events.len() - 1;
    let (_tokens, _upstream, relay) = relay_before(in_turn([Answer::sse(events[..count].to_vec())])).await;
    let response = Call::messages(STREAMED).send(relay.address()).await;
    assert!(response.end.is_broken(), "{:?}", response.end);
}

#[tokio::test]
async fn errors_of_google_are_translated_to_anthropics_format() {
    let cases = [
        (
            429,
            "RESOURCE_EXHAUSTED",
            "Quota exceeded for online_prediction_requests_per_base_model.",
            429,
            "rate_limit_error",
        ),
        (503, "UNAVAILABLE", "The service is currently unavailable.", 503, "overloaded_error"),
        (
            400,
            "INVALID_ARGUMENT",
            "prompt is too long: 210000 tokens > 200000 maximum",
            400,
            "invalid_request_error",
        ),
        (404, "NOT_FOUND", "Publisher Model `claude-opus-5-5` was not found.", 404, "not_found_error"),
        (
            400,
            "FAILED_PRECONDITION",
            "Publisher Model is not servable in region us-east5.",
            404,
            "not_found_error",
        ),
        (500, "INTERNAL", "Internal error encountered.", 500, "api_error"),
        (504, "DEADLINE_EXCEEDED", "Deadline expired.", 504, "timeout_error"),
    ];
    for (status, code, text, expected, kind) in cases {
        let plain = vertex::error(status, code, text);
        let answers =
            [plain.clone(), vertex::error_in_array(status, code, text), plain.compressed(Coding::Gzip).await];
        let (_tokens, upstream, relay) = relay_before(in_turn(answers)).await;
        for body in [BODY, STREAMED, BODY] {
            let response = Call::messages(body).send(relay.address()).await;
            let found = response.json();
            assert_eq!((response.status, &found["type"]), (expected, &json!("error")), "{code}: {found}");
            assert_eq!(found["error"]["type"], kind, "{found}");
            assert!(message(&response).contains(text), "{found}");
            assert_eq!(response.headers.get("content-encoding"), None);
            if kind == "not_found_error" {
                assert!(message(&response).contains("`claude-opus-5-5` in `eu`"), "{found}");
            } else {
                assert_eq!(message(&response), text);
            }
        }
        assert_eq!(upstream.requests().len(), 3);
    }
}

#[tokio::test]
async fn a_prompt_that_is_too_long_is_reported_in_anthropics_wording() {
    let text = "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).";
    for (text, expected) in [
        (text, format!("prompt is too long: 1200000 tokens > 1048576 maximum ({text})")),
        ("Prompt is too long", "prompt is too long: Prompt is too long".to_owned()),
    ] {
        let answer = vertex::error_in_array(400, "INVALID_ARGUMENT", text);
        let (_tokens, _upstream, relay) = relay_before(in_turn([answer])).await;
        let response = Call::messages(BODY).send(relay.address()).await;
        assert_eq!((response.status, message(&response)), (400, expected));
    }
}

#[tokio::test]
async fn an_error_of_the_model_passes_byte_for_byte() {
    let error = anthropic::error_with(400, "invalid_request_error", "thinking.adaptive: not supported");
    let (_tokens, _upstream, relay) =
        relay_before(in_turn([error.clone(), error.compressed(Coding::Gzip).await])).await;
    let error = json!({"type": "invalid_request_error", "message": "thinking.adaptive: not supported"});
    let expected = json!({"type": "error", "error": error, "request_id": anthropic::REQUEST_ID}).to_string();
    for _ in 0..2 {
        let response = Call::messages(BODY).send(relay.address()).await;
        assert_eq!((response.status, response.body()), (400, expected.clone().into()));
    }
}

#[tokio::test]
async fn an_html_page_instead_of_an_answer_is_explained() {
    let page = Answer::text(404, "text/html; charset=UTF-8", "<!DOCTYPE html><title>Error 404</title>");
    let (_tokens, _upstream, relay) = relay_before(in_turn([page])).await;
    let response = Call::messages(BODY).send(relay.address()).await;
    assert_eq!((response.status, &response.json()["error"]["type"]), (404, &json!("not_found_error")));
    assert!(message(&response).contains("gcp_region"));
    // If the upstream cannot count tokens, the relay estimates them.
    let count = Call::post("/v1/messages/count_tokens").header("anthropic-version", "2023-06-01").json(BODY);
    let response = count.send(relay.address()).await;
    assert_eq!((response.status, response.headers.get("x-cc-relay-estimated")), (200, Some("true")));
}

#[tokio::test]
async fn errors_of_the_provider_fail_over() {
    for (status, code) in [
        (401, "UNAUTHENTICATED"),
        (403, "PERMISSION_DENIED"),
        (404, "NOT_FOUND"),
        (429, "RESOURCE_EXHAUSTED"),
        (503, "UNAVAILABLE"),
        (500, "INTERNAL"),
    ] {
        let tokens = token_server().await;
        let upstream = Upstream::answering(in_turn([vertex::error_in_array(status, code, "no")])).await;
        let file = google::credentials_file(&google::service_account(&tokens.url()));
        let second = Upstream::answering(anthropic::answer).await;
        let providers = [provider_with(&upstream, &file), provider("next", "anthropic", &second.url())];
        let relay = Relay::start(&json!({"providers": providers})).await;
        let response = Call::messages(STREAMED).send(relay.address()).await;
        assert_eq!((response.status, response.end), (200, End::Complete), "{code}");
        let request = second.only_request();
        assert_eq!((request.body, request.headers.contains("authorization")), (STREAMED.into(), false));
    }
}

#[tokio::test]
async fn every_kind_of_credentials_yields_a_token() {
    let tokens = token_server().await;
    let server = tokens.url();
    let subject_file = NamedTempFile::new().expect("a temporary file");
    std::fs::write(subject_file.path(), format!("{SUBJECT_TOKEN}\n")).expect("a file");
    let by_file = json!({"file": subject_file.path()});
    let by_url = json!({"url": format!("{server}/subject"), "headers": {"x-for": "relay"},
                        "format": {"type": "json", "subject_token_field_name": "value"}});
    let mut with_impersonation = google::external_account(&server, &by_url);
    with_impersonation["service_account_impersonation_url"] = json!(google::impersonation_url(&server));
    let user = google::authorized_user(&server);
    let (plain, acting) = ("Bearer ya29.token-of-google", "Bearer ya29.token-of-google-impersonated");
    let cases = [
        (google::service_account(&server), plain, None, 1),
        (user.clone(), plain, Some("quota-project"), 1),
        (google::external_account(&server, &by_file), plain, None, 1),
        (google::external_account(&server, &by_url), plain, None, 2),
        (with_impersonation, acting, None, 3),
        (google::impersonated(&server, &user), acting, None, 2),
        (google::impersonated(&server, &google::service_account(&server)), acting, None, 2),
    ];
    let mut expected_requests = 0;
    for (credentials, token, quota_project, requests) in cases {
        let upstream = strict(token).await;
        let file = google::credentials_file(&credentials);
        let relay = Relay::start(&json!({"providers": [provider_with(&upstream, &file)]})).await;
        for _ in 0..2 {
            let response = Call::messages(BODY).send(relay.address()).await;
            assert_eq!(response.status, 200, "{}: {:?}", credentials["type"], response.body());
        }
        assert_eq!(upstream.requests()[0].headers.get("x-goog-user-project"), quota_project);
        expected_requests += requests;
        assert_eq!(tokens.requests().len(), expected_requests, "{}", credentials["type"]);
    }
}

#[tokio::test]
async fn the_metadata_server_provides_a_token_and_the_project() {
    let metadata = token_server().await;
    let upstream = strict("Bearer ya29.token-of-google").await;
    let host = metadata.address().to_string();
    let mut provider =
        json!({"name": "vertex", "type": "vertex", "base_url": upstream.url(), "gcp_region": "global"});
    let environment = [("GCE_METADATA_HOST", &*host)];
    let relay = Relay::start_with_env(&environment, &json!({"providers": [provider]})).await;
    assert_eq!(Call::messages(BODY).send(relay.address()).await.status, 200);
    let target = format!("{}claude-opus-5-5:rawPredict", vertex::models_path(METADATA_PROJECT, "global"));
    assert_eq!((upstream.only_request().target, metadata.requests().len()), (target, 2));

    provider["gcp_project_id"] = json!("my-project");
    let relay = Relay::start_with_env(&environment, &json!({"providers": [provider]})).await;
    assert_eq!(Call::messages(BODY).send(relay.address()).await.status, 200);
    assert_eq!(metadata.requests().len(), 3, "the project must not be requested again");
}

#[tokio::test]
async fn a_server_without_the_metadata_header_is_not_trusted() {
    let other =
        Upstream::answering(|_| Answer::json(200, &json!({"access_token": "x", "expires_in": 9}))).await;
    let upstream = strict("none").await;
    let host = other.address().to_string();
    let provider = json!({"name": "vertex", "type": "vertex", "base_url": upstream.url()});
    let relay =
        Relay::start_with_env(&[("GCE_METADATA_HOST", &*host)], &json!({"providers": [provider]})).await;
    let response = Call::messages(BODY).send(relay.address()).await;
    assert_eq!(response.status, 502);
    assert!(message(&response).contains("is not a metadata server"), "{}", message(&response));
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn the_project_is_read_from_the_file_if_nothing_else_names_it() {
    let tokens = token_server().await;
    let upstream = strict("Bearer ya29.token-of-google").await;
    for (credentials, project) in [
        (google::service_account(&tokens.url()), "files-project"),
        (google::authorized_user(&tokens.url()), "quota-project"),
    ] {
        let file = google::credentials_file(&credentials);
        let mut provider = provider_with(&upstream, &file);
        provider.as_object_mut().expect("a table").remove("gcp_project_id");
        let relay = Relay::start(&json!({"providers": [provider]})).await;
        assert_eq!(Call::messages(BODY).send(relay.address()).await.status, 200);
        let target = format!("{}claude-opus-5-5:rawPredict", vertex::models_path(project, "eu"));
        assert_eq!(upstream.requests().last().expect("a request").target, target);
    }
}

#[tokio::test]
async fn callers_share_one_token() {
    let tokens = token_server().await;
    let upstream = strict("Bearer ya29.token-of-google").await;
    let file = google::credentials_file(&google::service_account(&tokens.url()));
    let relay = Relay::start(&json!({"providers": [provider_with(&upstream, &file)]})).await;
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let address = relay.address();
            tokio::spawn(async move { Call::messages(STREAMED).send(address).await.status })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.expect("no panic"), 200);
    }
    assert_eq!((tokens.requests().len(), upstream.requests().len()), (1, 8));
}

#[tokio::test]
async fn an_expired_token_is_not_sent_again() {
    let number = AtomicUsize::new(0);
    let tokens = Upstream::answering(move |request| {
        let number = number.fetch_add(1, Ordering::Relaxed);
        // The first token expires as soon as it is received.
        google::answer(request, &format!("token-{number}"), if number == 0 { 0 } else { 3600 })
    });
    let tokens = tokens.await;
    let upstream = Upstream::answering(vertex::answer).await;
    let file = google::credentials_file(&google::service_account(&tokens.url()));
    let relay = Relay::start(&json!({"providers": [provider_with(&upstream, &file)]})).await;
    for _ in 0..3 {
        assert_eq!(Call::messages(BODY).send(relay.address()).await.status, 200);
    }
    let sent: Vec<_> =
        upstream.requests().iter().map(|request| request.header("authorization").to_owned()).collect();
    assert_eq!(sent, ["Bearer token-0", "Bearer token-1", "Bearer token-1"]);
    assert_eq!(tokens.requests().len(), 2);
}

#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    let number = AtomicUsize::new(0);
    let tokens = Upstream::answering(move |request| {
        let number = number.fetch_add(1, Ordering::Relaxed);
        google::answer(request, &format!("token-{number}"), 3600)
    });
    let tokens = tokens.await;
    let upstream = Upstream::answering(|request| match request.header("authorization") {
        "Bearer token-0" => {
            vertex::error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        }
        _ => vertex::answer(request),
    });
    let upstream = upstream.await;
    let file = google::credentials_file(&google::service_account(&tokens.url()));
    let relay = Relay::start(&json!({"providers": [provider_with(&upstream, &file)]})).await;
    for _ in 0..2 {
        assert_eq!(Call::messages(BODY).send(relay.address()).await.status, 200);
    }
    assert_eq!((tokens.requests().len(), upstream.requests().len()), (2, 3));
}

#[tokio::test]
async fn unusable_credentials_are_reported_at_the_first_request() {
    let refusing = Upstream::answering(|request| {
        let form = String::from_utf8_lossy(&request.body).into_owned();
        Answer::json(
            400,
            &json!({"error": "invalid_grant", "error_description": format!("{form} {REFRESH_TOKEN}")}),
        )
    });
    let refusing = refusing.await;
    let upstream = strict("none").await;
    let second = Upstream::answering(anthropic::answer).await;
    let broken = google::credentials_file(
        &json!({"type": "service_account", "private_key": "s3cret", "client_email": "a@b"}),
    );
    let unknown = google::credentials_file(&json!({"type": "gdch_service_account", "key": "s3cret"}));
    let user = google::credentials_file(&google::authorized_user(&refusing.url()));
    let executable = google::credentials_file(&google::external_account(
        &refusing.url(),
        &json!({"executable": {"command": "s3cret"}}),
    ));
    let (_socket, refused) = Upstream::refusing();
    let unreachable = google::credentials_file(&google::authorized_user(&format!("http://{refused}")));
    let missing = json!("/nonexistent/credentials.json");
    for (place, (credentials, expected)) in [
        (missing, "/nonexistent/credentials.json cannot be read: No such file or directory"),
        (json!(broken.path()), "the private key is not an RSA key in PEM form"),
        (json!(unknown.path()), "credentials of type `gdch_service_account` are not supported"),
        (json!(executable.path()), "a credential_source with `executable` is not supported"),
        (json!(user.path()), "answered 400 Bad Request: invalid_grant"),
        (json!(unreachable.path()), &*format!("no answer from the token endpoint http://{refused}/token: ")),
    ]
    .into_iter()
    .enumerate()
    {
        let mut provider = provider_with(&upstream, &user);
        // A file that is written after the start is read at the first request only.
        let directory = tempfile::tempdir().expect("a temporary directory");
        let later = directory.path().join("credentials.json");
        let content = std::fs::read(credentials.as_str().expect("a path"));
        provider["credentials_file"] = if content.is_ok() { json!(later) } else { credentials };
        let write =
            || content.as_ref().map_or((), |content| std::fs::write(&later, content).expect("a file"));
        let relay = Relay::start(&json!({"providers": [provider]})).await;
        write();
        let response = Call::messages(BODY).send(relay.address()).await;
        let text = message(&response);
        // Only the unreachable endpoint may recover by itself; the others need an operator.
        let should_retry = (place < 5).then_some("false");
        assert_eq!((response.status, response.headers.get("x-should-retry")), (502, should_retry));
        assert!(text.contains("provider `vertex`") && text.contains(expected), "{text}");
        for secret in ["s3cret", REFRESH_TOKEN, CLIENT_SECRET] {
            assert!(!text.contains(secret), "{text}");
        }

        let providers = [provider, relay_tests::provider("next", "anthropic", &second.url())];
        // An error means that there is no such file.
        let _ = std::fs::remove_file(&later);
        let relay = Relay::start(&json!({"providers": providers})).await;
        write();
        assert_eq!(Call::messages(BODY).send(relay.address()).await.status, 200);
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn a_failed_token_request_is_not_repeated_at_once() {
    let failing = Upstream::answering(in_turn([Answer::new(503)])).await;
    let upstream = strict("none").await;
    let file = google::credentials_file(&google::service_account(&failing.url()));
    let relay = Relay::start(&json!({"providers": [provider_with(&upstream, &file)]})).await;
    for _ in 0..5 {
        assert_eq!(Call::messages(BODY).send(relay.address()).await.status, 502);
    }
    assert_eq!(failing.requests().len(), 1);
}

#[tokio::test]
async fn a_client_that_disconnects_does_not_cancel_the_token_request() {
    let tokens = Upstream::manual().await;
    let upstream = strict("Bearer ya29.token-of-google").await;
    let file = google::credentials_file(&google::service_account(&tokens.url()));
    let relay = Relay::start(&json!({"providers": [provider_with(&upstream, &file)]})).await;
    let mut leaving = Client::connect(relay.address()).await;
    leaving.call(&Call::messages(BODY)).await;
    let (mut connection, request) = tokens.exchange().await;
    leaving.disconnect();
    let mut staying = Client::connect(relay.address()).await;
    staying.call(&Call::messages(BODY)).await;
    connection.answer(&google::answer(&request, TOKEN, 3600)).await.expect("the renewal goes on");
    assert_eq!(staying.response().await.status, 200);
    assert_eq!(tokens.requests().len(), 1);
}

#[tokio::test]
async fn the_ca_file_of_the_provider_applies_to_its_token_endpoint_too() {
    let authority = CertificateAuthority::new();
    let tokens =
        Upstream::builder().tls(&authority).answering(|request| google::answer(request, TOKEN, 3600)).await;
    let upstream =
        Upstream::builder().tls(&authority).require(vertex::rules()).answering(vertex::answer).await;
    let file = google::credentials_file(&google::service_account(&tokens.url()));
    let mut provider = provider_with(&upstream, &file);
    provider["ca_file"] = json!(authority.ca_file());
    let relay = Relay::start(&json!({"providers": [provider]})).await;
    assert_eq!(Call::messages(BODY).send(relay.address()).await.status, 200);
}
