//! The incremental decoder: chunks in, messages out.

use bytes::{Buf, Bytes, BytesMut};

use super::{FrameError, Limits, Message, MessageRef, PRELUDE_LEN, Prelude};

/// The largest capacity that the buffer keeps after a message, in bytes. A larger buffer is freed.
const KEPT_CAPACITY: usize = 64 << 10;

/// Decodes Event Stream messages from chunks that are cut anywhere.
///
/// A message inside one chunk is a slice of that chunk. A message that spans several chunks is collected in a
/// buffer that grows with the bytes that arrive, up to [`Limits::frame`]. The length that a frame claims
/// reserves no memory.
/// ```
/// use bytes::Bytes;
/// use relay_stream::frame::Decoder;
///
/// # const CAPTURE: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/message.eventstream"));
/// let mut decoder = Decoder::new();
/// let mut count = 0;
/// for chunk in CAPTURE.chunks(1400) {
///     let mut chunk = Bytes::from_static(chunk);
///     while let Some(message) = decoder.decode(&mut chunk)? {
///         assert!(message.payload().starts_with(b"{"));
///         count += 1;
///     }
/// }
/// decoder.finish()?;
/// assert_eq!(count, 16);
/// # Ok::<(), relay_stream::frame::FrameError>(())
/// ```
#[derive(Debug, Default)]
pub struct Decoder {
    limits: Limits,
    /// The bytes of an incomplete frame.
    partial: BytesMut,
    /// The prelude of the frame in `partial`. `None` before its 12 bytes have arrived.
    prelude: Option<Prelude>,
    /// True if `partial` holds a complete frame that the last call of `decode_slice` has returned.
    lent: bool,
    /// The last header block that was accepted. Nearly all messages of a stream have the same one.
    headers: Vec<u8>,
    failed: Option<FrameError>,
}

/// The location of a complete and checked frame.
enum FrameLocation {
    /// At the start of the chunk.
    Chunk(Prelude),
    /// In `partial`, which holds nothing else.
    Partial(Prelude),
}

impl Decoder {
    /// Creates a decoder at the start of a stream, with the default limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the limits for a message.
    pub fn with_limits(self, limits: Limits) -> Self {
        Decoder { limits, ..self }
    }

    /// Takes bytes from the front of `chunk` and returns the next complete message, or `None` if it needs
    /// more bytes.
    ///
    /// `chunk` may end anywhere, also inside the 12-byte prelude, and may contain several messages. The
    /// caller calls again with the same chunk until the result is `None`. The chunk is then empty. At most
    /// [`Limits::frame`] bytes are kept between calls.
    /// # Errors
    /// [`FrameError`], as early as possible: a bad prelude before the rest of its frame has arrived. The
    /// error is final: every later call returns it.
    /// # Source
    /// Amazon Event Stream encoding, message layout. CRC-32 with the IEEE polynomial, not Castagnoli.
    pub fn decode(&mut self, chunk: &mut Bytes) -> Result<Option<Message>, FrameError> {
        let (len, found) = self.step(chunk)?;
        let frame = chunk.split_to(len);
        Ok(match found {
            None => None,
            Some(FrameLocation::Chunk(prelude)) => Some(Message::new(frame, prelude)),
            Some(FrameLocation::Partial(prelude)) => {
                let frame = self.partial.split().freeze();
                self.release(frame.len());
                Some(Message::new(frame, prelude))
            }
        })
    }

