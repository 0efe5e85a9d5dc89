//! `providers[].base_url`.

use http::uri::Scheme;

use crate::config::{AwsCredentials, AzureAuth, BedrockConfig, ListenAddress, ProviderConfig, ProviderKind};
use crate::describe::looks_secret;
use crate::error::{Concern, Fault};
use crate::names::BaseUrl;
use crate::raw;
use crate::resolve::{Reporter, value_fault};
use crate::tree::Path;

/// What cc-relay puts behind a base URL, and so should not be part of it.
struct Added {
    /// In words.
    shown: &'static str,
    /// Ends by which it is recognised.
    ends: &'static [&'static str],
}

impl Added {
    fn by(raw: &raw::Provider) -> Self {
        match (raw.r#type, raw.bedrock_api) {
            (Some(raw::ProviderType::Bedrock), None | Some(raw::BedrockApi::Invoke)) => {
                Self { shown: "/model", ends: &["/model"] }
            }
            (Some(raw::ProviderType::Vertex), _) => {
                Self { shown: "/v1/projects", ends: &["/v1/projects", "/v1"] }
            }
            _ => Self { shown: "/v1/messages", ends: &["/v1/messages", "/v1"] },
        }
    }
}

/// The address in the file, if there is one. In place of one that has been reported, any will do.
pub(super) fn given(raw: &raw::Provider, path: &Path, to: &mut Reporter<'_>) -> Option<BaseUrl> {
    let text = raw.base_url.as_ref()?;
    match BaseUrl::parse(text) {
        Ok(url) => {
            let Added { shown, ends } = Added::by(raw);
            if let Some(prefix) = ends.iter().find_map(|end| url.path().strip_suffix(end)) {
                let fault = value_fault(
                    format!("{text:?}"),
                    format!("the URL in front of {shown}, which cc-relay adds"),
                    format!("write {}://{}{prefix}", url.scheme(), url.authority()),
                );
                to.problem(path, fault);
            }
            Some(url)
        }
        Err(source) => {
            let may_be_shown = !text.contains('@') && !looks_secret(text);
            to.problem(path, Fault::Url { found: may_be_shown.then(|| text.to_owned()), source });
            Some(BaseUrl::anthropic())
        }
    }
}

/// Warns where a credential would leave this machine unencrypted.
pub(super) fn check_cleartext(provider: &ProviderConfig, path: &Path, to: &mut Reporter<'_>) {
    let Some(url) = provider.kind.base_url() else { return };
    let host = url.authority().host();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address = ListenAddress { host: bare.to_owned(), port: 0 };
    if sends_credential(provider) && *url.scheme() == Scheme::HTTP && !address.is_loopback() {
        to.warning(&path.key("base_url"), Concern::Cleartext { host: host.to_owned() });
    }
}

/// Whether requests carry a credential. A signature is none: it is worth nothing for another request.
fn sends_credential(provider: &ProviderConfig) -> bool {
    match &provider.kind {
        ProviderKind::Vertex(_) => true,
        ProviderKind::Azure(azure) if matches!(azure.auth, AzureAuth::EntraId(_)) => true,
        ProviderKind::Bedrock(BedrockConfig { credentials, .. }) => {
            matches!(credentials, AwsCredentials::BearerToken(_))
        }
        _ => provider.keys.iter().any(|key| key.key.is_some()),
    }
}
