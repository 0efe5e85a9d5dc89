//! The API of [`decompress`](super) in a build without decoders.

use bytes::Bytes;
use http::HeaderMap;
use http_body::Body;

use super::DecodeError;
use crate::body::{AnswerBody, AnswerBodyError};

/// A content coding that the relay can decode (RFC 9110, section 8.4.1). Without the feature `compression` there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContentCoding {}

impl ContentCoding {
    /// The codings that can be decoded.
    pub const ALL: &[Self] = &[];

    /// Returns the coding with this name in `content-encoding`: `None`, since none can be decoded.
    #[must_use]
    pub fn from_name(_: &[u8]) -> Option<Self> {
        None
    }

    /// Returns the name in `content-encoding`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {}
    }

    /// Decodes a complete body of at most `limit` decoded bytes.
    ///
    /// # Errors
    /// None, since the function cannot be called.
    pub async fn decode(
        self,
        _: Bytes,
        _limit: usize,
        _may_hold: impl FnMut(usize) -> bool,
    ) -> Result<Bytes, DecodeError> {
        match self {}
    }
}

/// Returns `body` unchanged, as a body in an unknown encoding.
pub fn decompress<B>(_: &mut HeaderMap, body: B) -> AnswerBody
where
    B: Body<Data = Bytes, Error = AnswerBodyError> + Send + 'static,
{
    AnswerBody::new(body)
}

#[cfg(test)]
mod tests {
    use http::header::{CONTENT_ENCODING, HeaderValue};
    use http_body_util::Full;

    use super::*;

    #[tokio::test]
    async fn a_compressed_body_is_unchanged_and_its_encoding_is_named_as_unsupported() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        let body = Full::from("as it is").map_err(|never| match never {});
        let body = decompress(&mut headers, body).collect().await.unwrap().to_bytes();
        assert_eq!((body, headers.len()), ("as it is".into(), 1));
        assert_eq!(ContentCoding::of(&headers), Err("gzip".to_owned()));
    }
}
