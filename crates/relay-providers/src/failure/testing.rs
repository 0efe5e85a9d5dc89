//! Failures for the tests of this crate.

use bytes::Bytes;
use http::{Response, response};

use super::UpstreamError;

/// The names and values of some headers.
pub(crate) type Headers<'a> = &'a [(&'static str, &'a str)];

/// Returns a response head.
pub(crate) fn head(status: u16, headers: Headers<'_>) -> response::Parts {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(()).unwrap().into_parts().0
}

/// Reads a whole body of an error without headers.
pub(crate) fn error(status: u16, body: &str) -> UpstreamError {
    error_with(status, &[], body)
}

/// Reads a whole body of an error.
pub(crate) fn error_with(status: u16, headers: Headers<'_>, body: &str) -> UpstreamError {
    UpstreamError::read(&head(status, headers), Bytes::copy_from_slice(body.as_bytes()), true)
}
