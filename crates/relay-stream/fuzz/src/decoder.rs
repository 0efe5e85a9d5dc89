//! Event Stream messages: the decoder returns the same messages for every way of chunking, buffers at most its limit, and
//! never panics.

use bytes::Bytes;
use relay_stream::frame::{Decoder, FrameError, Limits, Message};

use super::chunks::{cut, repair, sizes_and_stream};

const LIMITS: Limits = Limits::new().with_frame(512).with_headers(128).with_header_count(8);

fn decode<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> (Vec<Message>, Result<(), FrameError>) {
    let mut decoder = Decoder::new().with_limits(LIMITS);
    let mut messages = Vec::new();
    for chunk in chunks {
        let mut chunk = Bytes::copy_from_slice(chunk);
        loop {
            match decoder.decode(&mut chunk) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.finish(), Err(error.clone()));
                    return (messages, Err(error));
                }
            }
        }
        assert!(chunk.is_empty() && decoder.buffered() <= LIMITS.frame);
    }
    let end = decoder.finish();
    (messages, end)
}

/// Checks one input of the fuzzer.
///
/// # Panics
/// If a rule above does not hold.
pub fn check(input: &[u8]) {
    let (sizes, stream) = sizes_and_stream(input);
    let mut stream = stream.to_vec();
    repair(&mut stream);
    let (messages, end) = decode(std::iter::once(&stream[..]));
    assert_eq!(decode(cut(&stream, sizes)), (messages.clone(), end.clone()));
    let mut borrowed = Decoder::new().with_limits(LIMITS);
    let (mut rest, mut expected) = (&stream[..], messages.iter());
    while let Ok(Some(message)) = borrowed.decode_slice(&mut rest) {
        assert_eq!(Some(message), expected.next().map(Message::as_borrowed));
        for header in message.headers() {
            assert!(message.header(header.name).is_some());
        }
    }
    assert!(expected.next().is_none());
    if end.is_ok() {
        let frames: Vec<_> = messages.iter().flat_map(|message| message.as_frame().to_vec()).collect();
        assert_eq!(frames, stream);
    }
}
