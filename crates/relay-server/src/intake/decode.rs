//! The content coding of a request's body.

use bytes::Bytes;
use http::HeaderMap;
use relay_transport::{ContentCoding, DecodeError};

use super::budget::BodyPermit;
use crate::error::Error;

/// Returns the coding that `content-encoding` names, or `None` for `identity` and for no header.
///
/// # Errors
/// [`Error::UnsupportedEncoding`] for an unknown coding, and for several.
pub(super) fn content_coding(headers: &HeaderMap) -> Result<Option<ContentCoding>, Error> {
    ContentCoding::of(headers).map_err(|found| Error::UnsupportedEncoding { found })
}

/// Decodes `body` to at most `limit` bytes. `permit`, which covers `body`, grows by the decoded bytes, and covers only these
/// in the end.
pub(super) async fn decode(
    body: Bytes,
    coding: ContentCoding,
    limit: usize,
    permit: &mut BodyPermit,
) -> Result<Bytes, Error> {
    let encoded = permit.bytes();
    let mut full = None;
    let may_hold = |bytes: usize| {
        full = permit.resize(encoded.saturating_add(bytes)).err();
        full.is_none()
    };
    let decoded = coding.decode(body, limit, may_hold).await;
    if let Some(full) = full {
        return Err(full);
    }
    let decoded = decoded.map_err(|error| match error {
        DecodeError::TooLarge { limit } => Error::BodyTooLarge { limit },
        DecodeError::TooManyMembers => Error::TooManyMembers { encoding: coding.as_str() },
        _ => Error::MalformedEncoding { encoding: coding.as_str() },
    })?;
    permit.resize(permit.bytes() - encoded)?;
    Ok(decoded)
}

#[cfg(test)]
#[cfg(feature = "compression")]
mod tests {
    use http::header::{CONTENT_ENCODING, HeaderValue};

    use super::super::budget::BodyBudget;
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
        let mut permit = BodyBudget::new(None).permit();
        let result = decode(Bytes::from_static(b"plain"), ContentCoding::Zstd, 100, &mut permit).await;
        assert!(matches!(result, Err(Error::MalformedEncoding { encoding: "zstd" })));
    }

    /// 4 MiB of zeros in zstd: one frame of 32 RLE blocks (RFC 8878, section 3.1.1).
    fn zeros() -> Bytes {
        let frame_header = *b"\x28\xb5\x2f\xfd\xa0\x00\x00\x40\x00";
        // An RLE block of 128 KiB, the largest size of a block. Each block header is 3 bytes, little-endian.
        let block = |is_last: u32| (is_last | 1 << 1 | (128 * 1024) << 3).to_le_bytes();
        let blocks = (1..=32).flat_map(|index| {
            let [a, b, c, _] = block(u32::from(index == 32));
            [a, b, c, 0]
        });
        frame_header.into_iter().chain(blocks).collect()
    }

    #[tokio::test]
    async fn decoded_bytes_count_against_the_budget() {
        let body = zeros();
        let budget = BodyBudget::new(Some(1024 * 1024));
        let mut permit = budget.permit();
        permit.resize(body.len()).unwrap();
        let result = decode(body.clone(), ContentCoding::Zstd, 8 << 20, &mut permit).await;
        assert!(matches!(result, Err(Error::BuffersFull { limit: 1_048_576 })), "{result:?}");

        let mut permit = BodyBudget::new(None).permit();
        permit.resize(body.len()).unwrap();
        let decoded = decode(body, ContentCoding::Zstd, 8 << 20, &mut permit).await.unwrap();
        assert_eq!(decoded.len(), 4 << 20);
        assert!((4 << 20..=8 << 20).contains(&permit.bytes()), "{}", permit.bytes());
    }
}
