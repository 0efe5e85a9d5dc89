//! Resolves the settings of type `bedrock`.

use super::fallback::own_or_environment;
use super::keys::check_key;
use crate::cloud::aws;
use crate::config::{AwsCredentials, BedrockApi, BedrockConfig};
use crate::error::Fault;
use crate::names::BaseUrl;
use crate::raw;
use crate::resolve::reporter::{Reporter, value_fault};
use crate::secret::Secret;
use crate::tree::KeyPath;

/// The prefix of temporary access keys.
const TEMPORARY: &str = "ASIA";

pub(super) fn resolve(
    raw: &mut raw::Provider,
    base_url: Option<BaseUrl>,
    enabled: bool,
    path: &KeyPath,
    to: &mut Reporter<'_>,
) -> BedrockConfig {
    let region = region(raw, enabled, path, to);
    let credentials = credentials(raw, enabled, path, to);
    // Signing needs the region with any address. A profile may name it.
    let has_profile = matches!(credentials, AwsCredentials::Profile(_)) || aws::has_profile(to.environment);
    let is_addressed = base_url.is_some() && matches!(credentials, AwsCredentials::BearerToken(_));
    if enabled && region.is_none() && !has_profile && !is_addressed {
        let expected = "give the region, as in us-east-1, or set AWS_REGION";
        to.problem(&path.key("aws_region"), Fault::Missing { expected: expected.to_owned() });
    }
    let api = match raw.bedrock_api {
        Some(raw::BedrockApi::Invoke) | None => BedrockApi::Invoke,
        Some(raw::BedrockApi::Messages) => BedrockApi::Messages,
    };
    BedrockConfig { base_url, region, credentials, api }
}

/// Returns the region of the file, otherwise of the environment.
fn region(raw: &mut raw::Provider, enabled: bool, path: &KeyPath, to: &mut Reporter<'_>) -> Option<String> {
    let environment = aws::region(to.environment);
    own_or_environment(
        raw.aws_region.take(),
        environment,
        aws::check_region,
        enabled,
        &path.key("aws_region"),
        to,
    )
}

/// Returns the credential of the file, of which there may be only one, otherwise that of the environment.
fn credentials(
    raw: &mut raw::Provider,
    enabled: bool,
    path: &KeyPath,
    to: &mut Reporter<'_>,
) -> AwsCredentials {
    let keys = [&raw.aws_access_key_id, &raw.aws_secret_access_key, &raw.aws_session_token];
    let ways = [
        ("aws_access_key_id", keys.iter().any(|key| key.is_some())),
        ("aws_bearer_token", raw.aws_bearer_token.is_some()),
        ("aws_profile", raw.aws_profile.is_some()),
    ];
    let mut ways = ways.into_iter().filter_map(|(way, is_set)| is_set.then_some(way));
    if let (Some(first), Some(second)) = (ways.next(), ways.next()) {
        let fault = value_fault(format!("{second} beside {first}"), "one of them", "remove the other one");
        to.problem(&path.key(second), fault);
    }
    if keys.iter().any(|key| key.is_some()) {
        access_keys(raw, enabled, path, to).unwrap_or(AwsCredentials::DefaultChain)
    } else if let Some(token) = raw.aws_bearer_token.take() {
        check_key(&token, &path.key("aws_bearer_token"), to);
        AwsCredentials::BearerToken(Secret::new(token))
    } else if let Some(profile) = raw.aws_profile.take() {
        AwsCredentials::Profile(profile)
    } else {
        aws::credentials(to.environment)
    }
}

/// Returns the access keys of the file, or `None` if half of the pair is missing, which has been reported. In a
/// disabled provider a variable may be unset.
fn access_keys(
    raw: &mut raw::Provider,
    enabled: bool,
    path: &KeyPath,
    to: &mut Reporter<'_>,
) -> Option<AwsCredentials> {
    let mut take = |key: &str, value: Option<String>, is_needed: bool, expected: &str| {
        let path = path.key(key);
        match &value {
            Some(value) => check_key(value, &path, to),
            None if is_needed && enabled => {
                to.problem(&path, Fault::Missing { expected: expected.to_owned() });
            }
            None => {}
        }
        value.map(Secret::new)
    };
    let pair = "aws_access_key_id and aws_secret_access_key belong together";
    let id = take("aws_access_key_id", raw.aws_access_key_id.take(), true, pair);
    let secret = take("aws_secret_access_key", raw.aws_secret_access_key.take(), true, pair);
    let is_temporary = id.as_ref().is_some_and(|id| id.expose().starts_with(TEMPORARY));
    let why = format!("an access key that starts with {TEMPORARY} is temporary and needs its session token");
    let session_token = take("aws_session_token", raw.aws_session_token.take(), is_temporary, &why);
    Some(AwsCredentials::Keys { access_key_id: id?, secret_access_key: secret?, session_token })
}
