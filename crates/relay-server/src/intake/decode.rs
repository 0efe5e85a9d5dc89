//! Compressed bodies, under the same bound as plain ones.

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder};
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::error::Error;

/// How much is decoded before other tasks get their turn.
const STEP: usize = 64 * 1024;

/// The encodings of a body, one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Encoding {
    /// What `content-encoding` says; `identity` is none.
    pub(super) fn of(headers: &HeaderMap) -> Result<Option<Self>, Error> {
        let values: Vec<_> = headers
            .get_all(CONTENT_ENCODING)
            .iter()
            .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
            .map(|value| String::from_utf8_lossy(value).trim().to_ascii_lowercase())
            .filter(|value| !value.is_empty() && value != "identity")
            .collect();
        Ok(Some(match values.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [] => return Ok(None),
            ["gzip" | "x-gzip"] => Self::Gzip,
            ["deflate"] => Self::Deflate,
            ["br"] => Self::Brotli,
            ["zstd"] => Self::Zstd,
            _ => return Err(Error::UnsupportedEncoding { found: values.join(", ") }),
        }))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }
}

/// `body` decoded; at most `limit` bytes, however much a few bytes claim to hold.
pub(super) async fn decode(body: Bytes, encoding: Encoding, limit: usize) -> Result<Bytes, Error> {
    let body = &body[..];
    match encoding {
        Encoding::Gzip => read(GzipDecoder::new(body), encoding, limit).await,
        Encoding::Deflate => read(ZlibDecoder::new(body), encoding, limit).await,
        Encoding::Brotli => read(BrotliDecoder::new(body), encoding, limit).await,
        Encoding::Zstd => read(ZstdDecoder::new(body), encoding, limit).await,
    }
}

async fn read(decoder: impl AsyncRead, encoding: Encoding, limit: usize) -> Result<Bytes, Error> {
    let mut decoder = std::pin::pin!(decoder);
    let mut decoded = BytesMut::new();
    loop {
        decoded.reserve(STEP);
        let read = decoder.read_buf(&mut decoded).await;
        let read = read.map_err(|_| Error::MalformedEncoding { encoding: encoding.name() })?;
        if decoded.len() > limit {
            return Err(Error::BodyTooLarge { limit });
        }
        if read == 0 {
            return Ok(decoded.freeze());
        }
        tokio::task::coop::consume_budget().await;
    }
}

#[cfg(test)]
mod tests {
    use async_compression::tokio::bufread::{BrotliEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder};
    use http::header::HeaderValue;

    use super::*;

    const ALL: [Encoding; 4] = [Encoding::Gzip, Encoding::Deflate, Encoding::Brotli, Encoding::Zstd];

    async fn encode(body: &[u8], encoding: Encoding) -> Bytes {
        let mut encoded = Vec::new();
        match encoding {
            Encoding::Gzip => GzipEncoder::new(body).read_to_end(&mut encoded).await,
            Encoding::Deflate => ZlibEncoder::new(body).read_to_end(&mut encoded).await,
            Encoding::Brotli => BrotliEncoder::new(body).read_to_end(&mut encoded).await,
            Encoding::Zstd => ZstdEncoder::new(body).read_to_end(&mut encoded).await,
        }
        .unwrap();
        encoded.into()
    }

    #[tokio::test]
    async fn every_encoding_is_decoded() {
        let body = r#"{"model":"claude-opus-5-5"}"#.repeat(10_000);
        for encoding in ALL {
            let encoded = encode(body.as_bytes(), encoding).await;
            assert_eq!(decode(encoded, encoding, body.len()).await.unwrap(), body);
        }
    }

    #[tokio::test]
    async fn a_bomb_stops_at_the_limit() {
        for encoding in ALL {
            let bomb = encode(&vec![0; 20_000_000], encoding).await;
            assert!(bomb.len() < 200_000);
            let result = decode(bomb, encoding, 1_000_000).await;
            assert!(matches!(result, Err(Error::BodyTooLarge { limit: 1_000_000 })), "{encoding:?}");
        }
    }

    #[tokio::test]
    async fn a_malformed_or_truncated_body_is_refused() {
        for encoding in ALL {
            let whole = encode(&[7; 1000], encoding).await;
            for broken in [Bytes::from_static(b"\xf5not encoded at all"), whole.slice(..whole.len() - 3)] {
                let result = decode(broken, encoding, 1_000_000).await;
                assert!(matches!(result, Err(Error::MalformedEncoding { .. })), "{encoding:?}");
            }
        }
    }

    #[test]
    fn the_header_says_which() {
        #[track_caller]
        fn check(value: &'static str, expected: Result<Option<Encoding>, &str>) {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(value));
            assert_eq!(
                Encoding::of(&headers).map_err(|error| error.to_string()),
                expected.map_err(str::to_owned)
            );
        }
        check("gzip", Ok(Some(Encoding::Gzip)));
        check(" GZIP ", Ok(Some(Encoding::Gzip)));
        check("identity", Ok(None));
        check("", Ok(None));
        check("identity, zstd", Ok(Some(Encoding::Zstd)));
        let unsupported = |found| {
            Err(format!("content-encoding `{found}` is not supported: send gzip, deflate, br, zstd or none"))
        };
        check("compress", unsupported("compress").as_ref().map(|_: &()| None).map_err(String::as_str));
        check("gzip, br", unsupported("gzip, br").as_ref().map(|_: &()| None).map_err(String::as_str));
    }
}
