//! Resolves the settings of type `azure`.

use crate::cloud::azure;
use crate::config::{AzureAuth, AzureConfig, EntraConfig};
use crate::error::{Concern, Fault};
use crate::names::BaseUrl;
use crate::raw;
use crate::resolve::reporter::Reporter;
use crate::tree::KeyPath;

pub(super) fn resolve(
    raw: &raw::Provider,
    base_url: Option<BaseUrl>,
    enabled: bool,
    path: &KeyPath,
    to: &mut Reporter<'_>,
) -> AzureConfig {
    let of_resource = resource_url(raw, base_url.is_none(), path, to);
    let api_version = raw.azure_api_version.clone();
    if let Some(Err(fault)) = api_version.as_deref().map(azure::check_api_version) {
        to.problem(&path.key("azure_api_version"), fault);
    }
    let auth = match raw.azure_auth {
        Some(raw::AzureAuth::ApiKey) | None => AzureAuth::ApiKey,
        Some(raw::AzureAuth::EntraId) => AzureAuth::EntraId(entra(enabled, &path.key("azure_auth"), to)),
    };
    let base_url = base_url.or(of_resource).unwrap_or_else(BaseUrl::placeholder);
    AzureConfig { base_url, api_version, auth }
}

/// Returns the base URL of the resource, if one is named.
fn resource_url(
    raw: &raw::Provider,
    is_needed: bool,
    path: &KeyPath,
    to: &mut Reporter<'_>,
) -> Option<BaseUrl> {
    let path = path.key("azure_resource_name");
    match raw.azure_resource_name.as_deref().map(azure::base_url) {
        Some(Ok(url)) => return Some(url),
        Some(Err(fault)) => to.problem(&path, fault),
        None if is_needed => {
            let expected =
                "give the resource's name, the first part of NAME.services.ai.azure.com, or a base_url";
            to.problem(&path, Fault::Missing { expected: expected.to_owned() });
        }
        None => {}
    }
    None
}

fn entra(enabled: bool, path: &KeyPath, to: &mut Reporter<'_>) -> EntraConfig {
    let environment = to.environment;
    if enabled && let Some((variable, missing)) = azure::unused(environment) {
        to.warning_in_variable(variable, path, Concern::NotUsed { missing: missing.to_owned() });
    }
    if enabled {
        to.check_secret_variable(azure::CLIENT_SECRET, path);
    }
    azure::entra(environment, &mut |variable, fault| {
        if enabled {
            to.problem_in_variable(variable, path, fault);
        }
    })
}
