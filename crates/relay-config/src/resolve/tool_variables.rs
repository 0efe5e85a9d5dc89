//! Variables of other tools that request what cc-relay cannot do.

use std::net::IpAddr;

use super::reporter::Reporter;
use crate::config::{ProviderConfig, ProviderKind};
use crate::error::Concern;
use crate::kinds::Address;
use crate::names::BaseUrl;
use crate::proxy::{Proxy, proxy_exceptions};
use crate::tree::KeyPath;

/// The variables of the proxy for `http`. The relay uses none for such upstreams.
const PROXIES_FOR_HTTP: [&str; 4] = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

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
    check_plain_http(enabled(), path, to);
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
    let proxy = match Proxy::from_environment(&|name| to.environment.raw(name)) {
        Ok(None) => return,
        Ok(Some(proxy)) => proxy,
        Err((variable, fault)) => return to.problem_in_variable(variable, path, fault),
    };
    if let Some(removed) = proxy.removed {
        to.warning_in_variable(proxy.variable, path, Concern::ProxyTrimmed { removed });
    }
    if let Some(reason) = proxy.doubt {
        to.warning_in_variable(proxy.variable, path, Concern::DoubtfulSecret { reason });
    }
    if proxy.scheme != "http" {
        to.warning_in_variable(proxy.variable, path, Concern::Proxy { scheme: proxy.scheme });
    }
}

/// Warns about a proxy for an upstream on plain `http` that is reached directly. The default address of a kind, that of an
/// Ollama on this machine, needs no proxy.
fn check_plain_http<'a>(
    providers: impl Iterator<Item = &'a ProviderConfig>,
    path: &KeyPath,
    to: &mut Reporter<'_>,
) {
    let Some((variable, _)) = to.environment.first(&PROXIES_FOR_HTTP) else { return };
    let exceptions = proxy_exceptions(&|name| to.environment.raw(name));
    let is_default = |provider: &ProviderConfig, url: &BaseUrl| match provider.kind.spec().address {
        Address::Default(default) => BaseUrl::parse(default).is_ok_and(|default| default.is_equivalent(url)),
        _ => false,
    };
    let host = providers.into_iter().find_map(|provider| {
        let url = provider.kind.base_url()?;
        let host = url.authority().host();
        let is_exempt = is_excepted(host, &exceptions);
        let is_direct = url.scheme().as_str() == "http" && !is_exempt && !is_default(provider, url);
        is_direct.then(|| host.to_owned())
    });
    if let Some(host) = host {
        to.warning_in_variable(variable, path, Concern::NoProxyForHttp { host });
    }
}

/// Returns `true` if `NO_PROXY` names the host or its domain. A range of addresses counts for every address.
fn is_excepted(host: &str, exceptions: &str) -> bool {
    let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
    let is_address = host.parse::<IpAddr>().is_ok();
    exceptions.to_ascii_lowercase().split(',').map(str::trim).any(|entry| {
        let domain = entry.trim_start_matches("*.").trim_start_matches('.');
        let is_domain = || {
            !domain.is_empty()
                && host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        entry == "*" || (is_address && entry.contains('/')) || is_domain()
    })
}
