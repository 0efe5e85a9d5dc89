//! Variables of other tools that request what cc-relay cannot do.

use std::net::IpAddr;

use http::Uri;
use http::uri::Authority;

use super::reporter::Reporter;
use crate::config::{ProviderConfig, ProviderKind};
use crate::error::Concern;
use crate::kinds::Address;
use crate::names::BaseUrl;
use crate::tree::KeyPath;

/// The variables of the proxy for `https`. The relay reads the first one that is set.
const PROXIES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// The schemes of proxies that curl supports and the relay does not.
const SCHEMES: [&str; 5] = ["https", "socks4", "socks4a", "socks5", "socks5h"];

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
    let Some((variable, value)) = to.environment.first(&PROXIES) else { return };
    match value.split_once("://") {
        Some((scheme, _)) if SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known)) => {
            to.warning_in_variable(variable, path, Concern::Proxy { scheme: scheme.to_ascii_lowercase() });
        }
        _ if !is_proxy(&value) => to.warning_in_variable(variable, path, Concern::UnreadableProxy),
        _ => {}
    }
}

/// Returns `true` if `value` names a proxy on `http`. Another value has no effect. A second `@` would cut the password,
/// and an impossible port would be replaced by the default one.
fn is_proxy(value: &str) -> bool {
    let Ok(url) = value.parse::<Uri>() else { return false };
    let is_http = url.scheme_str().is_none_or(|scheme| scheme == "http");
    let is_address = |authority: &Authority| {
        let text = authority.as_str();
        let (_, port) = text.rsplit_once('@').unwrap_or(("", text)).1.rsplit_once(':').unwrap_or_default();
        let has_port =
            port.is_empty() || port.ends_with(']') || authority.port_u16().is_some_and(|port| port > 0);
        text.matches('@').count() <= 1 && !authority.host().is_empty() && has_port
    };
    is_http && url.authority().is_some_and(is_address)
}

/// Warns about a proxy for an upstream on plain `http` that is reached directly. The default address of a kind, that of an
/// Ollama on this machine, needs no proxy.
fn check_plain_http<'a>(
    providers: impl Iterator<Item = &'a ProviderConfig>,
    path: &KeyPath,
    to: &mut Reporter<'_>,
) {
    let Some((variable, _)) = to.environment.first(&PROXIES_FOR_HTTP) else { return };
    let exceptions = to.environment.first(&["NO_PROXY", "no_proxy"]).map(|(_, value)| value);
    let is_default = |provider: &ProviderConfig, url: &BaseUrl| match provider.kind.spec().address {
        Address::Default(default) => BaseUrl::parse(default).is_ok_and(|default| default.is_equivalent(url)),
        _ => false,
    };
    let host = providers.into_iter().find_map(|provider| {
        let url = provider.kind.base_url()?;
        let host = url.authority().host();
        let is_exempt = exceptions.as_deref().is_some_and(|exceptions| is_excepted(host, exceptions));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_proxy_is_a_url_or_a_host_and_a_port() {
        for value in [
            "http://proxy.example:3128",
            "HTTP://proxy.example:3128/",
            "proxy.example:3128",
            "proxy.example",
            "http://user:pass%40word@proxy.example:3128",
            "http://10.0.0.1",
            "http://[::1]:3128",
            "http://[::1]",
        ] {
            assert!(is_proxy(value), "{value}");
        }
        for value in [
            "not a url",
            "http://",
            "ftp://proxy.example:21",
            "http://user:pass@word@proxy.example:3128",
            "http://proxy.example:99999",
            "http://proxy.example:port",
            "proxy.example:3128/path",
            "/path",
            "http:/proxy.example",
        ] {
            assert!(!is_proxy(value), "{value}");
        }
    }
}
