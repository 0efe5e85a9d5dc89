//! Google's token endpoints and metadata server.
//!
//! # Source
//! google-auth 2.62: `oauth2/_client.py`, `oauth2/sts.py`, `impersonated_credentials.py`, `compute_engine/_metadata.py`.

use std::io::Write;
use std::time::SystemTime;

use rustls::pki_types::alg_id::RSA_PKCS1_SHA256;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::oauth;
use crate::answer::Answer;
use crate::request::Request;

/// The private key of the service account, made for these tests.
const KEY: &str = include_str!("../../testdata/google/test-key.pem");
const PUBLIC_KEY: &[u8] = include_bytes!("../../testdata/google/test-key.pub.der");
const KEY_ID: &str = "0123456789abcdef0123456789abcdef01234567";
const EMAIL: &str = "relay@my-project.iam.gserviceaccount.com";
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const AUDIENCE: &str = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q";

/// The client secret in a user's credentials.
pub const CLIENT_SECRET: &str = "the-users-client-secret";
/// The refresh token in a user's credentials.
pub const REFRESH_TOKEN: &str = "1//the-users-refresh-token";
/// The token of an external identity provider, for workload identity federation.
pub const SUBJECT_TOKEN: &str = "subject.token.of-another-issuer";
/// The project id that the metadata server returns.
pub const METADATA_PROJECT: &str = "machines-project";

/// Returns the key file of a service account.
#[must_use]
pub fn service_account(token_server: &str) -> Value {
    json!({
        "type": "service_account", "project_id": "files-project", "private_key_id": KEY_ID,
        "private_key": KEY, "client_email": EMAIL, "client_id": "1",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth", "token_uri": format!("{token_server}/token"),
        "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
        "universe_domain": "googleapis.com",
    })
}

/// Writes `credentials` to a temporary file.
/// # Panics
/// If the file cannot be written.
#[must_use]
pub fn credentials_file(credentials: &Value) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a temporary file");
    file.write_all(credentials.to_string().as_bytes()).expect("a temporary file takes writes");
    file
}

/// Returns the credentials file that gcloud writes for a user.
#[must_use]
pub fn authorized_user(token_server: &str) -> Value {
    json!({
        "type": "authorized_user", "account": "", "client_id": "the-client.apps.googleusercontent.com",
        "client_secret": CLIENT_SECRET, "refresh_token": REFRESH_TOKEN, "quota_project_id": "quota-project",
        "token_uri": format!("{token_server}/token"), "universe_domain": "googleapis.com",
    })
}

/// Returns the credentials file of workload identity federation with this `credential_source`.
#[must_use]
pub fn external_account(token_server: &str, source: &Value) -> Value {
    json!({
        "type": "external_account", "audience": AUDIENCE,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": format!("{token_server}/v1/token"), "credential_source": source,
    })
}

/// Returns the URL that issues tokens of the service account to an identity that may impersonate it.
#[must_use]
pub fn impersonation_url(token_server: &str) -> String {
    format!("{token_server}/v1/projects/-/serviceAccounts/{EMAIL}:generateAccessToken")
}

/// Returns a credentials file to impersonate the service account with the credentials `source`.
#[must_use]
pub fn impersonated(token_server: &str, source: &Value) -> Value {
    json!({
        "type": "impersonated_service_account", "delegates": ["first@my-project.iam.gserviceaccount.com"],
        "service_account_impersonation_url": impersonation_url(token_server), "source_credentials": source,
    })
}

/// Answers like the endpoints. A token request in the form of Google's libraries gets `token`, valid for `lifetime`
/// seconds. Any other request gets an error that describes the difference.
#[must_use]
pub fn answer(request: &Request, token: &str, lifetime: u64) -> Answer {
    match (request.method.as_str(), request.path()) {
        ("POST", "/token") => token_answer(oauth_grant(request), token, lifetime),
        ("POST", "/v1/token") => token_answer(exchange(request), token, lifetime),
        ("POST", path) if path.ends_with(":generateAccessToken") => impersonate(request, token),
        ("GET", "/subject") => subject(request),
        ("GET", path) if path.starts_with("/computeMetadata/v1/") => metadata(request, token, lifetime),
        _ => Answer::text(
            404,
            "text/html; charset=UTF-8",
            "<!DOCTYPE html><title>Error 404 (Not Found)!!1</title>",
        ),
    }
}

fn token_answer(checked: Result<(), String>, token: &str, lifetime: u64) -> Answer {
    match checked {
        Ok(()) => Answer::json(
            200,
            &json!({"access_token": token, "expires_in": lifetime, "token_type": "Bearer", "scope": SCOPE}),
        ),
        Err(problem) => Answer::json(400, &json!({"error": "invalid_grant", "error_description": problem})),
    }
}

