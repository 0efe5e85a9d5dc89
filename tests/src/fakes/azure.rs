//! Claude on Azure AI Foundry, and the services that give out tokens for it.
//!
//! # Source
//! Anthropic's SDKs for Foundry; Microsoft's documentation of Entra ID and of managed identities.

use serde_json::{Value, json};

use super::anthropic::{self, Credential};
use super::{content, oauth};
use crate::answer::Answer;
use crate::request::Request;
use crate::rule::{self, Rule};

/// What stands in front of the API's paths.
pub const PREFIX: &str = "/anthropic";
/// The `apim-request-id` of every answer.
pub const REQUEST_ID: &str = "7f0b3a52-1c0e-4c0e-9c9a-3b1b6a5a0f11";
/// The directory of the tests.
pub const TENANT: &str = "11111111-2222-3333-4444-555555555555";
/// Its application.
pub const CLIENT: &str = "66666666-7777-8888-9999-000000000000";
/// The application's secret.
pub const CLIENT_SECRET: &str = "the~clients.secret";

/// The variables of a service with this secret, whose tokens come from `authority`.
#[must_use]
pub fn client_secret(authority: &str) -> [(&'static str, &str); 4] {
    [
        ("AZURE_AUTHORITY_HOST", authority),
        ("AZURE_TENANT_ID", TENANT),
        ("AZURE_CLIENT_ID", CLIENT),
        ("AZURE_CLIENT_SECRET", CLIENT_SECRET),
    ]
}
/// What Kubernetes puts into a file.
pub const FEDERATED_TOKEN: &str = "federated.token.of-the-cluster";
/// What App Service puts into `IDENTITY_HEADER`.
pub const IDENTITY_HEADER: &str = "the-identity-header";

const RESOURCE: &str = "https://ai.azure.com";

/// `key` in both headers, and no other credential.
#[must_use]
pub fn key_rules(key: &'static str) -> Vec<Rule> {
    let mut rules = anthropic::rules(Credential::Key(key));
    rules.extend([rule::header("api-key", key), Rule::new(check_target)]);
    rules.extend([Rule::new(|request| content::without_scope(&request.json())), content::nothing_private()]);
    rules
}

/// `token`, and no key.
#[must_use]
pub fn token_rules(token: &'static str) -> Vec<Rule> {
    let mut rules = anthropic::rules(Credential::Bearer(token));
    rules.extend([rule::without("api-key"), Rule::new(check_target)]);
    rules
}

fn check_target(request: &Request) -> Result<(), String> {
    let known = ["/anthropic/v1/messages", "/anthropic/v1/messages/count_tokens"];
    match request.method == "POST" && known.contains(&request.path()) {
        true => Ok(()),
        false => Err(format!("{} {}: Resource not found", request.method, request.path())),
    }
}

/// Answers as Foundry does, without anything about limits.
#[must_use]
pub fn answer(request: &Request) -> Answer {
    let mut below = request.clone();
    below.target = request.target.strip_prefix(PREFIX).unwrap_or(&request.target).to_owned();
    anthropic::answer(&below).with_header("apim-request-id", REQUEST_ID)
}

/// An error of the gateway in front of the models.
#[must_use]
pub fn gateway_error(status: u16, code: &str, message: &str) -> Answer {
    let body = json!({"error": {"code": code, "message": message}});
    Answer::json(status, &body).with_header("apim-request-id", REQUEST_ID)
}

/// Answers as Entra ID does. Whoever asks as Azure's libraries do gets `token`, valid for `lifetime` seconds.
#[must_use]
pub fn entra(request: &Request, token: &str, lifetime: u64) -> Answer {
    match check_grant(request) {
        Ok(()) => Answer::json(
            200,
            &json!({"token_type": "Bearer", "expires_in": lifetime, "ext_expires_in": lifetime, "access_token": token}),
        ),
        Err(problem) => {
            let description = format!("AADSTS7000215: {problem}\r\nTrace ID: 0 Correlation ID: 0");
            Answer::json(401, &json!({"error": "invalid_client", "error_description": description}))
        }
    }
}

fn check_grant(request: &Request) -> Result<(), String> {
    if request.target != format!("/{TENANT}/oauth2/v2.0/token") {
        return Err(format!("{} is no token endpoint", request.target));
    }
    let form = oauth::form(request)?;
    let grant = [
        ("grant_type", "client_credentials"),
        ("client_id", CLIENT),
        ("scope", "https://ai.azure.com/.default"),
    ];
    let secret = [&grant[..], &[("client_secret", CLIENT_SECRET)]].concat();
    let assertion_type = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let assertion = [("client_assertion_type", assertion_type), ("client_assertion", FEDERATED_TOKEN)];
    let federated = [&grant[..], &assertion].concat();
    oauth::demand(&form, &secret).or_else(|_| oauth::demand(&form, &federated))
}

/// Answers as App Service does on `IDENTITY_ENDPOINT`.
#[must_use]
pub fn app_service(request: &Request, token: &str, expires_on: u64) -> Answer {
    let query = [("api-version", "2019-08-01"), ("resource", RESOURCE), ("client_id", CLIENT)];
    let allowed = request.headers.get("x-identity-header") == Some(IDENTITY_HEADER)
        && !request.headers.contains("metadata");
    machine(request, allowed, &query, &json!({"access_token": token, "expires_on": expires_on.to_string()}))
}

/// Answers as the instance metadata service does.
#[must_use]
pub fn instance_metadata(request: &Request, token: &str, lifetime: u64) -> Answer {
    let query = [("api-version", "2018-02-01"), ("resource", RESOURCE)];
    let allowed = request.headers.get("metadata") == Some("true");
    machine(request, allowed, &query, &json!({"access_token": token, "expires_in": lifetime.to_string()}))
}

fn machine(request: &Request, allowed: bool, query: &[(&str, &str)], token: &Value) -> Answer {
    match oauth::demand(&oauth::query(request), query) {
        Ok(()) if allowed && request.method == "GET" => Answer::json(200, token),
        problem => Answer::json(
            400,
            &json!({"error": "invalid_request", "error_description": format!("{problem:?}")}),
        ),
    }
}
