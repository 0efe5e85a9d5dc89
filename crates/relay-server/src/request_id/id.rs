//! The id of a request.

use std::fmt;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};

/// The header with the id of a request, in the responses of Anthropic's API and of the relay.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// The longest id of a client or of a program that is kept, in bytes.
const ID_MAX: usize = 128;

/// The length of `req_`, which begins a random id.
const RANDOM_PREFIX: usize = 4;

const HEX_DIGITS: &[u8; 16] = b"0123456789abcdef";

/// The id of a request: `req_` and 24 hexadecimal digits, or an id from a header. Cheap to clone.
///
/// If a program calls the relay as a service, and the request has an `x-request-id` of at most 128 visible ASCII characters,
/// it is that id.
///
/// ```
/// use http::HeaderValue;
/// use relay_server::RequestId;
///
/// assert_eq!(RequestId::random().as_str().len(), 28);
/// let id = RequestId::from_header(&HeaderValue::from_static("4bf92f35-77b3"));
/// assert_eq!(id.as_ref().map(RequestId::as_str), Some("4bf92f35-77b3"));
/// assert_eq!(RequestId::from_header(&HeaderValue::from_static("two words")), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// Returns the same id in memory of its own.
    pub(crate) fn detached(&self) -> Self {
        Self(Arc::from(&*self.0))
    }

    /// Draws a new id of 96 random bits. They are not cryptographic: the id is a name, and no secret.
    #[must_use]
    pub fn random() -> Self {
        let mut id = *b"req_000000000000000000000000";
        let mut bits = fastrand::u128(..);
        for digit in &mut id[RANDOM_PREFIX..] {
            *digit = HEX_DIGITS[(bits & 0xf) as usize];
            bits >>= 4;
        }
        Self(std::str::from_utf8(&id).unwrap_or_else(|_| unreachable!("the digits are ASCII")).into())
    }

    /// Reads an id from the value of a header. Returns `None` unless it has 1 to 128 characters, all of them visible ASCII: an
    /// id is logged, and sent to the client.
    #[must_use]
    pub fn from_header(value: &HeaderValue) -> Option<Self> {
        plain_id(value).map(|id| Self(id.into()))
    }

    /// The id as the client sees it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text of the id, shared.
    pub(crate) fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns the text of `value` if it consists of visible ASCII characters, and is neither empty nor too long.
pub(crate) fn plain_id(value: &HeaderValue) -> Option<&str> {
    let id = value.to_str().ok()?;
    let is_plain = (1..=ID_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    is_plain.then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ() {
        assert_ne!(RequestId::random(), RequestId::random());
        let id = RequestId::random();
        let digits = id.as_str().strip_prefix("req_").unwrap();
        assert_eq!(digits.len(), 24);
        assert!(digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')), "{id}");
    }
}
