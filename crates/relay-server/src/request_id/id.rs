//! The ids of a request.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderName};

/// The header with the id of a request, in the responses of Anthropic's API and of the relay.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// The header with the id that a program has chosen.
const CALLER_ID: &str = "x-request-id";
/// The headers in which clients send an id of their own, in order of preference.
const CLIENT_HEADERS: [&str; 3] = ["x-client-request-id", CALLER_ID, "request-id"];
/// The longest id of a client that is kept, in bytes.
const CLIENT_ID_MAX: usize = 128;

/// The relay's own id of a request: `req_` and 24 hexadecimal digits. If a program calls the relay as a service, and the
/// request has an `x-request-id` of at most 128 visible ASCII characters, it is that id. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// Draws a new id.
    pub(crate) fn random() -> Self {
        Self(format!("req_{:024x}", fastrand::u128(..) >> 32).into())
    }

    /// Returns the id that the caller has chosen by `x-request-id`.
    pub(crate) fn of_caller(headers: &HeaderMap) -> Option<Self> {
        plain(headers, CALLER_ID).map(|id| Self(id.into()))
    }

    /// The id as the client sees it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns the id that a client sent for its request. It is logged, so only visible ASCII of a bounded length counts.
pub(crate) fn client_request_id(headers: &HeaderMap) -> Option<Box<str>> {
    CLIENT_HEADERS.iter().find_map(|name| plain(headers, name)).map(Into::into)
}

/// Returns the header `name` if it consists of visible ASCII characters and is not too long.
fn plain<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let id = headers.get(name)?.to_str().ok()?;
    let is_plain = (1..=CLIENT_ID_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    is_plain.then_some(id)
}

#[cfg(test)]
mod tests {
    use http::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn a_client_id_is_kept_if_it_is_short_and_printable() {
        #[track_caller]
        fn check(headers: &[(&'static str, &str)], expected: Option<&str>) {
            let headers = headers
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
            assert_eq!(client_request_id(&headers.collect()).as_deref(), expected);
        }
        check(&[], None);
        check(&[("x-request-id", "a")], Some("a"));
        check(&[("x-request-id", "a"), ("x-client-request-id", "b")], Some("b"));
        check(&[("x-request-id", "a b"), ("request-id", "c")], Some("c"));
        check(&[("x-request-id", "")], None);
        check(&[("x-request-id", &"x".repeat(128))], Some(&"x".repeat(128)));
        check(&[("x-request-id", &"x".repeat(129))], None);
    }

    #[test]
    fn ids_differ() {
        assert_ne!(RequestId::random(), RequestId::random());
        assert_eq!(RequestId::random().to_string().len(), "req_".len() + 24);
    }
}
