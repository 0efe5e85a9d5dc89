//! The address of an upstream.

use std::fmt;

use http::Uri;
use http::uri::{Authority, Scheme};

/// The host and the port that requests to an upstream are for. If a proxy carries them, they are still those of the upstream.
///
/// ```
/// use relay_providers::UpstreamAddress;
///
/// let address = UpstreamAddress::of(&"https://api.anthropic.com/v1/messages".parse()?);
/// let address = address.ok_or("no host")?;
/// assert_eq!((address.host(), address.port()), ("api.anthropic.com", 443));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct UpstreamAddress {
    /// Shared with the URI of the request, since each attempt notes its address.
    authority: Authority,
    port: u16,
}

impl UpstreamAddress {
    /// The address in `uri`; `None` without a host, and if there is neither a port nor a scheme with a default one.
    #[must_use]
    pub fn of(uri: &Uri) -> Option<Self> {
        let authority = uri.authority()?;
        let of_scheme = || match uri.scheme()? {
            scheme if *scheme == Scheme::HTTPS => Some(443),
            scheme if *scheme == Scheme::HTTP => Some(80),
            _ => None,
        };
        let port = authority.port_u16().or_else(of_scheme)?;
        Some(Self { authority: authority.clone(), port })
    }

    /// The name or the IP address of the host, without the brackets of an IPv6 address and without user information.
    #[must_use]
    pub fn host(&self) -> &str {
        let host = self.authority.host();
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }

    /// The port: that of the URI, or the default of its scheme.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Debug for UpstreamAddress {
    /// Writes no user information.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UpstreamAddress").field(&self.host()).field(&self.port).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_the_host_and_the_port_without_user_information() {
        #[track_caller]
        fn check(uri: &str, expected: Option<(&str, u16)>) {
            let address = UpstreamAddress::of(&uri.parse().unwrap());
            assert_eq!(address.as_ref().map(|address| (address.host(), address.port())), expected);
            assert!(!format!("{address:?}").contains("secret"));
        }
        check("https://api.anthropic.com/v1/messages?beta=true", Some(("api.anthropic.com", 443)));
        check("http://localhost/", Some(("localhost", 80)));
        check("http://127.0.0.1:11434", Some(("127.0.0.1", 11434)));
        check("https://[::1]:8443/v1", Some(("::1", 8443)));
        check("https://[2001:db8::1]/v1", Some(("2001:db8::1", 443)));
        check("https://user:secret@host:1/", Some(("host", 1)));
        check("ftp://host/", None);
        check("/v1/messages", None);
    }
}
