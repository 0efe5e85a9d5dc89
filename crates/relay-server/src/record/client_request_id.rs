//! The id that a client gave its request.

use http::{HeaderMap, HeaderName};

use crate::request_id::{REQUEST_ID, plain_id};

/// The headers in which clients send an id of their own, in order of preference.
static HEADERS: [HeaderName; 3] =
    [HeaderName::from_static("x-client-request-id"), HeaderName::from_static("x-request-id"), REQUEST_ID];

/// Returns the id that a client sent for its request. It is logged, so only visible ASCII of a bounded length counts.
pub(super) fn client_request_id(headers: &HeaderMap) -> Option<Box<str>> {
    HEADERS.iter().find_map(|name| plain_id(headers.get(name)?)).map(Into::into)
}

#[cfg(test)]
mod tests {
    use http::header::HeaderValue;

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
}
