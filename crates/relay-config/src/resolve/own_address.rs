//! Refuses a provider at the relay's own address: the relay would send each request to itself, again and again, until
//! no connection is left for any client.

use std::net::IpAddr;

use super::reporter::{Reporter, value_fault};
use crate::config::{AdminConfig, ListenAddress, MetricsConfig, ProviderConfig, ServerConfig};
use crate::names::BaseUrl;
use crate::tree::KeyPath;

/// Returns the addresses of the relay's listeners, each with the name of its setting.
pub(super) fn addresses<'a>(
    server: &'a ServerConfig,
    metrics: &'a MetricsConfig,
    admin: &'a AdminConfig,
) -> Vec<(&'static str, &'a ListenAddress)> {
    let clients = server.listen.iter().map(|address| ("server.listen", address));
    // Without an explicit address, another program may serve it, and the relay then opens no admin listener.
    let admin = (admin.enabled && admin.is_explicit).then_some(("admin.listen", &admin.listen));
    let metrics =
        metrics.listen.iter().filter(|_| metrics.enabled).map(|address| ("metrics.listen", address));
    clients.chain(admin).chain(metrics).collect()
}

/// Refuses each enabled provider of `providers` whose base URL leads to one of the relay's own addresses.
pub(super) fn check(
    listeners: &[(&'static str, &ListenAddress)],
    providers: &[ProviderConfig],
    path: &KeyPath,
    to: &mut Reporter<'_>,
) {
    for (index, provider) in providers.iter().enumerate().filter(|(_, provider)| provider.enabled) {
        let Some(url) = provider.kind.base_url() else { continue };
        let Some((setting, own)) = listeners.iter().find(|(_, own)| leads_to(url, own)) else { continue };
        let found = format!("\"{url}\", which is the relay's own address ({setting}: {own})");
        let fault = value_fault(found, "the URL of an upstream", "write the upstream's own URL");
        to.problem(&path.index(index).key("base_url"), fault);
    }
}

/// Returns `true` if a connection to `url` reaches the listener at `own`.
fn leads_to(url: &BaseUrl, own: &ListenAddress) -> bool {
    let default_port = if url.scheme().as_str() == "https" { 443 } else { 80 };
    let host = url.authority().host().trim_matches(['[', ']']);
    url.authority().port_u16().unwrap_or(default_port) == own.port && is_same_host(host, &own.host)
}

/// Returns `true` if `host` is `own`, or another name of this machine at which a listener at `own` accepts connections. A
/// connection to the unspecified address reaches this machine.
fn is_same_host(host: &str, own: &str) -> bool {
    let is_local = |host: &str| host.eq_ignore_ascii_case("localhost");
    let is_unspecified = |host: &str| host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified());
    let is_loopback =
        |host: &str| is_local(host) || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback());
    if host.eq_ignore_ascii_case(own) {
        return true;
    }
    let is_this_machine = is_loopback(host) || is_unspecified(host);
    match is_unspecified(own) {
        true => is_this_machine,
        false => {
            is_loopback(own) && is_this_machine && (is_local(host) || is_local(own) || is_unspecified(host))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_the_listener_is_recognised_in_every_spelling() {
        #[track_caller]
        fn check(url: &str, own: (&str, u16), expected: bool) {
            let own = ListenAddress { host: own.0.to_owned(), port: own.1 };
            assert_eq!(leads_to(&BaseUrl::parse(url).unwrap(), &own), expected, "{url} at {own}");
        }
        for url in [
            "http://127.0.0.1:8787",
            "http://localhost:8787/v2",
            "http://LOCALHOST:8787",
            "http://0.0.0.0:8787",
        ] {
            check(url, ("127.0.0.1", 8787), true);
            check(url, ("0.0.0.0", 8787), true);
            check(url, ("localhost", 8787), true);
            check(url, ("127.0.0.1", 8788), false);
        }
        check("http://[::1]:8787", ("::1", 8787), true);
        check("http://[::1]:8787", ("::", 8787), true);
        check("http://[::ffff:127.0.0.1]:8787", ("0.0.0.0", 8787), true);
        check("http://localhost:8787", ("::1", 8787), true);
        check("http://localhost", ("127.0.0.1", 80), true);
        check("https://localhost", ("0.0.0.0", 443), true);
        check("http://relay.example:8787", ("relay.example", 8787), true);
        check("http://127.0.0.2:8787", ("127.0.0.1", 8787), false);
        check("http://192.0.2.1:8787", ("0.0.0.0", 8787), false);
        check("http://ollama:11434", ("0.0.0.0", 8787), false);
        check("http://127.0.0.1:11434", ("127.0.0.1", 8787), false);
        check("https://api.anthropic.com", ("0.0.0.0", 8787), false);
    }
}
