//! The hosts that a request may name.

use std::sync::{Arc, PoisonError, RwLock};

use http::header::{HOST, HeaderValue};
use http::{Request, Version};
use relay_config::HostName;

use crate::error::Error;
use crate::listener_rules::ListenerRules;

/// Checks the host of each request, against DNS rebinding: a web page whose own name suddenly resolves to this machine sends
/// requests that are of the same origin for the browser, and name the page's host.
#[derive(Debug, Clone)]
pub(super) struct HostRule {
    allowed: AllowedHosts,
}

/// `server.allowed_hosts`.
#[derive(Debug, Clone)]
enum AllowedHosts {
    Fixed(Vec<HostName>),
    #[cfg_attr(
        not(feature = "serve"),
        expect(dead_code, reason = "only a listener of the program replaces them")
    )]
    Shared(SharedHosts),
}

/// Accepted hosts that can be replaced while requests are served. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct SharedHosts(Arc<RwLock<Vec<HostName>>>);

#[cfg_attr(
    not(feature = "serve"),
    expect(dead_code, reason = "only a listener of the program replaces them")
)]
impl SharedHosts {
    pub(crate) fn new(hosts: Vec<HostName>) -> Self {
        Self(Arc::new(RwLock::new(hosts)))
    }

    /// Replaces the hosts for further requests.
    pub(crate) fn replace(&self, hosts: Vec<HostName>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = hosts;
    }
}

impl AllowedHosts {
    /// Applies `check` to the hosts.
    fn with<T>(&self, check: impl FnOnce(&[HostName]) -> T) -> T {
        match self {
            Self::Fixed(hosts) => check(hosts),
            Self::Shared(hosts) => check(&hosts.0.read().unwrap_or_else(PoisonError::into_inner)),
        }
    }
}

impl HostRule {
    pub(super) fn new(allowed: Vec<HostName>) -> Self {
        Self { allowed: AllowedHosts::Fixed(allowed) }
    }

    #[cfg(feature = "serve")]
    pub(super) fn shared(allowed: SharedHosts) -> Self {
        Self { allowed: AllowedHosts::Shared(allowed) }
    }

    /// Checks every host that `request` names: in its target, as `:authority` and in `host`.
    ///
    /// # Errors
    /// [`Error::HostHeader`] if the request must name one host, and does not. [`Error::HostNotAllowed`] if it names one that
    /// is not accepted.
    pub(super) fn check<B>(&self, request: &Request<B>) -> Result<(), Error> {
        let listener = request.extensions().get::<ListenerRules>();
        let mut lines = request.headers().get_all(HOST).iter();
        let (host, authority) = (lines.next(), request.uri().authority());
        if lines.next().is_some() {
            return Err(Error::HostHeader { problem: "the request has several `host` headers" });
        }
        // A service that embeds the relay may have removed the header.
        if listener.is_some() && request.version() == Version::HTTP_11 && host.is_none() {
            return Err(Error::HostHeader { problem: "the request has no `host` header" });
        }
        let authority = authority.map(|authority| authority.as_str().as_bytes());
        let host = host.map(HeaderValue::as_bytes);
        if let (Version::HTTP_2, Some(authority), Some(host)) = (request.version(), authority, host)
            && !authority.eq_ignore_ascii_case(host)
        {
            return Err(Error::HostHeader { problem: "`:authority` and the `host` header differ" });
        }
        let is_loopback = listener.is_some_and(|listener| listener.is_loopback);
        let refused = [authority, host].into_iter().flatten().find(|host| !self.accepts(host, is_loopback));
        match refused {
            Some(host) => Err(Error::HostNotAllowed { host: String::from_utf8_lossy(host).into_owned() }),
            None => Ok(()),
        }
    }

    /// Returns `true` if a request on this listener may name `host`, which may have a port.
    fn accepts(&self, host: &[u8], is_loopback: bool) -> bool {
        if is_usual_loopback(host) {
            return true;
        }
        self.allowed.with(|allowed| {
            if !is_loopback && allowed.is_empty() {
                return true;
            }
            let Some(host) = std::str::from_utf8(host).ok().and_then(without_port) else { return false };
            // No web page can choose the address of this machine as its own name. Probes of orchestrators name it.
            host.is_loopback() || allowed.contains(&host) || !is_loopback && host.is_address()
        })
    }
}

/// Returns `true` for the usual names of this machine, with or without a port, which need not be parsed.
fn is_usual_loopback(host: &[u8]) -> bool {
    match host.strip_prefix(b"127.0.0.1").or_else(|| host.strip_prefix(b"localhost")) {
        Some([b':', port @ ..]) => port.iter().all(u8::is_ascii_digit),
        Some(rest) => rest.is_empty(),
        None => false,
    }
}

