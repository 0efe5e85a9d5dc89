//! The memory of a response's headers while its body flows.

use http::HeaderMap;

/// The largest capacity that a map keeps whatever it holds. A map of 8 places has 832 bytes.
const SMALL: usize = 8;

/// Moves the headers of a streamed response to a map of their number, if theirs is more than twice as large.
///
/// hyper's client reads the headers of a response into the map of the request, and hyper's server keeps the map of a response until
/// the next request: 2.6 KB for each open stream.
pub(super) fn shrink(headers: &mut HeaderMap) {
    if headers.capacity() <= SMALL.max(2 * headers.len()) {
        return;
    }
    let mut exact = HeaderMap::with_capacity(headers.keys_len());
    exact.extend(std::mem::take(headers));
    *headers = exact;
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::{CONTENT_TYPE, SET_COOKIE};

    use super::*;

    #[test]
    fn a_large_map_shrinks_and_keeps_all_values_in_their_order() {
        let mut headers = HeaderMap::with_capacity(24);
        headers.append(SET_COOKIE, HeaderValue::from_static("first"));
        headers.append(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.append(SET_COOKIE, HeaderValue::from_static("second"));
        let before = headers.clone();
        shrink(&mut headers);
        assert!(headers.capacity() <= SMALL, "{}", headers.capacity());
        assert_eq!(headers, before);
        assert!(headers.iter().eq(before.iter()));
    }

    #[test]
    fn a_full_map_stays() {
        let mut headers = HeaderMap::with_capacity(24);
        for number in 0..20_u8 {
            headers
                .append(http::HeaderName::try_from(format!("x-{number}")).unwrap(), u16::from(number).into());
        }
        let first = std::ptr::from_ref(&headers["x-0"]);
        shrink(&mut headers);
        assert_eq!(std::ptr::from_ref(&headers["x-0"]), first);
    }
}
