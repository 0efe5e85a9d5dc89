//! Decodes bodies: a request whole, a response as it arrives.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http_body::{Body, Frame};
use http_body_util::{BodyDataStream, BodyExt};
use tokio::io::AsyncReadExt;
use tokio_util::io::{StreamReader, poll_read_buf};

use super::DecodeError;
use super::coding::ContentCoding;
use super::reader::{Reader, TooManyMembers};
use super::source::Pieces;
use crate::body::{AnswerBody, AnswerBodyError};

/// The largest decoded frame, in bytes, at every compression ratio.
const FRAME: usize = 16 * 1024;

/// The memory for the first output of [`ContentCoding::decode`], in bytes.
const FIRST_OUTPUT: usize = 64 * 1024;

/// The decoded bytes of a request for each gzip member or zstd frame. Tools that compress in parallel make members of at
/// least 64 KiB.
const REQUEST_MEMBER: u64 = 1024;

/// The decoded bytes of a response for each gzip member or zstd frame. A server may make one of each event.
const RESPONSE_MEMBER: u64 = 64;

impl ContentCoding {
    /// Decodes a complete body of at most `limit` decoded bytes, at every compression ratio.
    ///
    /// The output grows by doubling. Before it grows, `may_hold` is called with its new capacity in bytes, and returns
    /// `false` to stop.
    ///
    /// # Errors
    /// [`DecodeError::TooLarge`] above the limit, [`DecodeError::Refused`] if `may_hold` returned `false`,
    /// [`DecodeError::TooManyMembers`] for more than 1024 gzip members or zstd frames with less than 1 KiB of output for
    /// each, [`DecodeError::Malformed`] if `body` is not valid or is truncated.
    pub async fn decode(
        self,
        body: Bytes,
        limit: usize,
        mut may_hold: impl FnMut(usize) -> bool,
    ) -> Result<Bytes, DecodeError> {
        let mut reader = Reader::new(self, Pieces(body), REQUEST_MEMBER);
        let mut decoded = BytesMut::new();
        loop {
            if decoded.len() == decoded.capacity() {
                // One byte above the limit shows that the body is too large.
                let capacity = (2 * decoded.capacity()).max(FIRST_OUTPUT).min(limit.saturating_add(1));
                if !may_hold(capacity) {
                    return Err(DecodeError::Refused);
                }
                decoded.reserve(capacity - decoded.len());
            }
            let read = reader.read_buf(&mut decoded).await.map_err(DecodeError::from)?;
            if decoded.len() > limit {
                return Err(DecodeError::TooLarge { limit });
            }
            if read == 0 {
                return Ok(decoded.freeze());
            }
            tokio::task::coop::consume_budget().await;
        }
    }
}

impl From<io::Error> for DecodeError {
    fn from(error: io::Error) -> Self {
        match error.get_ref() {
            Some(source) if source.is::<TooManyMembers>() => Self::TooManyMembers,
            _ => Self::Malformed(error),
        }
    }
}

/// Decodes `body` and removes `content-encoding` from `headers`. A body in an unknown encoding, or in several, is returned
/// unchanged.
pub fn decompress<B>(headers: &mut HeaderMap, body: B) -> AnswerBody
where
    B: Body<Data = Bytes, Error = AnswerBodyError> + Send + 'static,
{
    let Ok(Some(coding)) = ContentCoding::of(headers) else { return AnswerBody::new(body) };
    let encoded = StreamReader::new(BodyDataStream::new(body.map_err(io::Error::other)));
    headers.remove(CONTENT_ENCODING);
    headers.remove(CONTENT_LENGTH);
    let reader = Reader::new(coding, encoded, RESPONSE_MEMBER);
    AnswerBody::new(Decoded { reader: Some(Box::new(reader)), buffer: BytesMut::new() })
}

/// The output of a decoder as a body.
struct Decoded {
    /// The decoder, or `None` after the end.
    reader: Option<Box<Reader>>,
    buffer: BytesMut,
}

