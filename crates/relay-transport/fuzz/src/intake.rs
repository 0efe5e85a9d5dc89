//! Compressed bodies: no input panics, nothing exceeds the limit, a body in one piece and a body in chunks are decoded to the
//! same bytes, and the decoded request is parsed. The first bytes select the coding and the chunks.

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, HeaderValue};
use http_body_util::{BodyExt, StreamBody};
use relay_messages::MessagesBody;
use relay_transport::{ContentCoding, decompress};

const CODINGS: [&str; 4] = ["gzip", "deflate", "br", "zstd"];
const LIMIT: usize = 1 << 20;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime")
}

/// Checks one input of the fuzzer.
///
/// # Panics
/// If a rule above does not hold.
pub fn check(input: &[u8]) {
    let [coding, size, encoded @ ..] = input else { return };
    let name = CODINGS[usize::from(*coding) % CODINGS.len()];
    let size = usize::from(*size).max(1);
    let encoded = Bytes::copy_from_slice(encoded);
    let coding = ContentCoding::from_name(name.as_bytes()).expect("a known coding");
    runtime().block_on(async {
        let whole = coding.decode(encoded.clone(), LIMIT, |_| true).await;
        if let Ok(decoded) = &whole {
            assert!(decoded.len() <= LIMIT);
            let _ = MessagesBody::parse(decoded.clone());
        }
        let chunks: Vec<Bytes> = encoded.chunks(size).map(Bytes::copy_from_slice).collect();
        let frames = chunks.into_iter().map(|chunk| Ok(http_body::Frame::data(chunk)));
        let mut headers = HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static(name))]);
        let mut body = decompress(&mut headers, StreamBody::new(futures_util::stream::iter(frames)));
        let mut streamed = Vec::new();
        let result = loop {
            match body.frame().await {
                None => break Ok(()),
                Some(Err(error)) => break Err(error),
                Some(Ok(frame)) => streamed.extend_from_slice(frame.data_ref().expect("no trailers")),
            }
            if streamed.len() > LIMIT {
                return;
            }
        };
        if let Ok(decoded) = whole {
            assert!(result.is_ok() && streamed == decoded, "{name}: {result:?}");
        }
    });
}
