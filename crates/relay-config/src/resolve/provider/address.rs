//! Resolves `providers[].base_url`.

use http::uri::Scheme;

use super::wrong_address::{self, WrongAddress};
use crate::config::{
    AwsCredentials, AzureAuth, BedrockApi, BedrockConfig, ListenAddress, ProviderConfig, ProviderKind,
};
use crate::describe::{looks_secret, shown_url};
use crate::error::{Concern, Fault};
use crate::kinds::{self, Implementation, KindSpec};
use crate::names::BaseUrl;
use crate::raw;
use crate::resolve::reporter::{Reporter, value_fault};
use crate::tree::KeyPath;

fn bedrock_api(raw: &raw::Provider) -> BedrockApi {
    match raw.bedrock_api {
        Some(raw::BedrockApi::Messages) => BedrockApi::Messages,
        Some(raw::BedrockApi::Invoke) | None => BedrockApi::Invoke,
    }
}

/// Returns the path that cc-relay appends to the base URL, and the forms of it that operators write by mistake.
fn appended(raw: &raw::Provider, spec: &KindSpec) -> &'static [&'static str] {
    match raw.bedrock_api {
        Some(raw::BedrockApi::Messages) => kinds::MESSAGES_PATH,
        Some(raw::BedrockApi::Invoke) | None => spec.appended,
    }
}

/// The `base_url` of the file.
pub(super) enum Given {
    None,
    Url(BaseUrl),
    /// The problem has been reported.
    Faulty,
}

/// Returns the `base_url` of the file.
pub(super) fn given(raw: &raw::Provider, spec: &KindSpec, path: &KeyPath, to: &mut Reporter<'_>) -> Given {
    let Some(text) = &raw.base_url else { return Given::None };
    match BaseUrl::parse(text) {
        Ok(url) => {
            let appended = appended(raw, spec);
            let shown = appended.first().copied().unwrap_or_default();
            let wrong = wrong_address::find(spec, bedrock_api(raw), &url);
            if let Some(prefix) = appended.iter().find_map(|end| url.path().strip_suffix(end)) {
                // The address may be wrong even without the appended path.
                let shorter = BaseUrl::parse(&format!("{}://{}{prefix}", url.scheme(), url.authority())).ok();
                let wrong = shorter.and_then(|url| wrong_address::find(spec, bedrock_api(raw), &url));
                let fix = wrong.map(|wrong| wrong.fix);
                let fault = value_fault(
                    format!("{:?}", shown_url(text).unwrap_or_default()),
                    format!("the URL in front of {shown}, which cc-relay adds"),
                    fix.unwrap_or_else(|| format!("write {}://{}{prefix}", url.scheme(), url.authority())),
                );
                to.problem(path, fault);
                return Given::Faulty;
            } else if let Some(WrongAddress { reason, fix }) = wrong {
                // Without keys, only the right address makes the provider usable.
                if spec.implementation == Implementation::Anthropic
                    && raw.keys.is_empty()
                    && raw.passthrough.is_none()
                {
                    to.problem(path, value_fault(format!("{url}, which {reason}"), "Anthropic's API", fix));
                    return Given::Faulty;
                }
                to.warning(path, Concern::WrongAddress { url: url.to_string(), reason, fix });
            }
            Given::Url(url)
        }
        Err(source) => {
            let found = shown_url(text).filter(|shown| !text.contains('@') && !looks_secret(shown));
            to.problem(path, Fault::Url { found, source });
            Given::Faulty
        }
    }
}

/// Warns if a credential would leave the machine unencrypted.
pub(super) fn check_cleartext(provider: &ProviderConfig, path: &KeyPath, to: &mut Reporter<'_>) {
    let Some(url) = provider.kind.base_url() else { return };
    let host = url.authority().host();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address = ListenAddress { host: bare.to_owned(), port: 0 };
    let is_reported = wrong_address::find(provider.kind.spec(), BedrockApi::default(), url).is_some();
    if !is_reported && sends_credential(provider) && *url.scheme() == Scheme::HTTP && !address.is_loopback() {
        to.warning(&path.key("base_url"), Concern::Cleartext { host: host.to_owned() });
    }
}

/// Returns `true` if requests carry a credential. A signature is not one, since it is useless for another request.
fn sends_credential(provider: &ProviderConfig) -> bool {
    match &provider.kind {
        ProviderKind::Vertex(_) | ProviderKind::Anthropic { passthrough: true, .. } => true,
        ProviderKind::Azure(azure) if matches!(azure.auth, AzureAuth::EntraId(_)) => true,
        ProviderKind::Bedrock(BedrockConfig { credentials, .. }) => {
            matches!(credentials, AwsCredentials::BearerToken(_))
        }
        _ => provider.keys.iter().any(|key| key.key.is_some()),
    }
}
