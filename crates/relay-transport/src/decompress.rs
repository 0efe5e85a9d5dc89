//! Decompression of requests and responses.
//!
//! The relay offers no encoding to upstreams, but Google's front end compresses errors all the same, and private gateways
//! compress anything. Responses are decoded as they arrive, since the relay has to read them and the client may not accept
//! the encoding. A request is decoded whole, up to a limit.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder};
use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http_body::{Body, Frame};
use http_body_util::{BodyDataStream, BodyExt};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncReadExt, ReadBuf};
use tokio_util::io::{StreamReader, poll_read_buf};

use crate::body::{ResponseBody, ResponseBodyError};

/// The largest decoded frame, in bytes, whatever the compression ratio.
const FRAME: usize = 16 * 1024;

/// The memory by which the output of [`ContentCoding::decode`] grows at once, in bytes. Other tasks run after each step.
const STEP: usize = 64 * 1024;

/// The input that [`ContentCoding::decode`] reads at once, in bytes: about 50 of the smallest gzip members.
const PIECE: usize = 1024;

/// A content coding that the relay can decode (RFC 9110, section 8.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContentCoding {
    /// RFC 1952, with any number of members.
    Gzip,
    /// RFC 1950, the zlib format.
    Deflate,
    /// RFC 7932.
    Brotli,
    /// RFC 8878, with any number of frames.
    Zstd,
}

impl ContentCoding {
    /// Returns the coding with this name in `content-encoding`, in upper or lower case. `x-gzip` is another name of gzip.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Option<Self> {
        let known: [(&str, Self); 5] = [
            ("gzip", Self::Gzip),
            ("x-gzip", Self::Gzip),
            ("deflate", Self::Deflate),
            ("br", Self::Brotli),
            ("zstd", Self::Zstd),
        ];
        known
            .into_iter()
            .find_map(|(known, coding)| name.eq_ignore_ascii_case(known.as_bytes()).then_some(coding))
    }

    /// Returns the name in `content-encoding`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    /// Decodes a complete body of at most `limit` decoded bytes, whatever the compression ratio.
    ///
    /// # Errors
    /// [`DecodeError::TooLarge`] above the limit, [`DecodeError::Malformed`] if `body` is not valid or is truncated.
    pub async fn decode(self, body: Bytes, limit: usize) -> Result<Bytes, DecodeError> {
        let mut decoder = self.decoder(Pieces(body));
        let mut decoded = BytesMut::new();
        loop {
            decoded.reserve(STEP);
            let read = decoder.read_buf(&mut decoded).await.map_err(DecodeError::Malformed)?;
            if decoded.len() > limit {
                return Err(DecodeError::TooLarge { limit });
            }
            if read == 0 {
                return Ok(decoded.freeze());
            }
            tokio::task::coop::consume_budget().await;
        }
    }

    /// Returns the decoder of `encoded`. It continues after the end of a gzip member or zstd frame.
    fn decoder(self, encoded: impl AsyncBufRead + Send + 'static) -> Reader {
        match self {
            Self::Gzip => {
                let mut decoder = GzipDecoder::new(encoded);
                decoder.multiple_members(true);
                Box::pin(decoder)
            }
            Self::Deflate => Box::pin(ZlibDecoder::new(encoded)),
            Self::Brotli => Box::pin(BrotliDecoder::new(encoded)),
            Self::Zstd => {
                let mut decoder = ZstdDecoder::new(encoded);
                decoder.multiple_members(true);
                Box::pin(decoder)
            }
        }
    }
}

/// An error while decoding a complete body.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The decoded body is larger than permitted.
    #[error("the decoded body is larger than {limit} bytes")]
    TooLarge {
        /// The largest size, in bytes.
        limit: usize,
    },
    /// The body is not in the coding that its header names, or it is truncated.
    #[error("the body cannot be decoded")]
    Malformed(#[source] io::Error),
}

/// Decodes `body` and removes `content-encoding` from `headers`. A body in an unknown encoding, or in several, is returned
/// unchanged.
pub fn decompress<B>(headers: &mut HeaderMap, body: B) -> ResponseBody
where
    B: Body<Data = Bytes, Error = ResponseBodyError> + Send + 'static,
{
    let coding = headers.get(CONTENT_ENCODING).and_then(|name| ContentCoding::from_name(name.as_bytes()));
    let Some(coding) = coding else { return body.boxed_unsync() };
    let encoded = StreamReader::new(BodyDataStream::new(body.map_err(io::Error::other)));
    headers.remove(CONTENT_ENCODING);
    headers.remove(CONTENT_LENGTH);
    Decoded { reader: Some(coding.decoder(encoded)), buffer: BytesMut::new() }.boxed_unsync()
}

