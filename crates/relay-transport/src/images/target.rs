//! The URL of an image.

use http::Uri;
use http::uri::{Authority, Parts, PathAndQuery, Scheme};

use crate::image_error::FetchError;

const HTTPS_PORT: u16 = 443;

/// An `https` URL without a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    authority: Authority,
    path: PathAndQuery,
}

/// Resolves `location`, a redirect from `uri`. Returns `None` if the result is not an `https` URL without a credential.
pub(super) fn redirect(uri: &Uri, location: &str) -> Option<Uri> {
    Some(Target::of(uri).ok()?.join(location).ok()?.uri())
}

/// Returns the host of `uri` without the brackets of an IPv6 address.
pub(super) fn host(uri: &Uri) -> &str {
    uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
}

impl Target {
    pub(super) fn parse(url: &str) -> Result<Self, FetchError> {
        // A fragment is not sent, and this parser does not accept one.
        let url = url.split('#').next().unwrap_or_default();
        Self::of(&url.parse().map_err(|_| FetchError::Url)?)
    }

    pub(super) fn of(uri: &Uri) -> Result<Self, FetchError> {
        let parts = uri.clone().into_parts();
        let authority = parts
            .authority
            .filter(|authority| !authority.host().is_empty() && !authority.as_str().contains('@'));
        match (parts.scheme, authority) {
            (Some(scheme), Some(authority)) if scheme == Scheme::HTTPS => {
                Ok(Self { authority, path: parts.path_and_query.unwrap_or(PathAndQuery::from_static("/")) })
            }
            _ => Err(FetchError::Url),
        }
    }

    /// Resolves `location`, a redirect from this URL (RFC 3986 section 4.2, without `..`, which servers resolve).
    pub(super) fn join(&self, location: &str) -> Result<Self, FetchError> {
        if location.contains("://") {
            return Self::parse(location);
        }
        if location.starts_with("//") {
            return Self::parse(&format!("https:{location}"));
        }
        let directory = match location.starts_with('/') {
            true => "",
            false => self.path.path().rsplit_once('/').map_or("", |(directory, _)| directory),
        };
        let slash = if location.starts_with('/') { "" } else { "/" };
        Self::parse(&format!("https://{}{directory}{slash}{location}", self.authority))
    }

    pub(super) fn uri(&self) -> Uri {
        let mut parts = Parts::default();
        parts.scheme = Some(Scheme::HTTPS);
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(self.path.clone());
        // Only a missing part is an error.
        Uri::from_parts(parts).unwrap_or_default()
    }

    /// The host without the brackets of an IPv6 address.
    pub(super) fn host(&self) -> &str {
        self.authority.host().trim_start_matches('[').trim_end_matches(']')
    }

    pub(super) fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(HTTPS_PORT)
    }

    pub(super) fn authority(&self) -> &str {
        self.authority.as_str()
    }

    pub(super) fn path(&self) -> &PathAndQuery {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_without_a_credential_is_a_target() {
        let target = Target::parse("https://Example.com:8443/a%20b?c=d#e").unwrap();
        assert_eq!(
            (target.host(), target.port(), target.path().as_str()),
            ("Example.com", 8443, "/a%20b?c=d")
        );
        let target = Target::parse("https://[2606:4700::1]").unwrap();
        assert_eq!((target.host(), target.port(), target.path().as_str()), ("2606:4700::1", 443, "/"));
        for wrong in [
            "",
            "/a",
            "example.com/a",
            "http://example.com/a",
            "file:///etc/passwd",
            "https://",
            "https:///a",
            "https://user@example.com/",
            "https://user:password@example.com/",
            "data:image/png;base64,AA==",
            "https://exa mple.com",
        ] {
            assert!(matches!(Target::parse(wrong), Err(FetchError::Url)), "{wrong}");
        }
    }

    #[test]
    fn redirects_are_resolved_against_the_current_url() {
        #[track_caller]
        fn check(location: &str, expected: Option<&str>) {
            let joined = Target::parse("https://a.example/b/c?d").unwrap().join(location).ok();
            assert_eq!(joined, expected.map(|url| Target::parse(url).unwrap()), "{location}");
        }
        check("https://b.example/x", Some("https://b.example/x"));
        check("//b.example/x", Some("https://b.example/x"));
        check("/x?y", Some("https://a.example/x?y"));
        check("x", Some("https://a.example/b/x"));
        check("http://b.example/x", None);
        check("ftp://b.example/x", None);
    }
}
