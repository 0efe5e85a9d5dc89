//! Resolves `providers[].type`, and the settings that only one type accepts.

use super::address::Given;
use super::{address, azure, bedrock, vertex};
use crate::config::ProviderKind;
use crate::error::Fault;
use crate::kinds::{CompatibleAuth, Implementation, KindSpec};
use crate::names::BaseUrl;
use crate::raw;
use crate::resolve::reporter::Reporter;
use crate::tree::KeyPath;

/// Resolves the kind, and moves its credentials out of `raw`. Returns `None` if `type` has been reported.
pub(super) fn resolve(
    raw: &mut raw::Provider,
    enabled: bool,
    path: &KeyPath,
    to: &mut Reporter<'_>,
) -> Option<ProviderKind> {
    let raw::ProviderType(spec) = raw.r#type?;
    check_settings(raw, spec, path, to);
    let base_url_path = path.key("base_url");
    // A provider whose address is faulty may need no key once it is corrected: no further problem is reported.
    let (given, is_own) = match address::given(raw, spec, &base_url_path, to) {
        Given::None => (None, true),
        Given::Url(url) => {
            let is_own = spec.default_base_url().is_some_and(|own| url.is_equivalent(&own));
            (Some(url), is_own)
        }
        Given::Faulty => (Some(BaseUrl::placeholder()), true),
    };
    let passthrough = raw.passthrough.unwrap_or(is_own);
    let base_url = |given: Option<BaseUrl>, to: &mut Reporter<'_>| {
        given.or_else(|| spec.default_base_url()).unwrap_or_else(|| {
            let expected = format!("type {} needs the upstream's URL, as in https://host/path", spec.name);
            to.problem(&base_url_path, Fault::Missing { expected });
            BaseUrl::placeholder()
        })
    };
    Some(match spec.implementation {
        Implementation::Anthropic => ProviderKind::Anthropic { base_url: base_url(given, to), passthrough },
        Implementation::Zai => ProviderKind::Zai { base_url: base_url(given, to) },
        Implementation::Ollama => ProviderKind::Ollama { base_url: base_url(given, to) },
        Implementation::Compatible(default) => {
            let auth = match raw.auth {
                Some(raw::Auth::XApiKey) => CompatibleAuth::ApiKey,
                Some(raw::Auth::Bearer) => CompatibleAuth::Bearer,
                Some(raw::Auth::None) => CompatibleAuth::None,
                None => default,
            };
            ProviderKind::Compatible { spec, base_url: base_url(given, to), auth }
        }
        Implementation::Bedrock => ProviderKind::Bedrock(bedrock::resolve(raw, given, enabled, path, to)),
        Implementation::Azure => ProviderKind::Azure(azure::resolve(raw, given, enabled, path, to)),
        Implementation::Vertex => ProviderKind::Vertex(vertex::resolve(raw, given, enabled, path, to)),
        Implementation::Mock => ProviderKind::Mock,
    })
}

/// Refuses settings that only another type accepts.
fn check_settings(raw: &raw::Provider, spec: &KindSpec, path: &KeyPath, to: &mut Reporter<'_>) {
    for (key, is_set) in [
        ("passthrough", raw.passthrough.is_some()),
        ("auth", raw.auth.is_some()),
        ("aws_region", raw.aws_region.is_some()),
        ("aws_access_key_id", raw.aws_access_key_id.is_some()),
        ("aws_secret_access_key", raw.aws_secret_access_key.is_some()),
        ("aws_session_token", raw.aws_session_token.is_some()),
        ("aws_profile", raw.aws_profile.is_some()),
        ("aws_bearer_token", raw.aws_bearer_token.is_some()),
        ("bedrock_api", raw.bedrock_api.is_some()),
        ("bedrock_guardrail", raw.bedrock_guardrail.is_some()),
        ("azure_resource_name", raw.azure_resource_name.is_some()),
        ("azure_api_version", raw.azure_api_version.is_some()),
        ("azure_auth", raw.azure_auth.is_some()),
        ("gcp_project_id", raw.gcp_project_id.is_some()),
        ("gcp_region", raw.gcp_region.is_some()),
        ("credentials_file", raw.credentials_file.is_some()),
        ("discover_models", raw.discover_models == Some(true)),
        ("base_url", raw.base_url.is_some()),
    ] {
        if is_set && !spec.accepts(key) {
            to.problem(&path.key(key), Fault::NotForType { kind: spec.name });
        }
    }
}