/// A complete body that is read piece by piece. Other tasks run after some pieces: many small gzip members or zstd frames
/// need time, although they hold no output.
struct Pieces(Bytes);

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let piece = ready!(self.as_mut().poll_fill_buf(cx))?;
        let length = piece.len().min(buffer.remaining());
        buffer.put_slice(&piece[..length]);
        self.consume(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncBufRead for Pieces {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        ready!(tokio::task::coop::poll_proceed(cx)).made_progress();
        let body = &self.get_mut().0;
        Poll::Ready(Ok(&body[..body.len().min(PIECE)]))
    }

    fn consume(mut self: Pin<&mut Self>, amount: usize) {
        self.0.advance(amount);
    }
}

type Reader = Pin<Box<dyn AsyncRead + Send>>;

/// The output of a decoder as a body.
struct Decoded {
    /// The decoder, or `None` after the end.
    reader: Option<Reader>,
    buffer: BytesMut,
}

impl Body for Decoded {
    type Data = Bytes;
    type Error = ResponseBodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ResponseBodyError>>> {
        let this = self.get_mut();
        let Some(reader) = &mut this.reader else { return Poll::Ready(None) };
        this.buffer.reserve(FRAME);
        let frame = match ready!(poll_read_buf(reader.as_mut(), cx, &mut this.buffer)) {
            Ok(0) => None,
            Ok(_) => Some(Ok(Frame::data(this.buffer.split().freeze()))),
            Err(error) => Some(Err(body_error(error))),
        };
        if !matches!(frame, Some(Ok(_))) {
            this.reader = None;
        }
        Poll::Ready(frame)
    }
}

/// Returns the error of the compressed body, or the decoder's own.
fn body_error(error: io::Error) -> ResponseBodyError {
    error.downcast().unwrap_or_else(|error| ResponseBodyError::Malformed(error.into()))
}

#[cfg(test)]
mod tests {
    use async_compression::tokio::write::{BrotliEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder};
    use http::HeaderValue;
    use http_body_util::channel::{Channel, Sender};
    use tokio::io::{AsyncWrite, AsyncWriteExt};

    use super::*;

    const CODINGS: [&str; 4] = ["gzip", "deflate", "br", "zstd"];

    fn encoder(coding: &str, out: Vec<u8>) -> Box<dyn Flush> {
        match coding {
            "gzip" => Box::new(GzipEncoder::new(out)),
            "deflate" => Box::new(ZlibEncoder::new(out)),
            "br" => Box::new(BrotliEncoder::new(out)),
            _ => Box::new(ZstdEncoder::new(out)),
        }
    }

    /// An encoder whose output can be read while it works.
    trait Flush: AsyncWrite + Unpin {
        fn written(&self) -> usize;
        fn output(&self, from: usize) -> Bytes;
    }

    macro_rules! flush {
        ($($encoder:ident)*) => {$(
            impl Flush for $encoder<Vec<u8>> {
                fn written(&self) -> usize {
                    self.get_ref().len()
                }
                fn output(&self, from: usize) -> Bytes {
                    Bytes::copy_from_slice(&self.get_ref()[from..])
                }
            }
        )*};
    }
    flush!(GzipEncoder ZlibEncoder BrotliEncoder ZstdEncoder);

    fn answer(coding: &'static str) -> (Sender<Bytes, ResponseBodyError>, HeaderMap, ResponseBody) {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("9"));
        let (sender, body) = Channel::new(8);
        let body = decompress(&mut headers, body);
        (sender, headers, body)
    }

    async fn next(body: &mut ResponseBody) -> Bytes {
        body.frame().await.unwrap().unwrap().into_data().unwrap()
    }

    #[tokio::test]
    async fn each_event_is_decoded_on_arrival() {
        for coding in CODINGS {
            let (mut sender, headers, mut body) = answer(coding);
            assert!(headers.is_empty(), "{coding}");
            let mut encoder = encoder(coding, Vec::new());
            for event in ["event: ping\n\n", "event: message_start\n\n"] {
                let before = encoder.written();
                encoder.write_all(event.as_bytes()).await.unwrap();
                encoder.flush().await.unwrap();
                sender.send_data(encoder.output(before)).await.unwrap();
                assert_eq!(next(&mut body).await, event, "{coding}");
            }
            let before = encoder.written();
            encoder.shutdown().await.unwrap();
            sender.send_data(encoder.output(before)).await.unwrap();
            drop(sender);
            assert!(body.frame().await.is_none(), "{coding}");
        }
    }

