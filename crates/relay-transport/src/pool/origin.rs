//! The origin of a host: the scheme and the authority of its URIs.

use http::header::{HOST, HeaderValue};
use http::uri::{Parts, PathAndQuery, Scheme};
use http::{Method, Request, Uri};

use super::outgoing::Outgoing;

/// The scheme and the authority of the requests to one host, with the parts of a request over HTTP/1.1 that follow from them.
pub(super) struct Origin {
    /// The scheme and the authority, with the path `/`.
    uri: Uri,
    /// The value of the `host` header; `None` if no header can carry it.
    header: Option<HeaderValue>,
}

impl Origin {
    /// Returns the origin of `uri`, or `None` if `uri` is not absolute.
    pub(super) fn of(uri: &Uri) -> Option<Self> {
        let mut parts = Parts::default();
        (parts.scheme, parts.authority) = (Some(uri.scheme()?.clone()), Some(uri.authority()?.clone()));
        parts.path_and_query = Some(PathAndQuery::from_static("/"));
        let uri = Uri::from_parts(parts).ok()?;
        Some(Self { header: host_header(&uri), uri })
    }

    /// Returns `true` if `uri` belongs to the origin.
    pub(super) fn includes(&self, uri: &Uri) -> bool {
        self.uri.scheme() == uri.scheme() && self.uri.authority() == uri.authority()
    }

    pub(super) fn is_https(&self) -> bool {
        self.uri.scheme() == Some(&Scheme::HTTPS)
    }

    /// Returns the URI with the path `/`.
    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }

    pub(super) fn authority(&self) -> &str {
        self.uri.authority().map_or("", |authority| authority.as_str())
    }

    /// Writes the request target and the host as HTTP/1.1 requires (RFC 9112 section 3.2): the origin form, since a proxy is
    /// passed by a tunnel.
    pub(super) fn write_target(&self, request: &mut Request<Outgoing>) {
        if let Some(host) = &self.header {
            request.headers_mut().entry(HOST).or_insert_with(|| host.clone());
        }
        if request.method() != Method::CONNECT {
            let target = std::mem::take(request.uri_mut()).into_parts().path_and_query;
            *request.uri_mut() = target.map_or_else(Uri::default, Uri::from);
        }
    }

    /// Returns the absolute URI of a request target in origin form.
    pub(super) fn absolute(&self, target: Uri) -> Uri {
        let mut parts = self.uri.clone().into_parts();
        parts.path_and_query = target.into_parts().path_and_query;
        Uri::from_parts(parts).unwrap_or_default()
    }
}

/// Returns the value of the `host` header: without a port that is the default of its scheme, and without user information.
fn host_header(uri: &Uri) -> Option<HeaderValue> {
    let host = uri.host()?;
    let default = if uri.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
    match uri.port_u16() {
        Some(port) if port != default => HeaderValue::try_from(format!("{host}:{port}")).ok(),
        _ => HeaderValue::from_str(host).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request_body::RequestBody;

    #[test]
    fn the_target_of_http1_is_in_origin_form_and_host_omits_the_default_port() {
        #[track_caller]
        fn check(uri: &'static str, target: &str, host: &str) {
            let mut request = Request::new(Outgoing::new(RequestBody::Payload(Default::default())));
            let uri = Uri::from_static(uri);
            *request.uri_mut() = uri.clone();
            let origin = Origin::of(&uri).unwrap();
            origin.write_target(&mut request);
            assert_eq!(request.uri(), target);
            assert_eq!(request.headers()[HOST], host);
            assert_eq!(origin.absolute(request.uri().clone()), uri);
        }
        check("https://a.example/v1/messages?beta=true", "/v1/messages?beta=true", "a.example");
        check("https://a.example:443/", "/", "a.example");
        check("https://a.example:80", "/", "a.example:80");
        check("http://127.0.0.1:80/x", "/x", "127.0.0.1");
        check("http://[::1]:11434/x", "/x", "[::1]:11434");
        check("http://name:password@a.example/x", "/x", "a.example");
    }

    #[test]
    fn an_origin_includes_the_uris_of_its_scheme_and_authority() {
        let origin = Origin::of(&Uri::from_static("https://a.example/x")).unwrap();
        let includes = |uri: &'static str| origin.includes(&Uri::from_static(uri));
        assert!(includes("https://a.example/") && includes("https://A.example/y?z"));
        assert!(!includes("http://a.example/") && !includes("https://a.example:444/") && !includes("/x"));
        assert!(Origin::of(&Uri::from_static("/x")).is_none());
    }
}