impl Body for Decoded {
    type Data = Bytes;
    type Error = AnswerBodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerBodyError>>> {
        let this = self.get_mut();
        let Some(reader) = &mut this.reader else { return Poll::Ready(None) };
        this.buffer.reserve(FRAME);
        let Poll::Ready(read) = poll_read_buf(Pin::new(reader), cx, &mut this.buffer) else {
            // A stream spends most of its time waiting. Its buffer is empty then.
            this.buffer = BytesMut::new();
            return Poll::Pending;
        };
        let frame = match read {
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
fn body_error(error: io::Error) -> AnswerBodyError {
    error.downcast().unwrap_or_else(|error| AnswerBodyError::Malformed(error.into()))
}

#[cfg(test)]
mod tests {
    use async_compression::tokio::write::{
        BrotliEncoder, DeflateEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder,
    };
    use std::task::Waker;

    use http::HeaderValue;
    use http_body_util::channel::{Channel, Sender};
    use tokio::io::{AsyncWrite, AsyncWriteExt};

    use super::*;

    /// Every name of `content-encoding`. The second format of `deflate` is marked by `raw`.
    const CODINGS: [&str; 5] = ["gzip", "deflate", "raw deflate", "br", "zstd"];

    fn encoder(coding: &str, out: Vec<u8>) -> Box<dyn Flush> {
        match coding {
            "raw deflate" => Box::new(DeflateEncoder::new(out)),
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
    flush!(GzipEncoder ZlibEncoder DeflateEncoder BrotliEncoder ZstdEncoder);

    fn answer(coding: &'static str) -> (Sender<Bytes, AnswerBodyError>, HeaderMap, AnswerBody) {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.trim_start_matches("raw ")));
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("9"));
        let (sender, body) = Channel::new(8);
        let body = decompress(&mut headers, body);
        (sender, headers, body)
    }

    async fn next(body: &mut AnswerBody) -> Bytes {
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
    async fn a_body_that_waits_for_its_next_event_has_no_buffer() {
        let (mut sender, body) = Channel::<Bytes, AnswerBodyError>::new(1);
        let encoded = StreamReader::new(BodyDataStream::new(body.map_err(io::Error::other)));
        let reader = Reader::new(ContentCoding::Gzip, encoded, RESPONSE_MEMBER);
        let mut body = Decoded { reader: Some(Box::new(reader)), buffer: BytesMut::new() };
        let mut encoder = encoder("gzip", Vec::new());
        encoder.write_all(b"event: ping\n\n").await.unwrap();
        encoder.flush().await.unwrap();
        sender.send_data(encoder.output(0)).await.unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "event: ping\n\n");
        let mut context = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut body).poll_frame(&mut context).is_pending());
        assert_eq!(body.buffer.capacity(), 0);
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
            assert!(matches!(body.collect().await, Err(AnswerBodyError::Malformed(_))), "{coding}");
        }
    }

    #[tokio::test]
    async fn an_error_of_the_compressed_body_passes_unchanged() {
        let (sender, _, body) = answer("gzip");
        sender.abort(AnswerBodyError::Incomplete);
        assert!(matches!(body.collect().await, Err(AnswerBodyError::Incomplete)));
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

    async fn encode(body: &[u8], coding: &str) -> Vec<u8> {
        let mut encoder = encoder(coding, Vec::new());
        encoder.write_all(body).await.unwrap();
        encoder.shutdown().await.unwrap();
        encoder.output(0).to_vec()
    }

    async fn decode(body: impl Into<Bytes>, coding: &str, limit: usize) -> Result<Bytes, DecodeError> {
        let coding = ContentCoding::from_name(coding.trim_start_matches("raw ").as_bytes()).unwrap();
        coding.decode(body.into(), limit, |_| true).await
    }

    /// Returns the decoded response of `encoded`, which arrives in these frames.
    async fn respond(coding: &'static str, frames: &[&[u8]]) -> Result<Bytes, AnswerBodyError> {
        let (mut sender, _, body) = answer(coding);
        for frame in frames {
            sender.send_data(Bytes::copy_from_slice(frame)).await.unwrap();
        }
        drop(sender);
        Ok(body.collect().await?.to_bytes())
    }

    #[tokio::test]
    async fn a_complete_body_is_decoded_in_each_coding() {
        let body = r#"{"model":"claude-opus-5-5"}"#.repeat(10_000);
        for coding in CODINGS {
            let encoded = encode(body.as_bytes(), coding).await;
            assert_eq!(decode(encoded, coding, body.len()).await.unwrap(), body, "{coding}");
        }
    }

    #[tokio::test]
    async fn a_body_of_several_members_is_decoded_to_its_end() {
        for coding in ["gzip", "zstd"] {
            let encoded = [encode(b"first, ", coding).await, encode(b"second", coding).await].concat();
            assert_eq!(decode(encoded.clone(), coding, 100).await.unwrap(), "first, second", "{coding}");
            for cut in 0..encoded.len() {
                let decoded = respond(coding, &[&encoded[..cut], &encoded[cut..]]).await.unwrap();
                assert_eq!(decoded, "first, second", "{coding} at {cut}");
            }
        }
    }

    #[tokio::test]
    async fn both_formats_of_deflate_are_decoded_however_they_are_cut() {
        let text = r#"{"type":"message","content":[]}"#;
        // One stored block, by zlib.compressobj(0, zlib.DEFLATED, -15) of Python.
        let stored = [b"\x01\x1f\x00\xe0\xff".as_slice(), text.as_bytes()].concat();
        for (coding, encoded) in [
            ("raw deflate", stored),
            ("raw deflate", encode(text.as_bytes(), "raw deflate").await),
            ("deflate", encode(text.as_bytes(), "deflate").await),
        ] {
            for cut in 0..encoded.len() {
                let decoded = respond(coding, &[&encoded[..cut], &encoded[cut..]]).await.unwrap();
                assert_eq!(decoded, text, "{coding} at {cut}");
            }
            let bytes: Vec<&[u8]> = encoded.chunks(1).take(8).collect();
            assert!(respond(coding, &bytes).await.is_err(), "{coding}: a truncated body");
            assert_eq!(decode(encoded, coding, 100).await.unwrap(), text, "{coding}");
        }
        // A window of 512 bytes, by zlib.compressobj(9, zlib.DEFLATED, 9) of Python.
        assert_eq!(decode(&b"\x18\xd3\x03\x00\x00\x00\x00\x01"[..], "deflate", 100).await.unwrap(), "");
    }

    #[tokio::test]
    async fn decoding_stops_at_the_limit() {
        for coding in CODINGS {
            let bomb = encode(&vec![0; 2_000_000], coding).await;
            assert!(bomb.len() < 20_000);
            let result = decode(bomb, coding, 100_000).await;
            assert!(matches!(result, Err(DecodeError::TooLarge { limit: 100_000 })), "{coding}");
        }
    }

    #[tokio::test]
    async fn the_output_grows_by_doubling_and_only_with_permission() {
        let body = encode(&vec![0; 1_000_000], "gzip").await;
        let mut capacities = Vec::new();
        let result = ContentCoding::Gzip
            .decode(body.into(), 2_000_000, |capacity| {
                capacities.push(capacity);
                capacity <= 300_000
            })
            .await;
        assert!(matches!(result, Err(DecodeError::Refused)), "{result:?}");
        assert_eq!(capacities, [65_536, 131_072, 262_144, 524_288]);
    }

    #[tokio::test]
    async fn a_malformed_or_truncated_body_is_refused() {
        for coding in CODINGS {
            let encoded = Bytes::from(encode(&[7; 1000], coding).await);
            for broken in
                [Bytes::new(), Bytes::from_static(b"\xf5not encoded"), encoded.slice(..encoded.len() - 3)]
            {
                let result = decode(broken, coding, 1_000_000).await;
                assert!(matches!(result, Err(DecodeError::Malformed(_))), "{coding}");
            }
        }
    }

    #[tokio::test]
    async fn a_body_of_many_empty_or_tiny_members_is_refused_early() {
        // A skippable frame of zstd (RFC 8878, section 3.1.2) with four bytes of content.
        let skippable = b"\x50\x2a\x4d\x18\x04\x00\x00\x00skip".to_vec();
        for (coding, member) in [
            ("gzip", encode(b"", "gzip").await),
            ("gzip", encode(b"x", "gzip").await),
            ("gzip", encode(&[0; 40], "gzip").await),
            ("zstd", encode(b"", "zstd").await),
            ("zstd", encode(&[0; 40], "zstd").await),
            ("zstd", skippable),
        ] {
            let few = member.repeat(1024);
            assert!(decode(few.clone(), coding, 1 << 20).await.is_ok(), "{coding}");
            assert!(respond(coding, &[&few]).await.is_ok(), "{coding}");
            let result = decode(member.repeat(100_000), coding, 32 << 20).await;
            assert!(matches!(result, Err(DecodeError::TooManyMembers)), "{coding}: {result:?}");
            let many = member.repeat(5_000);
            assert!(
                matches!(respond(coding, &[&many]).await, Err(AnswerBodyError::Malformed(_))),
                "{coding}"
            );
        }
    }

    #[tokio::test]
    async fn a_response_may_have_one_member_for_each_event() {
        let event = format!("event: content_block_delta\ndata: {:60}\n\n", "{}");
        for coding in ["gzip", "zstd"] {
            let many = encode(event.as_bytes(), coding).await.repeat(5_000);
            assert_eq!(respond(coding, &[&many]).await.unwrap(), event.repeat(5_000), "{coding}");
        }
    }

    #[tokio::test]
    async fn other_tasks_run_while_many_members_are_decoded() {
        for coding in ["gzip", "zstd"] {
            let members = encode(b"", coding).await.repeat(1024);
            let decoding = tokio::spawn(decode(members, coding, 0));
            let mut turns = 0;
            while !decoding.is_finished() {
                tokio::task::yield_now().await;
                turns += 1;
            }
            assert_eq!(decoding.await.unwrap().unwrap(), "", "{coding}");
            assert!(turns > 1, "{coding}: {turns} turns");
        }
    }
}
