//! The hosts and the web origins that the listener for clients accepts.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// A host without a port, in its normal form: a name in lower case without a dot at its end, or an IP address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostName(String);

impl HostName {
    /// Reads the host of a `Host` header or of a URL, such as `localhost`, `Relay.Example.` or `[::1]`, without a port.
    ///
    /// Returns `None` if `text` is not a host.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let address = text.strip_prefix('[').map(|rest| rest.strip_suffix(']'));
        if let Some(address) = address {
            return Some(Self(address?.parse::<Ipv6Addr>().ok()?.to_string()));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let is_label = |label: &str| {
            let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            !label.is_empty() && label.bytes().all(is_inner)
        };
        name.split('.').all(is_label).then(|| Self(name.to_ascii_lowercase()))
    }

    /// Returns `true` for `localhost`, the names below it (RFC 6761, section 6.3) and loopback addresses.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.address() {
            Some(address) => address.to_canonical().is_loopback(),
            None => self.0 == "localhost" || self.0.ends_with(".localhost"),
        }
    }

    /// Returns `true` for an IP address.
    #[must_use]
    pub fn is_address(&self) -> bool {
        self.address().is_some()
    }

    fn address(&self) -> Option<IpAddr> {
        self.0.parse().ok()
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.contains(':') {
            true => write!(f, "[{}]", self.0),
            false => f.write_str(&self.0),
        }
    }
}

/// The origin of web pages, as browsers send it: scheme, host and a port that is not the scheme's default.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin(String);

impl Origin {
    /// Reads an origin such as `https://app.example` or `chrome-extension://abc`. Letters are put in lower case, and the
    /// default port of `http` and `https` is removed (RFC 6454, section 6.2).
    ///
    /// Returns `None` if `text` is not an origin; a path, a user or `null` is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let (scheme, rest) = text.split_once("://")?;
        let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        if !scheme.starts_with(|first: char| first.is_ascii_alphabetic()) || !scheme.bytes().all(is_scheme) {
            return None;
        }
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse::<u16>().ok()?)),
            _ => (rest, None),
        };
        let host = HostName::parse(host)?;
        let is_default = matches!((scheme, port), ("http", Some(80)) | ("https", Some(443)));
        Some(Self(match port.filter(|_| !is_default) {
            Some(port) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{host}"),
        }))
    }

    /// The origin in its normal form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_one_normal_form() {
        #[track_caller]
        fn check(text: &str, expected: Option<(&str, bool)>) {
            let host = HostName::parse(text).map(|host| (host.to_string(), host.is_loopback()));
            assert_eq!(host, expected.map(|(text, is_loopback)| (text.to_owned(), is_loopback)), "{text:?}");
        }
        check("localhost", Some(("localhost", true)));
        check("LOCALHOST.", Some(("localhost", true)));
        check("app.localhost", Some(("app.localhost", true)));
        check("127.0.0.1", Some(("127.0.0.1", true)));
        check("127.255.0.2", Some(("127.255.0.2", true)));
        check("[::1]", Some(("[::1]", true)));
        check("[0:0:0:0:0:0:0:1]", Some(("[::1]", true)));
        check("[::ffff:127.0.0.1]", Some(("[::ffff:127.0.0.1]", true)));
        check("[::ffff:10.0.0.1]", Some(("[::ffff:10.0.0.1]", false)));
        check("0.0.0.0", Some(("0.0.0.0", false)));
        check("10.0.0.1", Some(("10.0.0.1", false)));
        check("Relay_1.Example", Some(("relay_1.example", false)));
        check("notlocalhost", Some(("notlocalhost", false)));
        check("localhost.evil.example", Some(("localhost.evil.example", false)));
        // Only resolvers of the past read these as addresses.
        check("127.1", Some(("127.1", false)));
        check("2130706433", Some(("2130706433", false)));
        for text in
            ["", ".", "a..b", "::1", "[::1", "[x]", "a:1", "u@localhost", "a/b", "local host", "größe"]
        {
            check(text, None);
        }
    }

    #[test]
    fn origins_have_one_normal_form() {
        #[track_caller]
        fn check(text: &str, expected: Option<&str>) {
            assert_eq!(Origin::parse(text).as_ref().map(Origin::as_str), expected, "{text:?}");
        }
        check("https://app.example", Some("https://app.example"));
        check("HTTPS://App.Example:443", Some("https://app.example"));
        check("http://app.example:443", Some("http://app.example:443"));
        check("http://localhost:3000", Some("http://localhost:3000"));
        check("http://[::1]:3000", Some("http://[::1]:3000"));
        check("http://[::1]", Some("http://[::1]"));
        check("chrome-extension://abcdef", Some("chrome-extension://abcdef"));
        for text in ["", "null", "*", "app.example", "https://", "https://a/", "https://a/b", "https://u@a"] {
            check(text, None);
        }
        for text in ["https://a:x", "https://a:70000", "https://a, https://b", "://a", "https://*.example"] {
            check(text, None);
        }
    }
}