fn oauth_grant(request: &Request) -> Result<(), String> {
    let form = oauth::form(request)?;
    if form.get("grant_type").is_some_and(|grant| grant == "refresh_token") {
        return oauth::require_fields(
            &form,
            &[
                ("grant_type", "refresh_token"),
                ("client_id", "the-client.apps.googleusercontent.com"),
                ("client_secret", CLIENT_SECRET),
                ("refresh_token", REFRESH_TOKEN),
            ],
        );
    }
    let assertion = form.get("assertion").ok_or("no assertion")?.clone();
    let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    oauth::require_fields(&form, &[("grant_type", grant), ("assertion", &assertion)])?;
    check_assertion(&assertion)
}

/// Verifies the signature and every claim. As at Google's endpoint, base64 may be padded, the header may name the key, and
/// `sub` may be null.
fn check_assertion(assertion: &str) -> Result<(), String> {
    let (signed, signature) = assertion.rsplit_once('.').ok_or("no signature")?;
    let (header, claims) = signed.split_once('.').ok_or("no claims")?;
    let decode = |text: &str| {
        let text = text.trim_end_matches('=');
        base64_simd::URL_SAFE_NO_PAD.decode_to_vec(text).map_err(|error| format!("{text}: {error}"))
    };
    let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms;
    let rs256 = algorithms.all.iter().find(|algorithm| algorithm.signature_alg_id() == RSA_PKCS1_SHA256);
    let rs256 = rs256.ok_or("RS256 is not available")?;
    rs256
        .verify_signature(PUBLIC_KEY, signed.as_bytes(), &decode(signature)?)
        .map_err(|_| "Invalid JWT Signature.")?;

    let json = |text: &str| -> Result<Value, String> {
        serde_json::from_slice(&decode(text)?).map_err(|error| error.to_string())
    };
    let header = json(header)?;
    let plain = json!({"alg": "RS256", "typ": "JWT"});
    if header != plain && header != json!({"alg": "RS256", "typ": "JWT", "kid": KEY_ID}) {
        return Err(format!("the header is {header}"));
    }
    check_claims(&json(claims)?)
}

fn check_claims(claims: &Value) -> Result<(), String> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_err(|error| error.to_string())?;
    let iat = claims["iat"].as_u64().ok_or("no iat")?;
    if iat.abs_diff(now.as_secs()) > 60 {
        return Err(format!("iat is {iat}, but the time is {}", now.as_secs()));
    }
    let lifetime = claims["exp"].as_u64().ok_or("no exp")?.saturating_sub(iat);
    if !(1..=3600).contains(&lifetime) || !claims["sub"].is_null() {
        return Err(format!("the claims are {claims}"));
    }
    let found = [&claims["iss"], &claims["scope"], &claims["aud"]];
    let expected = [EMAIL, SCOPE, "https://oauth2.googleapis.com/token"];
    if found == expected { Ok(()) } else { Err(format!("the claims are {claims}")) }
}

fn exchange(request: &Request) -> Result<(), String> {
    oauth::require_fields(
        &oauth::form(request)?,
        &[
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("audience", AUDIENCE),
            ("scope", SCOPE),
            ("subject_token", SUBJECT_TOKEN),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ],
    )
}

fn impersonate(request: &Request, token: &str) -> Answer {
    let body = request.json();
    let is_permitted = request.headers.get("authorization") == Some(&format!("Bearer {token}"))
        && body["scope"] == json!([SCOPE])
        && body["lifetime"] == "3600s"
        && (body["delegates"].is_array() || body["delegates"].is_null());
    if !is_permitted {
        let error = json!({"code": 403, "message": "Permission denied", "status": "PERMISSION_DENIED"});
        return Answer::json(403, &json!({"error": error}));
    }
    let answer =
        json!({"accessToken": format!("{token}-impersonated"), "expireTime": "2099-01-01T00:00:00Z"});
    Answer::json(200, &answer)
}

fn subject(request: &Request) -> Answer {
    match request.headers.get("x-for") {
        Some("relay") => Answer::json(200, &json!({"value": SUBJECT_TOKEN})),
        _ => Answer::new(403),
    }
}

fn metadata(request: &Request, token: &str, lifetime: u64) -> Answer {
    if request.headers.get("metadata-flavor") != Some("Google") {
        return Answer::text(403, "text/html", "Missing Metadata-Flavor:Google header.");
    }
    let answer = match request.path() {
        "/computeMetadata/v1/instance/service-accounts/default/token" => {
            token_answer(oauth::require_fields(&oauth::query(request), &[("scopes", SCOPE)]), token, lifetime)
        }
        "/computeMetadata/v1/project/project-id" => Answer::text(200, "application/text", METADATA_PROJECT),
        _ => Answer::new(404),
    };
    answer.with_header("metadata-flavor", "Google")
}