    #[tokio::test]
    async fn a_truncated_body_is_an_error() {
        for coding in CODINGS {
            let (mut sender, _, body) = answer(coding);
            let mut encoder = encoder(coding, Vec::new());
            encoder.write_all(b"{\"type\":\"message\"}").await.unwrap();
            encoder.shutdown().await.unwrap();
            sender.send_data(encoder.output(0).slice(..encoder.written() - 3)).await.unwrap();
            drop(sender);
            assert!(matches!(body.collect().await, Err(ResponseBodyError::Malformed(_))), "{coding}");
        }
    }

    #[tokio::test]
    async fn an_error_of_the_compressed_body_passes_unchanged() {
        let (sender, _, body) = answer("gzip");
        sender.abort(ResponseBodyError::Incomplete);
        assert!(matches!(body.collect().await, Err(ResponseBodyError::Incomplete)));
    }

    #[tokio::test]
    async fn a_body_in_an_unknown_encoding_is_unchanged() {
        for coding in ["compress", "gzip, br", "identity"] {
            let (mut sender, headers, mut body) = answer(coding);
            assert_eq!(headers.len(), 2, "{coding}");
            sender.send_data("as it is".into()).await.unwrap();
            assert_eq!(next(&mut body).await, "as it is");
        }
    }

    const ALL: [ContentCoding; 4] =
        [ContentCoding::Gzip, ContentCoding::Deflate, ContentCoding::Brotli, ContentCoding::Zstd];

    async fn encode(body: &[u8], coding: ContentCoding) -> Vec<u8> {
        let mut encoder = encoder(coding.as_str(), Vec::new());
        encoder.write_all(body).await.unwrap();
        encoder.shutdown().await.unwrap();
        encoder.output(0).to_vec()
    }

    #[tokio::test]
    async fn a_complete_body_is_decoded_in_each_coding() {
        let body = r#"{"model":"claude-opus-5-5"}"#.repeat(10_000);
        for coding in ALL {
            let encoded = encode(body.as_bytes(), coding).await;
            assert_eq!(coding.decode(encoded.into(), body.len()).await.unwrap(), body, "{coding:?}");
        }
    }

    #[tokio::test]
    async fn a_body_of_several_members_is_decoded_to_its_end() {
        for coding in [ContentCoding::Gzip, ContentCoding::Zstd] {
            let encoded = [encode(b"first, ", coding).await, encode(b"second", coding).await].concat();
            let decoded = coding.decode(encoded.clone().into(), 100).await.unwrap();
            assert_eq!(decoded, "first, second", "{coding:?}");
            // A response of the same bytes, cut at every place.
            for cut in 0..encoded.len() {
                let (mut sender, headers, body) = answer(coding.as_str());
                sender.send_data(Bytes::copy_from_slice(&encoded[..cut])).await.unwrap();
                sender.send_data(Bytes::copy_from_slice(&encoded[cut..])).await.unwrap();
                drop((sender, headers));
                assert_eq!(body.collect().await.unwrap().to_bytes(), "first, second", "{coding:?} at {cut}");
            }
        }
    }

    #[tokio::test]
    async fn decoding_stops_at_the_limit() {
        for coding in ALL {
            let bomb = encode(&vec![0; 20_000_000], coding).await;
            assert!(bomb.len() < 200_000);
            let result = coding.decode(bomb.into(), 1_000_000).await;
            assert!(matches!(result, Err(DecodeError::TooLarge { limit: 1_000_000 })), "{coding:?}");
        }
    }

    #[tokio::test]
    async fn a_malformed_or_truncated_body_is_refused() {
        for coding in ALL {
            let encoded = Bytes::from(encode(&[7; 1000], coding).await);
            for broken in [Bytes::from_static(b"\xf5not encoded at all"), encoded.slice(..encoded.len() - 3)]
            {
                let result = coding.decode(broken, 1_000_000).await;
                assert!(matches!(result, Err(DecodeError::Malformed(_))), "{coding:?}");
            }
        }
    }

    #[tokio::test]
    async fn other_tasks_run_while_many_empty_members_are_decoded() {
        for coding in [ContentCoding::Gzip, ContentCoding::Zstd] {
            let members = encode(b"", coding).await.repeat(100_000);
            let decoding = tokio::spawn(coding.decode(members.into(), 0));
            let mut turns = 0;
            while !decoding.is_finished() {
                tokio::task::yield_now().await;
                turns += 1;
            }
            assert_eq!(decoding.await.unwrap().unwrap(), "", "{coding:?}");
            assert!(turns > 1, "{coding:?}: {turns} turns");
        }
    }
}
