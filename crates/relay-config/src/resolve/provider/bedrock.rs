//! Resolves the settings of type `bedrock`.

use super::fallback::own_or_environment;
use crate::cloud::aws;
use crate::cloud::aws_endpoint::{self, EndpointSwitches};
use crate::cloud::aws_file::{AwsFiles, FileSecret};
use crate::config::{AwsCredentials, BedrockApi, BedrockConfig, BedrockGuardrail, GuardrailTrace};
use crate::error::{Concern, Fault};
use crate::names::BaseUrl;
use crate::raw;
use crate::resolve::reporter::{Reporter, value_fault};
use crate::rules::{self, check_key};
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
    if enabled && region.is_none() {
        let profile = match &credentials {
            AwsCredentials::Profile(profile) => Some(profile.as_str()),
            _ => None,
        };
        if let Some((place, fault)) = aws::profile_region_fault(to.environment, profile) {
            to.report.problem(place, &path.key("aws_region"), fault);
        }
    }
    let is_addressed = base_url.is_some() && matches!(credentials, AwsCredentials::BearerToken(_));
    if enabled && region.is_none() && !has_profile && !is_addressed {
        let expected = "give the region, as in us-east-1, or set AWS_REGION";
        to.problem(&path.key("aws_region"), Fault::Missing { expected: expected.to_owned() });
    }
    let api = match raw.bedrock_api {
        Some(raw::BedrockApi::Invoke) | None => BedrockApi::Invoke,
        Some(raw::BedrockApi::Messages) => BedrockApi::Messages,
    };
    let base_url = endpoint(base_url, region.as_deref(), &credentials, api, enabled, path, to);
    let guardrail =
        raw.bedrock_guardrail.take().and_then(|own| guardrail(own, &path.key("bedrock_guardrail"), to));
    let config = BedrockConfig { base_url, region, credentials, api, guardrail };
    rules::check_guardrail_endpoint(&config, path, to);
    config
}

/// Returns the `base_url` of the file, otherwise the URL that the switches of the environment and of the profile select.
fn endpoint(
    own: Option<BaseUrl>,
    region: Option<&str>,
    credentials: &AwsCredentials,
    api: BedrockApi,
    enabled: bool,
    path: &KeyPath,
    to: &mut Reporter<'_>,
) -> Option<BaseUrl> {
    if !enabled {
        return own;
    }
    let profile = match credentials {
        AwsCredentials::Profile(profile) => Some(profile.as_str()),
        _ => None,
    };
    let path = path.key("base_url");
    let mut faults = Vec::new();
    let switches =
        EndpointSwitches::read(to.environment, profile, &mut |place, fault| faults.push((place, fault)));
    let of_profile = || aws::profile_region(to.environment, profile);
    let region = region.map(str::to_owned).or_else(of_profile);
    if let Some(own) = own {
        check_region(&own, region.as_deref(), &path, to);
        let is_fips = own.authority().host().contains("-fips.");
        if let Some(place) = switches.fips.filter(|_| !is_fips) {
            to.warning_in_variable(place, &path, Concern::Overridden { by: "base_url" });
        }
        return Some(own);
    }
    for (place, fault) in faults {
        to.problem_in_variable(place, &path, fault);
    }
    let url = switches.base_url(region.as_deref(), api);
    if let (None, Some(place)) = (&url, switches.fips.or(switches.dual_stack)) {
        let expected = format!("{place} needs the region in aws_region, AWS_REGION or the profile");
        to.problem(&path.beside("aws_region"), Fault::Missing { expected });
    }
    if let (Some((place, url)), Some(region)) = (&switches.url, &region)
        && let Some(concern) = other_region(url, region)
    {
        to.warning_in_variable(place, &path, concern);
    }
    url
}

/// Warns if the URL of the file names another region than the one that signatures name.
fn check_region(url: &BaseUrl, region: Option<&str>, path: &KeyPath, to: &mut Reporter<'_>) {
    if let Some(concern) = region.and_then(|region| other_region(url, region)) {
        to.warning(path, concern);
    }
}

fn other_region(url: &BaseUrl, region: &str) -> Option<Concern> {
    let named = aws_endpoint::region_of(url).filter(|named| named != region)?;
    Some(Concern::OtherRegion { named, setting: "aws_region", region: region.to_owned() })
}

/// Returns the guardrail, or `None` if a part of it is missing, which has been reported.
fn guardrail(raw: raw::BedrockGuardrail, path: &KeyPath, to: &mut Reporter<'_>) -> Option<BedrockGuardrail> {
    let (id, version) = (raw.id?, raw.version?);
    rules::check_guardrail(&id, &version, path, to);
    let trace = raw.trace.map(|trace| match trace {
        raw::GuardrailTrace::Enabled => GuardrailTrace::Enabled,
        raw::GuardrailTrace::Disabled => GuardrailTrace::Disabled,
        raw::GuardrailTrace::EnabledFull => GuardrailTrace::EnabledFull,
    });
    Some(BedrockGuardrail { id, version, trace })
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
        if enabled {
            check_files(&profile, path, to);
        }
        AwsCredentials::Profile(profile)
    } else {
        for (variable, setting) in aws::secret_variables(to.environment).into_iter().filter(|_| enabled) {
            to.check_secret_variable(variable, &path.key(setting));
        }
        let credentials = aws::credentials(to.environment);
        let is_of_environment = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
        let reads_files = matches!(credentials, AwsCredentials::DefaultChain)
            && !is_of_environment.iter().all(|variable| to.environment.has(variable));
        if enabled && reads_files {
            check_files(&aws::selected_profile(to.environment, None), path, to);
        }
        credentials
    }
}

/// Checks the secrets of a profile in AWS's own files. The slips around them are removed where they are used.
fn check_files(profile: &str, path: &KeyPath, to: &mut Reporter<'_>) {
    for FileSecret { key, value, place } in AwsFiles::read(to.environment).secrets(profile) {
        to.check_secret_at(place.clone(), value, &path.key(key));
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
