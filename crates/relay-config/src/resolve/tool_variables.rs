//! Variables of other tools that request what cc-relay cannot do.

use super::reporter::Reporter;
use crate::config::{ProviderConfig, ProviderKind};
use crate::error::Concern;
use crate::tree::KeyPath;

/// The variables of the proxy for `https`. The relay reads the first one that is set.
const PROXIES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// Warns about variables that an operator expects to have an effect on `providers`.
pub(super) fn check(providers: &[ProviderConfig], path: &KeyPath, to: &mut Reporter<'_>) {
    let enabled = || providers.iter().filter(|provider| provider.enabled);
    let is_https = |provider: &ProviderConfig| match provider.kind.base_url() {
        Some(url) => url.scheme().as_str() == "https",
        None => matches!(provider.kind, ProviderKind::Bedrock(_) | ProviderKind::Vertex(_)),
    };
    if enabled().any(is_https) {
        check_proxy(path, to);
    }
    let has_bedrock = enabled().any(|provider| matches!(provider.kind, ProviderKind::Bedrock(_)));
    let has_vertex = enabled().any(|provider| matches!(provider.kind, ProviderKind::Vertex(_)));
    if has_bedrock && to.environment.has("AWS_CA_BUNDLE") {
        let instead = "set ca_file of the provider";
        to.warning_in_variable("AWS_CA_BUNDLE", path, Concern::NotHonoured { instead });
    }
    let client_certificate = "GOOGLE_API_USE_CLIENT_CERTIFICATE";
    if has_vertex
        && to.environment.get(client_certificate).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    {
        let instead = "client certificates for Google are not supported, so unset it";
        to.warning_in_variable(client_certificate, path, Concern::NotHonoured { instead });
    }
}

fn check_proxy(path: &KeyPath, to: &mut Reporter<'_>) {
    let Some((variable, value)) = to.environment.first(&PROXIES) else { return };
    let Some((scheme, _)) = value.split_once("://") else { return };
    if !scheme.eq_ignore_ascii_case("http") {
        to.warning_in_variable(variable, path, Concern::Proxy { scheme: scheme.to_ascii_lowercase() });
    }
}
