//! Decompression of responses. The relay offers no encoding, but Google's front end compresses errors all the same, and
//! private gateways compress anything. Responses are decoded as they arrive, since the relay has to read them and the
//! client may not accept the encoding.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder};
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderValue};
use http_body::{Body, Frame};
use http_body_util::{BodyDataStream, BodyExt};
use tokio::io::AsyncRead;
use tokio_util::io::{StreamReader, poll_read_buf};

use crate::body::{ResponseBody, ResponseBodyError};

/// The largest decoded frame, in bytes, whatever the compression ratio.
const FRAME: usize = 16 * 1024;

/// Decodes `body` and removes `content-encoding` from `headers`. A body in an unknown encoding, or in several, is returned
/// unchanged.
pub fn decompress<B>(headers: &mut HeaderMap, body: B) -> ResponseBody
where
    B: Body<Data = Bytes, Error = ResponseBodyError> + Send + 'static,
{
    let Some(coding) = headers.get(CONTENT_ENCODING).and_then(Coding::of) else { return body.boxed_unsync() };
    let encoded = StreamReader::new(BodyDataStream::new(body.map_err(io::Error::other)));
    let reader: Reader = match coding {
        Coding::Gzip => {
            let mut decoder = GzipDecoder::new(encoded);
            decoder.multiple_members(true);
            Box::pin(decoder)
        }
        Coding::Deflate => Box::pin(ZlibDecoder::new(encoded)),
        Coding::Brotli => Box::pin(BrotliDecoder::new(encoded)),
        Coding::Zstd => Box::pin(ZstdDecoder::new(encoded)),
    };
    headers.remove(CONTENT_ENCODING);
    headers.remove(CONTENT_LENGTH);
    Decoded { reader: Some(reader), buffer: BytesMut::new() }.boxed_unsync()
}

/// The supported encodings.
#[derive(Debug, Clone, Copy)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Coding {
    fn of(header: &HeaderValue) -> Option<Self> {
        let is = |name: &str| header.as_bytes().eq_ignore_ascii_case(name.as_bytes());
        let known = [
            ("gzip", Self::Gzip),
            ("x-gzip", Self::Gzip),
            ("deflate", Self::Deflate),
            ("br", Self::Brotli),
            ("zstd", Self::Zstd),
        ];
        known.into_iter().find_map(|(name, coding)| is(name).then_some(coding))
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
}
