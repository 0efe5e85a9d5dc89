//! Claude on Azure AI Foundry, and the token services of Azure.
//!
//! # Source
//! Anthropic's SDKs for Foundry; Microsoft's documentation of Entra ID and of managed identities.

use serde_json::{Value, json};

use super::anthropic::{self, Credential};
use super::{content, oauth};
use crate::answer::Answer;
use crate::request::Request;
use crate::rule::{self, Rule};

/// The path prefix of the API.
pub const PREFIX: &str = "/anthropic";
/// The `apim-request-id` of every answer.
pub const REQUEST_ID: &str = "7f0b3a52-1c0e-4c0e-9c9a-3b1b6a5a0f11";
/// The tenant id of the tests.
pub const TENANT: &str = "11111111-2222-3333-4444-555555555555";
/// The client id of the application in [`TENANT`].
pub const CLIENT: &str = "66666666-7777-8888-9999-000000000000";
/// The client secret of the application.
pub const CLIENT_SECRET: &str = "the~clients.secret";

/// Returns the environment variables of a service that authenticates with [`CLIENT_SECRET`] at `authority`.
#[must_use]
pub fn client_secret(authority: &str) -> [(&'static str, &str); 4] {
    [
        ("AZURE_AUTHORITY_HOST", authority),
        ("AZURE_TENANT_ID", TENANT),
        ("AZURE_CLIENT_ID", CLIENT),
        ("AZURE_CLIENT_SECRET", CLIENT_SECRET),
    ]
}
/// The token that Kubernetes writes into a file for workload identity.
pub const FEDERATED_TOKEN: &str = "federated.token.of-the-cluster";
/// The value of `IDENTITY_HEADER` that App Service sets.
pub const IDENTITY_HEADER: &str = "the-identity-header";

const RESOURCE: &str = "https://ai.azure.com";

/// Returns the rules for requests with `key`: in `x-api-key` and in `api-key`, and no other credential.
#[must_use]
pub fn key_rules(key: &'static str) -> Vec<Rule> {
    let mut rules = anthropic::rules(Credential::Key(key));
    rules.extend([rule::header("api-key", key), Rule::new(check_target)]);
    rules.extend([Rule::new(|request| content::without_scope(&request.json())), content::no_safeguards()]);
    rules
}

/// Returns the rules for requests with `token` of Entra ID: in `authorization`, and no key.
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

/// Answers like Foundry.
#[must_use]
pub fn answer(request: &Request) -> Answer {
    let mut inner = request.clone();
    inner.target = request.target.strip_prefix(PREFIX).unwrap_or(&request.target).to_owned();
    anthropic::answer(&inner).with_header("apim-request-id", REQUEST_ID)
}

/// Returns an error of Azure's gateway, which does not reach the model.
#[must_use]
pub fn gateway_error(status: u16, code: &str, message: &str) -> Answer {
    let body = json!({"error": {"code": code, "message": message}});
    Answer::json(status, &body).with_header("apim-request-id", REQUEST_ID)
}

/// Answers like Entra ID. A request in the form of Azure's libraries gets `token`, valid for `lifetime` seconds.
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
        return Err(format!("{} is not a token endpoint", request.target));
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
    oauth::require_fields(&form, &secret).or_else(|_| oauth::require_fields(&form, &federated))
}

/// Answers like the `IDENTITY_ENDPOINT` of App Service.
#[must_use]
pub fn app_service(request: &Request, token: &str, expires_on: u64) -> Answer {
    let query = [("api-version", "2019-08-01"), ("resource", RESOURCE), ("client_id", CLIENT)];
    let allowed = request.headers.get("x-identity-header") == Some(IDENTITY_HEADER)
        && !request.headers.contains("metadata");
    managed_identity(
        request,
        allowed,
        &query,
        &json!({"access_token": token, "expires_on": expires_on.to_string()}),
    )
}

/// Answers like the instance metadata service.
#[must_use]
pub fn instance_metadata(request: &Request, token: &str, lifetime: u64) -> Answer {
    let query = [("api-version", "2018-02-01"), ("resource", RESOURCE)];
    let allowed = request.headers.get("metadata") == Some("true");
    managed_identity(
        request,
        allowed,
        &query,
        &json!({"access_token": token, "expires_in": lifetime.to_string()}),
    )
}

fn managed_identity(request: &Request, allowed: bool, query: &[(&str, &str)], token: &Value) -> Answer {
    match oauth::require_fields(&oauth::query(request), query) {
        Ok(()) if allowed && request.method == "GET" => Answer::json(200, token),
        problem => Answer::json(
            400,
            &json!({"error": "invalid_request", "error_description": format!("{problem:?}")}),
        ),
    }
}
