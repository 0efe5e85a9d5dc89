//! `cc-relay doctor`: the checks of the providers.

use relay_tests::fakes::{anthropic, google};
use relay_tests::{Answer, CertificateAuthority, Request, Upstream};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::process::{Outcome, User};

/// The report of a run with `--json`.
#[derive(Debug)]
struct Report(Value);

impl Report {
    fn of(outcome: &Outcome) -> Self {
        Self(serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome:?}")))
    }

    /// The first check of a provider with this name.
    #[track_caller]
    fn check(&self, provider: &str, name: &str) -> &Value {
        let checks = self.0["checks"].as_array().unwrap();
        let is_it = |check: &&Value| check["provider"] == provider && check["check"] == name;
        checks.iter().find(is_it).unwrap_or_else(|| panic!("no {name} of {provider} in {:#}", self.0))
    }

    #[track_caller]
    fn assert(&self, provider: &str, name: &str, status: &str, message: &str, fix: &str) {
        let check = self.check(provider, name);
        assert_eq!(check["status"], status, "{check:#}");
        assert!(check["message"].as_str().unwrap().contains(message), "{message:?} in {check:#}");
        assert!(check["fix"].as_str().unwrap_or_default().contains(fix), "{fix:?} in {check:#}");
    }
}

fn models(ids: &[&str]) -> Answer {
    let data: Vec<_> = ids.iter().map(|id| json!({ "type": "model", "id": id })).collect();
    Answer::json(200, &json!({ "data": data, "has_more": false }))
}

