//! `providers[].type`, and the settings that a type has for itself.

use super::{address, azure, bedrock, vertex};
use crate::config::{CompatibleAuth, ProviderKind};
use crate::error::Fault;
use crate::names::BaseUrl;
use crate::raw::{self, ProviderType};
use crate::resolve::Reporter;
use crate::tree::Path;

/// The kind, or `None` where the type has been reported. Credentials are taken out of `raw`.
pub(super) fn resolve(
    raw: &mut raw::Provider,
    enabled: bool,
    path: &Path,
    to: &mut Reporter<'_>,
) -> Option<ProviderKind> {
    let r#type = raw.r#type?;
    check_owners(raw, r#type, path, to);
    let base_url_path = path.key("base_url");
    let given = address::given(raw, &base_url_path, to);
    Some(match r#type {
        ProviderType::Anthropic => ProviderKind::Anthropic {
            passthrough: raw.passthrough.unwrap_or(given.is_none()),
            base_url: given.unwrap_or_else(BaseUrl::anthropic),
        },
        ProviderType::Zai => ProviderKind::Zai { base_url: given.unwrap_or_else(BaseUrl::zai) },
        ProviderType::Ollama => ProviderKind::Ollama { base_url: given.unwrap_or_else(BaseUrl::ollama) },
        ProviderType::Bedrock => ProviderKind::Bedrock(bedrock::resolve(raw, given, enabled, path, to)),
        ProviderType::Azure => ProviderKind::Azure(azure::resolve(raw, given, enabled, path, to)),
        ProviderType::Vertex => ProviderKind::Vertex(vertex::resolve(raw, given, enabled, path, to)),
        ProviderType::Minimax => ProviderKind::Minimax { base_url: given.unwrap_or_else(BaseUrl::minimax) },
        ProviderType::AnthropicCompatible => {
            let base_url = given.unwrap_or_else(|| {
                let expected = "type anthropic_compatible needs the upstream's URL, as in https://host/path";
                to.problem(&base_url_path, Fault::Missing { expected: expected.to_owned() });
                BaseUrl::anthropic()
            });
            let auth = match raw.auth {
                Some(raw::Auth::XApiKey) | None => CompatibleAuth::ApiKey,
                Some(raw::Auth::Bearer) => CompatibleAuth::Bearer,
                Some(raw::Auth::None) => CompatibleAuth::None,
            };
            ProviderKind::AnthropicCompatible { base_url, auth }
        }
        ProviderType::Mock => ProviderKind::Mock,
    })
}

/// Refuses the settings that another type has for itself.
fn check_owners(raw: &raw::Provider, r#type: ProviderType, path: &Path, to: &mut Reporter<'_>) {
    for (key, is_set, owner) in [
        ("passthrough", raw.passthrough.is_some(), ProviderType::Anthropic),
        ("auth", raw.auth.is_some(), ProviderType::AnthropicCompatible),
        ("aws_region", raw.aws_region.is_some(), ProviderType::Bedrock),
        ("aws_access_key_id", raw.aws_access_key_id.is_some(), ProviderType::Bedrock),
        ("aws_secret_access_key", raw.aws_secret_access_key.is_some(), ProviderType::Bedrock),
        ("aws_session_token", raw.aws_session_token.is_some(), ProviderType::Bedrock),
        ("aws_profile", raw.aws_profile.is_some(), ProviderType::Bedrock),
        ("aws_bearer_token", raw.aws_bearer_token.is_some(), ProviderType::Bedrock),
        ("bedrock_api", raw.bedrock_api.is_some(), ProviderType::Bedrock),
        ("azure_resource_name", raw.azure_resource_name.is_some(), ProviderType::Azure),
        ("azure_api_version", raw.azure_api_version.is_some(), ProviderType::Azure),
        ("azure_auth", raw.azure_auth.is_some(), ProviderType::Azure),
        ("gcp_project_id", raw.gcp_project_id.is_some(), ProviderType::Vertex),
        ("gcp_region", raw.gcp_region.is_some(), ProviderType::Vertex),
        ("credentials_file", raw.credentials_file.is_some(), ProviderType::Vertex),
    ] {
        if is_set && r#type != owner {
            to.problem(&path.key(key), Fault::NotForType { kind: r#type.as_str() });
        }
    }
    let lists_models = matches!(r#type, ProviderType::Anthropic | ProviderType::Ollama);
    if raw.discover_models == Some(true) && !lists_models {
        to.problem(&path.key("discover_models"), Fault::NotForType { kind: r#type.as_str() });
    }
    if raw.base_url.is_some() && r#type == ProviderType::Mock {
        to.problem(&path.key("base_url"), Fault::NotForType { kind: r#type.as_str() });
    }
}
