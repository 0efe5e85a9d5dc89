//! The content coding of a request's body.

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use relay_transport::{ContentCoding, DecodeError};

use crate::error::Error;

/// Returns the coding that `content-encoding` names, or `None` for `identity` and for no header.
///
/// # Errors
/// [`Error::UnsupportedEncoding`] for an unknown coding, and for several.
pub(super) fn content_coding(headers: &HeaderMap) -> Result<Option<ContentCoding>, Error> {
    let names: Vec<_> = headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .map(|name| String::from_utf8_lossy(name).trim().to_ascii_lowercase())
        .filter(|name| !name.is_empty() && name != "identity")
        .collect();
    let unsupported = || Error::UnsupportedEncoding { found: names.join(", ") };
    match &names[..] {
        [] => Ok(None),
        [name] => ContentCoding::from_name(name.as_bytes()).map(Some).ok_or_else(unsupported),
        _ => Err(unsupported()),
    }
}

/// Decodes `body` to at most `limit` bytes.
pub(super) async fn decode(body: Bytes, coding: ContentCoding, limit: usize) -> Result<Bytes, Error> {
    coding.decode(body, limit).await.map_err(|error| match error {
        DecodeError::TooLarge { limit } => Error::BodyTooLarge { limit },
        _ => Error::MalformedEncoding { encoding: coding.as_str() },
    })
}

#[cfg(test)]
mod tests {
    use http::header::HeaderValue;

    use super::*;

    #[test]
    fn the_header_names_at_most_one_coding() {
        #[track_caller]
        fn check(value: &'static str, expected: Result<Option<ContentCoding>, &str>) {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(value));
            assert_eq!(
                content_coding(&headers).map_err(|error| error.to_string()),
                expected.map_err(str::to_owned)
            );
        }
        check("gzip", Ok(Some(ContentCoding::Gzip)));
        check(" GZIP ", Ok(Some(ContentCoding::Gzip)));
        check("identity", Ok(None));
        check("", Ok(None));
        check("identity, zstd", Ok(Some(ContentCoding::Zstd)));
        let unsupported = |found| {
            Err(format!("content-encoding `{found}` is not supported: send gzip, deflate, br, zstd or none"))
        };
        check("compress", unsupported("compress").as_ref().map(|_: &()| None).map_err(String::as_str));
        check("gzip, br", unsupported("gzip, br").as_ref().map(|_: &()| None).map_err(String::as_str));
    }

    #[tokio::test]
    async fn a_malformed_body_names_its_coding() {
        let result = decode(Bytes::from_static(b"plain"), ContentCoding::Zstd, 100).await;
        assert!(matches!(result, Err(Error::MalformedEncoding { encoding: "zstd" })));
    }
}