/// The host in `text`, without a port.
fn without_port(text: &str) -> Option<HostName> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (text, ""),
    };
    port.bytes().all(|byte| byte.is_ascii_digit()).then(|| HostName::parse(host)).flatten()
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    /// Asserts the status of the refusal, if any, of a request with these `host` lines.
    #[track_caller]
    fn check(
        (is_loopback, allowed): (Option<bool>, &[&str]),
        (version, target): (Version, &str),
        hosts: &[&str],
        expected: Option<StatusCode>,
    ) {
        let rule = HostRule::new(allowed.iter().map(|host| HostName::parse(host).unwrap()).collect());
        let mut request = Request::builder().version(version).uri(target);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let mut request = request.body(()).unwrap();
        if let Some(is_loopback) = is_loopback {
            request.extensions_mut().insert(ListenerRules::for_test(is_loopback));
        }
        let found = rule.check(&request).err().map(|error| error.status());
        assert_eq!(found, expected, "{is_loopback:?} {allowed:?} {version:?} {target} {hosts:?}");
    }

    const LOOPBACK: (Option<bool>, &[&str]) = (Some(true), &[]);
    const OPEN: (Option<bool>, &[&str]) = (Some(false), &[]);
    const PLAIN: (Version, &str) = (Version::HTTP_11, "/v1/messages");
    const FORBIDDEN: Option<StatusCode> = Some(StatusCode::FORBIDDEN);
    const BAD: Option<StatusCode> = Some(StatusCode::BAD_REQUEST);

    #[test]
    fn a_loopback_listener_serves_loopback_hosts_and_those_of_the_configuration() {
        for host in [
            "localhost",
            "localhost:8787",
            "LOCALHOST.",
            "app.localhost:1",
            "127.0.0.1:8787",
            "127.0.0.2",
            "[::1]:8787",
            "[::1]",
            "[::ffff:127.0.0.1]:8787",
            "localhost:",
        ] {
            check(LOOPBACK, PLAIN, &[host], None);
        }
        for host in [
            "attacker.example",
            "attacker.example:8787",
            "127.0.0.1.attacker.example",
            "localhost.attacker.example",
            "10.0.0.1:8787",
            "0.0.0.0:8787",
            "[fe80::1]",
            "127.1",
            "2130706433",
            "user@localhost",
            "localhost:8787:1",
            "localhost:x",
            "localhost/",
            "localhost, attacker.example",
            "",
        ] {
            check(LOOPBACK, PLAIN, &[host], FORBIDDEN);
        }
        let allowed = (Some(true), &["relay.example", "10.0.0.1"][..]);
        check(allowed, PLAIN, &["Relay.Example.:443"], None);
        check(allowed, PLAIN, &["10.0.0.1:8787"], None);
        check(allowed, PLAIN, &["localhost"], None);
        check(allowed, PLAIN, &["other.example"], FORBIDDEN);
    }

    #[test]
    fn another_listener_serves_every_host_unless_some_are_configured() {
        for host in ["attacker.example", "10.0.0.1:8787", "localhost"] {
            check(OPEN, PLAIN, &[host], None);
            check((None, &[]), PLAIN, &[host], None);
        }
        for listener in [Some(false), None] {
            let allowed = (listener, &["relay.example"][..]);
            check(allowed, PLAIN, &["relay.example:8787"], None);
            check(allowed, PLAIN, &["10.0.0.1:8787"], None);
            check(allowed, PLAIN, &["localhost"], None);
            check(allowed, PLAIN, &["attacker.example"], FORBIDDEN);
        }
    }

    #[test]
    fn a_request_names_one_host_in_every_version_of_http() {
        check(LOOPBACK, PLAIN, &[], BAD);
        check(OPEN, PLAIN, &[], BAD);
        check((None, &[]), PLAIN, &[], None);
        check(LOOPBACK, (Version::HTTP_10, "/"), &[], None);
        check(LOOPBACK, (Version::HTTP_10, "/"), &["attacker.example"], FORBIDDEN);
        check(LOOPBACK, PLAIN, &["localhost", "localhost"], BAD);
        check(OPEN, PLAIN, &["localhost", "attacker.example"], BAD);

        let absolute = |target| (Version::HTTP_11, target);
        check(LOOPBACK, absolute("http://localhost:8787/v1/messages"), &["127.0.0.1:8787"], None);
        check(LOOPBACK, absolute("http://attacker.example/v1/messages"), &["localhost"], FORBIDDEN);
        check(LOOPBACK, absolute("http://localhost/v1/messages"), &["attacker.example"], FORBIDDEN);
        check(LOOPBACK, absolute("http://u@localhost/v1/messages"), &["localhost"], FORBIDDEN);

        let http2 = |target| (Version::HTTP_2, target);
        check(LOOPBACK, http2("http://localhost:8787/v1/messages"), &[], None);
        check(LOOPBACK, http2("http://localhost/v1/messages"), &["LOCALHOST"], None);
        check(LOOPBACK, http2("http://localhost/v1/messages"), &["127.0.0.1"], BAD);
        check(LOOPBACK, http2("http://attacker.example/v1/messages"), &[], FORBIDDEN);
        check(OPEN, http2("http://a.example/v1/messages"), &["b.example"], BAD);
    }
}