/// Lists models, and answers requests with the right key.
fn with_key(request: &Request) -> Answer {
    match (request.header("x-api-key"), request.path()) {
        ("the-right-key", "/v1/models") => models(&["claude-haiku-4-5-20251001", "claude-opus-5-5"]),
        ("the-right-key", _) => anthropic::answer(request),
        (key, _) => anthropic::error_with(401, "authentication_error", &format!("invalid x-api-key {key}")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_key_is_accepted_and_a_wrong_key_is_refused_without_being_shown() {
    let upstream = Upstream::answering(with_key).await;
    let url = upstream.url();
    let user =
        User::new().with_variable("RIGHT", "the-right-key").with_variable("WRONG_KEY", "the-wrong-key");
    user.write(
        "config.yaml",
        &format!(
            "providers:\n\
             - {{ name: right, type: anthropic, base_url: '{url}', keys: [{{ key: '${{RIGHT}}', name: team }}], \
                models: [claude-haiku-4-5] }}\n\
             - {{ name: wrong, type: anthropic, base_url: '{url}', keys: [{{ key: '${{WRONG_KEY}}' }}], \
                model_mapping: {{ opus: claude-opus-9 }} }}\n\
             - {{ name: written, type: zai, base_url: '{url}', keys: [{{ key: another-wrong-key }}] }}\n"
        ),
    );
    let outcome = user.run(&["doctor", "--json"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let report = Report::of(&outcome);
    report.assert("right", "proxy", "ok", "none", "");
    report.assert("right", "dns", "ok", "the URL has an address", "");
    report.assert("right", "tcp", "ok", "connected", "");
    report.assert("right", "credential", "ok", "key team from the variable RIGHT: accepted", "");
    report.assert("right", "model", "ok", "2 listed, with all that the configuration names", "");
    report.assert(
        "wrong",
        "credential",
        "fail",
        "refused with 401: invalid x-api-key ***",
        "set WRONG_KEY to a valid key",
    );
    report.assert(
        "written",
        "credential",
        "fail",
        "refused with 401",
        "replace the key in the file config.yaml",
    );
    assert!(report.check("right", "credential")["milliseconds"].is_u64());

    let only = user.run(&["doctor", "--provider", "right", "--send"]);
    assert_eq!(only.code, Some(0), "{only:?}");
    assert!(only.stdout.contains("  ok    request  "), "{only:?}");
    assert!(only.stdout.contains("  claude-haiku-4-5: answered ("), "{only:?}");
    assert!(only.stdout.contains("provider right  anthropic, http://127.0.0.1:"), "{only:?}");
    let sent = upstream.requests().into_iter().find(|request| request.path() == "/v1/messages").unwrap();
    assert_eq!(sent.json()["max_tokens"], 1);
    for output in [&outcome, &only] {
        for secret in ["the-right-key", "the-wrong-key", "another-wrong-key"] {
            assert!(!output.stdout.contains(secret) && !output.stderr.contains(secret), "{output:?}");
        }
    }
    let unknown = user.run(&["doctor", "--provider", "other"]);
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
    assert!(
        unknown.stderr.contains("no enabled provider with the name `other`; found right, wrong, written"),
        "{unknown:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_configured_secret_is_in_any_output_even_if_an_upstream_repeats_it() {
    const SECRETS: [&str; 6] = [
        "the-key-of-z.ai",
        "the-header-of-a-gateway",
        "the-token-of-the-admin-api",
        "the-key-of-a-client",
        "the-bearer-of-clients",
        "the-variable-of-a-header",
    ];
    let [key, header, admin, client, bearer, _] = SECRETS;
    let upstream = Upstream::answering(|request| {
        let sent = ["x-api-key", "x-gateway-key", "x-second"].map(|name| request.header(name));
        let message = format!("refused {} and {}", sent.join(" "), SECRETS.join(", "));
        anthropic::error_with(401, "authentication_error", &message)
    })
    .await;
    let user = User::new().with_variable("SECOND_SECRET", SECRETS[5]);
    user.write(
        "config.yaml",
        &format!(
            "server: {{ auth: {{ api_keys: [{{ name: c, key: {client} }}], bearer_secret: {bearer} }} }}\n\
             admin: {{ token: {admin} }}\n\
             providers:\n\
             - {{ name: z, type: zai, base_url: '{url}', keys: [{{ key: {key} }}], \
                headers: {{ x-gateway-key: {header}, x-second: '${{SECOND_SECRET}}' }} }}\n",
            url = upstream.url(),
        ),
    );
    for arguments in
        [&["doctor"][..], &["doctor", "--json"], &["doctor", "--send"], &["doctor", "--send", "--json"]]
    {
        let outcome = user.run(arguments);
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        assert!(outcome.stdout.contains("refused with 401: refused ***"), "{outcome:?}");
        for secret in SECRETS {
            assert!(
                !outcome.stdout.contains(secret) && !outcome.stderr.contains(secret),
                "{secret}: {outcome:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_of_the_connection_has_a_fix() {
    let (_refusing, refused) = Upstream::refusing();
    let private = CertificateAuthority::new();
    let untrusted = Upstream::builder().tls(&private).answering(with_key).await;
    let others = CertificateAuthority::for_names(&["other.example"]);
    let misnamed = Upstream::builder().tls(&others).answering(with_key).await;
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain_url = format!("https://{}", plain.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        while let Ok((mut connection, _)) = plain.accept().await {
            // The client may be gone.
            let _ = connection.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let silent = Upstream::builder().allow_incomplete_requests().manual().await;
    let user = User::new();
    let provider = |name: &str, url: String, more: &str| {
        format!(
            "- {{ name: {name}, type: anthropic, base_url: '{url}', keys: [{{ key: the-right-key }}]{more} }}\n"
        )
    };
    let ca_file =
        |authority: &CertificateAuthority| format!(", ca_file: '{}'", authority.ca_file().display());
    let config = [
        provider("dead", format!("http://{refused}"), ""),
        provider("nameless", "https://name.invalid".to_owned(), ""),
        provider("untrusted", untrusted.url(), ""),
        provider("trusted", untrusted.url(), &ca_file(&private)),
        provider("misnamed", misnamed.url(), &ca_file(&others)),
        provider("plain", plain_url, ""),
        provider("silent", silent.url(), ""),
    ];
    user.write("config.yaml", &format!("providers:\n{}", config.concat()));
    let outcome = user.run(&["doctor", "--json", "--timeout", "1"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let report = Report::of(&outcome);
    report.assert("dead", "tcp", "fail", "refused", "check that the server runs");
    report.assert("dead", "credential", "skip", "not checked without a connection", "");
    report.assert("nameless", "dns", "fail", "name.invalid: ", "check base_url");
    report.assert("untrusted", "tls", "fail", "unknown authority (certificate of authority ", "set ca_file");
    report.assert("trusted", "tls", "ok", "TLS 1.3, certificate of authority ", "");
    report.assert("trusted", "credential", "ok", "accepted", "");
    report.assert("misnamed", "tls", "fail", "other.example", "correct the host of base_url");
    report.assert("plain", "tls", "fail", "the server does not speak TLS", "use http://");
    report.assert("silent", "tcp", "ok", "connected", "");
    report.assert("silent", "credential", "fail", "no answer within 1 s", "--timeout");
    serving.abort();
    let checks = report.0["checks"].as_array().unwrap().iter();
    let order: Vec<_> = checks.filter_map(|check| check["provider"].as_str()).collect();
    let place = |name: &&str| config.iter().position(|own| own.contains(&format!("name: {name},")));
    assert!(order.is_sorted_by_key(place), "{order:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn models_and_the_clock_are_compared_with_those_of_the_upstream() {
    let installed =
        Upstream::answering(|_| Answer::json(200, &json!({ "models": [{ "name": "qwen3-coder:30b" }] })))
            .await;
    let empty = Upstream::answering(|_| Answer::json(200, &json!({ "models": [] }))).await;
    let skewed = Upstream::answering(|_| {
        models(&["claude-opus-5-5"]).with_header("date", "Mon, 01 Jan 2024 00:00:00 GMT")
    })
    .await;
    let user = User::new();
    user.write(
        "config.yaml",
        &format!(
            "providers:\n\
             - {{ name: mapped, type: ollama, base_url: '{0}', model_mapping: {{ 'claude-*': 'qwen3-coder:7b' }} }}\n\
             - {{ name: unmapped, type: ollama, base_url: '{0}' }}\n\
             - {{ name: empty, type: ollama, base_url: '{1}' }}\n\
             - {{ name: skewed, type: anthropic, base_url: '{2}', keys: [{{ key: k }}], \
                model_mapping: {{ a: claude-opus-9 }} }}\n",
            installed.url(),
            empty.url(),
            skewed.url()
        ),
    );
    let report = Report::of(&user.run(&["doctor", "--json"]));
    report.assert("mapped", "model", "fail", "qwen3-coder:7b: not installed", "ollama pull qwen3-coder:7b");
    report.assert("mapped", "credential", "ok", "none is needed", "");
    report.assert("unmapped", "model", "warn", "none is mapped", r#"{ "claude-*": "qwen3-coder:30b" }"#);
    report.assert("empty", "model", "fail", "no model is installed", "ollama pull");
    report.assert(
        "skewed",
        "model",
        "fail",
        "claude-opus-9: not in the list",
        "the upstream has claude-opus-5-5",
    );
    report.assert("skewed", "clock", "warn", "s ahead of the upstream's", "synchronise the clock");
}

/// Refuses or counts tokens by the model in the path.
fn bedrock_by_model(request: &Request) -> Answer {
    let error = |status, kind: &str, message: &str| {
        Answer::json(status, &json!({ "message": message })).with_header("x-amzn-errortype", kind)
    };
    match request.path() {
        path if path.contains("expired") => {
            error(403, "ExpiredTokenException", "The security token included in the request is expired")
        }
        path if path.contains("region") => {
            error(403, "InvalidSignatureException", "Credential should be scoped to a valid region.")
        }
        path if path.contains("unknown") => {
            error(400, "ValidationException", "The provided model identifier is invalid.")
        }
        path if path.contains("skewed") => Answer::json(200, &json!({ "inputTokens": 3 }))
            .with_header("date", "Mon, 01 Jan 2024 00:00:00 GMT"),
        _ => Answer::json(200, &json!({ "inputTokens": 3 })),
    }
}

/// Refuses the refresh token of a user.
fn expired_login(_: &Request) -> Answer {
    Answer::json(
        400,
        &json!({ "error": "invalid_grant", "error_description": "Token has been expired or revoked." }),
    )
}

/// Writes a configuration with a provider for each answer of [`bedrock_by_model`], and one of Google.
fn configure_clouds(user: &User, aws: &str, google: &str) {
    let bedrock = |name: &str, model: &str, more: &str| {
        format!(
            "- {{ name: {name}, type: bedrock, base_url: '{aws}', aws_region: us-east-1, \
             aws_access_key_id: AKIDEXAMPLE, aws_secret_access_key: the-secret-of-aws{more}, \
             model_mapping: {{ 'claude-*': '{model}' }} }}\n"
        )
    };
    let login = json!({
        "type": "authorized_user", "client_id": "id", "client_secret": "the-client-secret",
        "refresh_token": "the-refresh-token", "token_uri": format!("{google}/token"),
    });
    user.write("adc.json", &login.to_string());
    let config = [
        bedrock("right", "anthropic.claude-haiku-4-5", ""),
        bedrock("expired", "expired", ", aws_session_token: '${AWS_SESSION_TOKEN}'"),
        bedrock("region", "region", ""),
        bedrock("unknown", "unknown", ""),
        bedrock("skewed", "skewed", ""),
        format!(
            "- {{ name: google, type: vertex, base_url: '{google}', gcp_project_id: p, credentials_file: adc.json }}\n"
        ),
    ];
    user.write("config.yaml", &format!("providers:\n{}", config.concat()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_credentials_of_clouds_are_loaded_and_tried() {
    let aws = Upstream::answering(bedrock_by_model).await;
    let google = Upstream::answering(expired_login).await;
    let user = User::new().with_variable("AWS_SESSION_TOKEN", "session-token-of-aws");
    configure_clouds(&user, &aws.url(), &google.url());
    let outcome = user.run(&["doctor", "--json"]);
    let report = Report::of(&outcome);
    for (provider, check, state, text, fix) in [
        ("right", "credential", "ok", "keys from the file config.yaml: accepted", ""),
        ("right", "model", "ok", "anthropic.claude-haiku-4-5: known", ""),
        (
            "expired",
            "credential",
            "fail",
            "expired",
            "renew the session, whose token is in the variable AWS_SESSION_TOKEN",
        ),
        ("region", "credential", "fail", "valid region", "set aws_region to the region of the endpoint"),
        ("unknown", "credential", "ok", "accepted", ""),
        (
            "unknown",
            "model",
            "fail",
            "unknown: The provided model identifier is invalid.",
            "list-inference-profiles --region us-east-1",
        ),
        ("skewed", "clock", "fail", "AWS refuses signatures", "synchronise the clock"),
        (
            "google",
            "credential",
            "fail",
            "Token has been expired or revoked.",
            "gcloud auth application-default login",
        ),
    ] {
        report.assert(provider, check, state, text, fix);
    }
    for secret in ["the-secret-of-aws", "session-token-of-aws", "the-client-secret", "the-refresh-token"] {
        assert!(!outcome.stdout.contains(secret) && !outcome.stderr.contains(secret), "{outcome:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_deployments_of_azure_and_tokens_of_google_are_tried() {
    let azure = Upstream::answering(|request| {
        let error = |status, code: &str, message: &str| {
            Answer::json(status, &json!({ "error": { "code": code, "message": message } }))
        };
        match (request.header("x-api-key"), &request.json()["model"]) {
            ("azure-key-1", model) if model == "my-opus" => Answer::json(200, &json!({ "input_tokens": 3 })),
            ("azure-key-1", _) => error(404, "DeploymentNotFound", "The API deployment does not exist."),
            _ => error(401, "401", "Access denied due to invalid subscription key or wrong API endpoint."),
        }
    })
    .await;
    let google = Upstream::answering(|request| match request.path() {
        "/token" => google::answer(request, "token-of-google", 3600),
        _ => Answer::json(200, &json!({ "input_tokens": 3 })),
    })
    .await;
    let user = User::new().with_variable("AZURE", "azure-key-1");
    user.write("adc.json", &google::authorized_user(&google.url()).to_string());
    let azure = |name: &str, key: &str, model: &str| {
        format!(
            "- {{ name: {name}, type: azure, base_url: '{}/anthropic', keys: [{{ key: '{key}' }}], \
             model_mapping: {{ 'claude-*': {model} }} }}\n",
            azure.url()
        )
    };
    let config = [
        azure("right", "${AZURE}", "my-opus"),
        azure("wrong", "azure-key-2", "my-opus"),
        azure("unknown", "${AZURE}", "my-sonnet"),
        format!(
            "- {{ name: google, type: vertex, base_url: '{}', gcp_project_id: p, credentials_file: adc.json }}\n",
            google.url()
        ),
    ];
    user.write("config.yaml", &format!("providers:\n{}", config.concat()));
    let outcome = user.run(&["doctor", "--json"]);
    let report = Report::of(&outcome);
    report.assert("right", "credential", "ok", "from the variable AZURE: accepted", "");
    report.assert("right", "model", "ok", "my-opus: known", "");
    report.assert(
        "wrong",
        "credential",
        "fail",
        "refused with 401: Access denied",
        "replace the key in the file config.yaml",
    );
    report.assert("unknown", "credential", "ok", "accepted", "");
    report.assert("unknown", "model", "fail", "my-sonnet: ", "map it to the name of a deployment");
    report.assert("google", "credential", "ok", "the credentials file adc.json, valid until 2", "");
    for secret in ["azure-key-1", "azure-key-2", "token-of-google"] {
        assert!(!outcome.stdout.contains(secret), "{outcome:?}");
    }
}

#[test]
fn the_proxy_of_the_environment_is_named() {
    let (_refusing, dead) = Upstream::refusing();
    let config = "providers: [{ name: a, type: zai, base_url: 'https://upstream.invalid', keys: [{ key: a-long-key }] }]\n";
    for (proxy, check, status, message, fix) in [
        (format!("http://{dead}"), "proxy", "ok", format!("connections go through {dead}"), String::new()),
        (
            format!("http://{dead}"),
            "tcp",
            "fail",
            "refused".to_owned(),
            format!("check that the proxy at {dead} runs"),
        ),
        (
            "socks5://127.0.0.1:1".to_owned(),
            "proxy",
            "fail",
            "socks5://".to_owned(),
            "set HTTPS_PROXY to an http:// URL".to_owned(),
        ),
    ] {
        let user = User::new().with_variable("HTTPS_PROXY", proxy);
        user.write("config.yaml", config);
        let report = Report::of(&user.run(&["doctor", "--json", "--provider", "a", "--send"]));
        report.assert("a", check, status, &message, &fix);
        report.assert("a", "request", "skip", "not sent without a connection", "");
    }
}

#[test]
fn mistakes_of_the_configuration_are_failures_of_doctor() {
    let user = User::new();
    user.write("config.yaml", "providers: [{ name: a, type: zai }]\nrouting: { strategy: best }\n");
    let outcome = user.run(&["doctor"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert_eq!(outcome.stdout.matches("  fail  settings  config.yaml:").count(), 2, "{outcome:?}");
    assert!(
        outcome.stdout.contains("fix: correct it; `cc-relay config validate` checks it again"),
        "{outcome:?}"
    );
}

/// The checks of a group as triples of check, status and message.
fn group<'a>(report: &'a Report, name: &str) -> Vec<(&'a str, &'a str, &'a str)> {
    let checks = report.0["checks"].as_array().unwrap().iter().filter(|check| check["group"] == name);
    let text = |check: &'a Value, key: &str| check[key].as_str().unwrap();
    checks.map(|check| (text(check, "check"), text(check, "status"), text(check, "message"))).collect()
}

#[track_caller]
fn assert_some(checks: &[(&str, &str, &str)], name: &str, status: &str, message: &str) {
    let is_it =
        |check: &&(&str, &str, &str)| check.0 == name && check.1 == status && check.2.contains(message);
    assert!(checks.iter().any(|check| is_it(&check)), "no {name} {status} {message:?} in {checks:#?}");
}

#[test]
fn a_base_url_that_no_server_answers_is_named_with_its_place() {
    let (_refusing, dead) = Upstream::refusing();
    let user = User::new().with_variable("HTTPS_PROXY", "http://proxy.invalid:1");
    user.write("config.yaml", "server: { listen: '127.0.0.1:0' }\nproviders: [{ name: m, type: mock }]\n");
    std::fs::create_dir_all(user.path(".claude")).unwrap();
    let settings =
        json!({ "env": { "ANTHROPIC_BASE_URL": format!("http://{dead}"), "CLAUDE_CODE_USE_VERTEX": "1" } });
    user.write(".claude/settings.json", &serde_json::to_string_pretty(&settings).unwrap());
    user.write(".claude/settings.local.json", "{ \"env\": {}, }");
    user.write(".bashrc", &format!("# theirs\nexport ANTHROPIC_BASE_URL=\"http://{dead}/left\"\n"));
    let outcome = user.run(&["doctor", "--json"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let report = Report::of(&outcome);
    let claude = group(&report, "claude code");
    assert_some(&claude, "base url", "fail", "settings.json:3: no server answers");
    assert_some(&claude, "base url", "fail", ".bashrc:2: left behind");
    assert_some(&claude, "settings", "fail", "Claude Code ignores the whole file");
    assert_some(&claude, "cloud mode", "fail", "CLAUDE_CODE_USE_VERTEX");
    assert_some(&claude, "proxy", "fail", "also catches 127.0.0.1");
    assert_some(&claude, "version", "skip", "not in PATH");
    assert_some(&group(&report, "directories"), "data", "skip", "usage.enabled is false");
    assert_some(&group(&report, "directories"), "state", "ok", "can be created");
    assert_some(&group(&report, "listeners"), "server.listen", "ok", "the system chooses the port");
}

#[test]
fn a_running_relay_is_found_at_its_address_and_in_the_settings_of_claude_code() {
    let user = User::new();
    user.write("config.yaml", "providers: [{ name: m, type: mock }]\n");
    let (_relay, address) = user.serve(&[]);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let other = listener.local_addr().unwrap();
    let url = format!("http://{address}");
    let user = user
        .with_variable("ANTHROPIC_BASE_URL", &url)
        .with_variable("ANTHROPIC_AUTH_TOKEN", "managed-by-cc-relay");
    let outcome =
        user.run(&["doctor", "--json", "--listen", &address.to_string(), "--listen", &other.to_string()]);
    let report = Report::of(&outcome);
    let listeners = group(&report, "listeners");
    assert_some(&listeners, "server.listen", "ok", "cc-relay ");
    assert_some(&listeners, "server.listen", "fail", "is in use by ");
    let claude = group(&report, "claude code");
    assert_some(&claude, "base url", "ok", "the variable ANTHROPIC_BASE_URL: cc-relay ");
    assert_some(&claude, "credential", "ok", "ANTHROPIC_AUTH_TOKEN of the environment");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_url_of_https_is_checked_with_the_certificates_that_claude_code_trusts() {
    let authority = CertificateAuthority::new();
    let relay = Upstream::builder()
        .tls(&authority)
        .answering(|request| match request.path() {
            "/" => Answer::json(200, &json!({ "service": "cc-relay" })),
            "/healthz" => Answer::json(200, &json!({ "version": "1.2.3" })),
            _ => Answer::json(200, &json!({ "data": [] })),
        })
        .await;
    let (_refusing, dead) = Upstream::refusing();
    let file = authority.ca_file().display().to_string();
    let gateway = Upstream::builder().tls(&authority).answering(|_| Answer::json(404, &json!({}))).await;
    let dead = format!("https://{dead}");
    for (url, certificates, proxy, status, message) in [
        (relay.url(), Some(&file), None, "ok", "cc-relay 1.2.3 answers"),
        (relay.url(), None, None, "fail", "is not trusted by this machine"),
        (gateway.url(), Some(&file), None, "warn", "the server is not cc-relay"),
        (dead.clone(), Some(&file), None, "fail", "no server answers"),
        (dead, Some(&file), Some("http://proxy.invalid:1"), "skip", "behind a proxy"),
    ] {
        let mut user = User::new();
        if let Some(proxy) = proxy {
            user = user.with_variable("HTTPS_PROXY", proxy);
        }
        user.write(
            "config.yaml",
            "server: { listen: '127.0.0.1:0' }\nproviders: [{ name: m, type: mock }]\n",
        );
        std::fs::create_dir_all(user.path(".claude")).unwrap();
        let mut env = json!({ "ANTHROPIC_BASE_URL": url });
        if let Some(file) = certificates {
            env["NODE_EXTRA_CA_CERTS"] = json!(file);
        }
        user.write(".claude/settings.json", &json!({ "env": env }).to_string());
        let report = Report::of(&user.run(&["doctor", "--json"]));
        assert_some(&group(&report, "claude code"), "base url", status, message);
        let shown = user.run(&["config", "cc", "status"]);
        assert_eq!(shown.code, Some(i32::from(status != "ok")), "{shown:?}");
    }
}

#[test]
fn subscription_pass_through_with_a_placeholder_beside_it_fails() {
    let user = User::new()
        .with_variable("ANTHROPIC_BASE_URL", "http://127.0.0.1:1")
        .with_variable("ANTHROPIC_AUTH_TOKEN", "managed-by-cc-relay");
    user.write(
        "config.yaml",
        "providers: [{ name: a, type: anthropic, base_url: 'http://127.0.0.1:1', passthrough: true }]\n",
    );
    let report = Report::of(&user.run(&["doctor", "--json"]));
    assert_some(&group(&report, "claude code"), "credential", "fail", "the subscription is not used");
    report.assert("a", "credential", "skip", "that of each client is passed through", "");
}