    /// Decodes like [`decode`](Self::decode) from a slice. The message borrows from the chunk or from the
    /// decoder, so it needs neither [`Bytes`] nor a reference count.
    /// # Errors
    /// [`FrameError`], as in [`decode`](Self::decode).
    #[inline]
    pub fn decode_slice<'a, 'chunk: 'a>(
        &'a mut self,
        chunk: &mut &'chunk [u8],
    ) -> Result<Option<MessageRef<'a>>, FrameError> {
        let (len, found) = self.step(chunk)?;
        let (frame, rest) = chunk.split_at(len);
        *chunk = rest;
        Ok(match found {
            None => None,
            Some(FrameLocation::Chunk(prelude)) => Some(MessageRef::new(frame, prelude)),
            Some(FrameLocation::Partial(prelude)) => {
                self.lent = true;
                Some(MessageRef::new(&self.partial, prelude))
            }
        })
    }

    /// Checks that the stream may end here.
    /// # Errors
    /// [`FrameError::Truncated`] inside a frame, or an earlier error of [`decode`](Self::decode).
    pub fn finish(&self) -> Result<(), FrameError> {
        match (&self.failed, self.buffered()) {
            (Some(error), _) => Err(error.clone()),
            (None, 0) => Ok(()),
            (None, held) => Err(FrameError::Truncated { held }),
        }
    }

    /// Returns the number of bytes of an incomplete frame that are kept for the next call.
    pub fn buffered(&self) -> usize {
        if self.lent { 0 } else { self.partial.len() }
    }

    /// Finds and checks the next frame. Returns its location and the number of bytes that it takes from the
    /// chunk.
    #[inline]
    fn step(&mut self, chunk: &[u8]) -> Result<(usize, Option<FrameLocation>), FrameError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if self.lent {
            self.lent = false;
            let len = self.partial.len();
            self.partial.clear();
            self.release(len);
        }
        let step = if self.partial.is_empty() { self.start(chunk) } else { self.resume(chunk) };
        step.inspect_err(|error| {
            self.failed = Some(error.clone());
            self.partial = BytesMut::new();
        })
    }

    /// Reads `chunk` at the start of a frame.
    #[inline]
    fn start(&mut self, chunk: &[u8]) -> Result<(usize, Option<FrameLocation>), FrameError> {
        if let Some(bytes) = chunk.first_chunk() {
            let prelude = Prelude::read(bytes, &self.limits)?;
            if let Some(frame) = chunk.get(..prelude.total()) {
                MessageRef::check(frame, prelude, &self.limits, &mut self.headers)?;
                return Ok((prelude.total(), Some(FrameLocation::Chunk(prelude))));
            }
            self.prelude = Some(prelude);
        }
        self.partial.extend_from_slice(chunk);
        Ok((chunk.len(), None))
    }

    /// Reads `chunk` inside a frame.
    fn resume(&mut self, chunk: &[u8]) -> Result<(usize, Option<FrameLocation>), FrameError> {
        let mut rest = chunk;
        let prelude = match self.prelude {
            Some(prelude) => prelude,
            None => {
                self.fill(&mut rest, PRELUDE_LEN);
                let Some(bytes) = self.partial.first_chunk() else { return Ok((chunk.len(), None)) };
                *self.prelude.insert(Prelude::read(bytes, &self.limits)?)
            }
        };
        self.fill(&mut rest, prelude.total());
        let len = chunk.len() - rest.len();
        if self.partial.len() < prelude.total() {
            return Ok((len, None));
        }
        self.prelude = None;
        MessageRef::check(&self.partial, prelude, &self.limits, &mut self.headers)?;
        Ok((len, Some(FrameLocation::Partial(prelude))))
    }

    /// Moves bytes from the front of `rest` to `partial` until `partial` has `len` bytes.
    fn fill(&mut self, rest: &mut &[u8], len: usize) {
        let taken = rest.len().min(len - self.partial.len());
        self.partial.extend_from_slice(&rest[..taken]);
        rest.advance(taken);
    }

    /// Frees the buffer after a large frame, so that a stream of small frames does not keep its memory.
    fn release(&mut self, frame_len: usize) {
        if frame_len > KEPT_CAPACITY {
            self.partial = BytesMut::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::frame::{HeaderError, HeaderValue, write_message};

    /// Returns frames that were encoded and decoded by an independent implementation.
    fn vectors() -> Vec<Value> {
        serde_json::from_str(include_str!("../../testdata/eventstream.json")).unwrap()
    }

    fn base64(value: &Value) -> Vec<u8> {
        base64_simd::STANDARD.decode_to_vec(value.as_str().unwrap()).unwrap()
    }

    fn header_json(value: HeaderValue<'_>) -> Value {
        match value {
            HeaderValue::Bool(value) => json!(value),
            HeaderValue::Int(value) => json!(value),
            HeaderValue::String(value) => json!(value),
            HeaderValue::Bytes(value) => json!({"base64": base64_simd::STANDARD.encode_to_string(value)}),
            other => panic!("no vector has {other:?}"),
        }
    }

    /// Decodes a stream by both methods and asserts that they agree.
    fn decode<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Message>, FrameError> {
        let (mut owned, mut borrowed, mut messages) = (Decoder::new(), Decoder::new(), Vec::new());
        for chunk in chunks {
            let (mut bytes, mut slice) = (Bytes::copy_from_slice(chunk), chunk);
            loop {
                let result = owned.decode(&mut bytes);
                assert_eq!(
                    borrowed.decode_slice(&mut slice),
                    result
                        .as_ref()
                        .map(|message| message.as_ref().map(Message::as_borrowed))
                        .map_err(Clone::clone),
                );
                assert_eq!(owned.buffered(), borrowed.buffered());
                match result? {
                    Some(message) => messages.push(message),
                    None => break,
                }
            }
            assert!(bytes.is_empty() && slice.is_empty());
        }
        owned.finish()?;
        Ok(messages)
    }

    #[test]
    fn valid_vectors_are_decoded_and_invalid_ones_are_errors_at_every_cut() {
        for vector in vectors() {
            let frame = base64(&vector["frame"]);
            for cut in 0..=frame.len() {
                let (a, b) = frame.split_at(cut);
                let result = decode([a, b]);
                if vector["valid"] == false {
                    assert!(result.is_err(), "{}", vector["name"]);
                    continue;
                }
                let [message] = &result.unwrap()[..] else { panic!("{} is one message", vector["name"]) };
                let headers: serde_json::Map<_, _> = message
                    .headers()
                    .map(|header| (header.name.to_owned(), header_json(header.value)))
                    .collect();
                assert_eq!(Value::from(headers), vector["headers"]);
                assert_eq!(message.payload(), base64(&vector["payload"]));
                assert_eq!(message.clone().into_payload(), message.payload());
                assert_eq!(message.as_frame(), &frame);
            }
        }
    }

    #[track_caller]
    fn check_error(frame: &[u8], expected: FrameError) {
        let limits = Limits { frame: 200, headers: 20, header_count: 2 };
        let mut decoder = Decoder::new().with_limits(limits);
        let mut rest = frame;
        assert_eq!(decoder.decode_slice(&mut rest), Err(expected.clone()));
        let mut good = &b"\0\0\0\x10\0\0\0\0\x05\xc2\x48\xeb\x7d\x98\xc8\xff"[..];
        assert_eq!(decoder.decode_slice(&mut good), Err(expected.clone()), "errors are final");
        assert_eq!(decoder.finish(), Err(expected));
        assert_eq!(decoder.buffered(), 0);
    }

    fn prelude(total: u32, headers: u32) -> Vec<u8> {
        let lengths = [total.to_be_bytes(), headers.to_be_bytes()].concat();
        let checksum = crc32fast::hash(&lengths).to_be_bytes();
        [&lengths[..], &checksum].concat()
    }

    fn message(headers: &[(&str, HeaderValue<'_>)], payload: &[u8]) -> Vec<u8> {
        let mut out = BytesMut::new();
        write_message(headers.iter().copied(), payload, &mut out).unwrap();
        out.to_vec()
    }

    #[test]
    fn an_invalid_prelude_is_an_error_at_byte_twelve() {
        let mut bad = prelude(100, 10);
        bad[11] ^= 1;
        let found = u32::from_be_bytes([bad[8], bad[9], bad[10], bad[11]]);
        check_error(&bad, FrameError::PreludeChecksum { found, computed: found ^ 1 });
        check_error(&prelude(15, 0), FrameError::Length { total: 15, headers: 0 });
        check_error(&prelude(16, 1), FrameError::Length { total: 16, headers: 1 });
        check_error(&prelude(0, u32::MAX), FrameError::Length { total: 0, headers: u32::MAX });
        check_error(&prelude(201, 0), FrameError::FrameTooLarge { len: 201, limit: 200 });
        check_error(&prelude(u32::MAX, 0), FrameError::FrameTooLarge { len: u32::MAX as usize, limit: 200 });
        check_error(&prelude(200, 21), FrameError::HeadersTooLarge { len: 21, limit: 20 });
    }

    #[test]
    fn a_corrupt_message_is_a_final_error() {
        let mut bad = message(&[], b"payload");
        let found = u32::from_be_bytes(*bad.last_chunk().unwrap());
        *bad.last_mut().unwrap() ^= 0x80;
        check_error(&bad, FrameError::MessageChecksum { found: found ^ 0x80, computed: found });
        let three = [("a", HeaderValue::Bool(true)); 3];
        check_error(&message(&three, b""), FrameError::TooManyHeaders { limit: 2 });
        let mut block = message(&[("a", HeaderValue::Bool(true))], b"");
        block[14] = 12;
        let end = block.len() - 4;
        let checksum = crc32fast::hash(&block[..end]).to_be_bytes();
        block[end..].copy_from_slice(&checksum);
        let malformed = FrameError::Header { index: 0, source: HeaderError::Type(12) };
        check_error(&block, malformed.clone());
        // Headers that were accepted before are no reason to accept others.
        let (mut decoder, good) = (Decoder::new(), message(&[("a", HeaderValue::Bool(true))], b""));
        for _ in 0..2 {
            assert!(decoder.decode_slice(&mut &good[..]).unwrap().is_some());
        }
        assert_eq!(decoder.decode_slice(&mut &block[..]), Err(malformed));
    }

    #[test]
    fn a_message_inside_one_chunk_is_a_slice_of_that_chunk() {
        let frame = message(&[], b"payload");
        let chunk = Bytes::from([&frame[..], &frame, &frame[..5]].concat());
        let (mut rest, mut decoder) = (chunk.clone(), Decoder::new());
        for at in [0, frame.len()] {
            let message = decoder.decode(&mut rest).unwrap().unwrap();
            assert_eq!(message.payload().as_ptr(), chunk[at + 12..].as_ptr());
        }
        assert_eq!(decoder.decode(&mut rest), Ok(None));
        assert_eq!(decoder.buffered(), 5);
        assert_eq!(decoder.finish(), Err(FrameError::Truncated { held: 5 }));
    }

    #[test]
    fn a_claimed_length_allocates_no_memory() {
        let mut decoder = Decoder::new();
        decoder.decode_slice(&mut &prelude(20 << 20, 0)[..]).unwrap();
        assert!(decoder.partial.capacity() < 100);
    }

    proptest! {
        #[test]
        fn every_way_of_chunking_gives_the_same_messages(
            payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..8),
            sizes in proptest::collection::vec(1_usize..40, 1..30),
        ) {
            let frames: Vec<_> = payloads.iter().map(|payload| message(&[("n", HeaderValue::Byte(1))], payload)).collect();
            let stream = frames.concat();
            let mut rest = &stream[..];
            let chunks = sizes.iter().cycle().map_while(|size| {
                let (chunk, after) = rest.split_at((*size).min(rest.len()));
                rest = after;
                (!chunk.is_empty()).then_some(chunk)
            });
            let found: Vec<_> = decode(chunks).unwrap().into_iter().map(|message| message.as_frame().to_vec()).collect();
            prop_assert_eq!(found, frames);
        }
    }
}
