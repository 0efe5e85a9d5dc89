//! The headers that restrict a browser.

use http::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use http::response::Response;

/// The headers of every response, with the values that a page without inline scripts and without foreign resources can have.
const HEADERS: [(HeaderName, &str); 7] = [
    (
        http::header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (http::header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (http::header::X_FRAME_OPTIONS, "DENY"),
    (http::header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (CACHE_CONTROL, "no-store"),
];

/// Adds the headers that `response` does not have.
pub(super) fn with_security_headers<B>(mut response: Response<B>) -> Response<B> {
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_of_the_service_is_kept() {
        let mut response = Response::new(());
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("max-age=60"));
        let response = with_security_headers(response);
        assert_eq!(response.headers()[CACHE_CONTROL], "max-age=60");
        assert_eq!(response.headers()["x-frame-options"], "DENY");
        assert_eq!(response.headers().len(), HEADERS.len());
    }
}
