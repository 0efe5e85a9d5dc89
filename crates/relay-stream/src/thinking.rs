//! Who has signed which thinking: the signatures of an answer, seen while it goes by.
//!
//! ```text
//!        ┌──────────────▶ the same frames, at once
//! body ──┤ ThinkingBody
//!        └─ThinkingScan─▶ Thinking::Signed(ThinkingId), one for each block
//! ```
//! A signature is of use to whoever gave it alone, so that a relay that sends a conversation elsewhere has to know whose
//! it is. Some are longer than everything else in an answer together; of each a [`ThinkingId`] is kept, and nothing of
//! one is ever held.
//! ```
//! use relay_stream::thinking::{ThinkingId, ThinkingScan};
//!
//! let mut scan = ThinkingScan::default();
//! let mut seen = Vec::new();
//! scan.see(b"data: {\"delta\":{\"type\":\"signature_delta\",\"signa", |id| seen.push(id));
//! scan.see(b"ture\":\"EqQBCgIYAg==\"}}\n\n", |id| seen.push(id));
//! assert_eq!(seen, [ThinkingId::of(b"EqQBCgIYAg==")]);
//! ```

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use memchr::{memchr, memchr2};
use pin_project_lite::pin_project;

use crate::lexer::{Lexer, Token};

/// The longest name that is looked for.
const NAME: usize = "redacted_thinking".len();

/// A signature, or the data of a redacted block, as a number: 128 bits of FNV-1a, the same in every process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ThinkingId(u128);

impl ThinkingId {
    const EMPTY: Self = Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);

    /// Of what stands between the quotes of a JSON string, as it is written. Signatures are base64, in which the only
    /// thing that can be written in two ways is a slash.
    pub fn of(written: &[u8]) -> Self {
        let mut id = Self::EMPTY;
        written.split(|&byte| byte == b'\\').for_each(|part| id.add(part));
        id
    }

    fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        }
    }
}

/// What an answer shows of its thinking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thinking {
    /// A signature.
    Signed(ThinkingId),
    /// There was thinking, and up to the answer's end no signature.
    Unsigned,
}

/// Finds signatures among the tokens of JSON text and reports them to a sink.
///
/// A string is a signature if it follows the string `signature` or, after the string `redacted_thinking`, the string
/// `data`, with nothing but white space and a colon in between. Nothing else of the JSON is interpreted: a member
/// `signature` of a tool's input is reported as well, and no request will ever refer to it. Of a signature only its
/// [`ThinkingId`] is kept.
pub(crate) struct ThinkingWatch {
    sink: Box<dyn FnMut(Thinking) + Send>,
    /// The text of the current string, up to the length of the longest name.
    name: [u8; NAME],
    /// Length of the text in `name`, more than [`NAME`] for a string that is no name.
    length: usize,
    /// The last string is a name whose value is a signature.
    before_value: bool,
    /// The part of the signature that has arrived.
    value: Option<ThinkingId>,
    in_redacted: bool,
    thinking: bool,
    signed: bool,
}

impl ThinkingWatch {
    pub(crate) fn new(sink: impl FnMut(Thinking) + Send + 'static) -> Self {
        ThinkingWatch {
            sink: Box::new(sink),
            name: [0; NAME],
            length: 0,
            before_value: false,
            value: None,
            in_redacted: false,
            thinking: false,
            signed: false,
        }
    }

    /// Reads the next token. Returns the string that it completes, unless that is a signature or too long for a name.
    #[inline]
    pub(crate) fn observe(&mut self, token: Token<'_>) -> Option<&[u8]> {
        match (token, &mut self.value) {
            (Token::Open, _) => {
                self.length = 0;
                self.value = std::mem::take(&mut self.before_value).then_some(ThinkingId::EMPTY);
            }
            (Token::Text(text), Some(id)) => id.add(text),
            (Token::Text(text), None) => self.add_to_name(text),
            (Token::Backslash, None) => self.length = NAME + 1,
            (Token::Backslash, Some(_)) => {}
            (Token::Close, Some(id)) => {
                let id = *id;
                (self.value, self.in_redacted) = (None, false);
                if id != ThinkingId::EMPTY {
                    self.signed = true;
                    (self.sink)(Thinking::Signed(id));
                }
            }
            (Token::Close, None) => return self.end_name(),
            (Token::Punctuation(_), _) => self.before_value = false,
            (Token::Other(_), _) => {}
        }
        None
    }

    /// Reports [`Thinking::Unsigned`] if there was thinking and no signature.
    pub(crate) fn finish(&mut self) {
        if self.thinking && !self.signed {
            (self.sink)(Thinking::Unsigned);
        }
    }

    fn add_to_name(&mut self, text: &[u8]) {
        match self.name.get_mut(self.length..).and_then(|room| room.get_mut(..text.len())) {
            Some(room) => room.copy_from_slice(text),
            None => return self.length = NAME + 1,
        }
        self.length += text.len();
    }

    fn end_name(&mut self) -> Option<&[u8]> {
        let name = self.name.get(..self.length)?;
        match name {
            b"signature" => self.before_value = true,
            b"data" => self.before_value = self.in_redacted,
            b"redacted_thinking" => self.in_redacted = true,
            b"thinking" => self.thinking = true,
            _ => {}
        }
        Some(name)
    }
}

impl fmt::Debug for ThinkingWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThinkingWatch").finish_non_exhaustive()
    }
}

/// A [`ThinkingWatch`] over the events of a stream.
///
/// The text of an answer and the input of its tools, which are most of a stream, are not searched: an event is skipped
/// from the delta type on that says that it carries one of them.
#[derive(Debug)]
pub(crate) struct EventThinking {
    lexer: Lexer,
    watch: ThinkingWatch,
    at_start: bool,
    /// The rest of the event carries no signature.
    skips_event: bool,
}

/// The start of a delta as Anthropic writes it, up to where it differs from others. It holds no name that matters.
const DELTA_START: &[u8] = b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",";

impl EventThinking {
    pub(crate) fn new(sink: impl FnMut(Thinking) + Send + 'static) -> Self {
        let watch = ThinkingWatch::new(sink);
        EventThinking { lexer: Lexer::default(), watch, at_start: true, skips_event: false }
    }

    /// Reads the next bytes of the current event.
    pub(crate) fn observe(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        if std::mem::take(&mut self.at_start) {
            rest = rest.strip_prefix(DELTA_START).unwrap_or(rest);
        }
        while !self.skips_event
            && let Some(token) = self.lexer.next(&mut rest)
        {
            let string = self.watch.observe(token);
            self.skips_event = matches!(string, Some(b"text_delta" | b"input_json_delta"));
        }
    }

    /// Takes note of the end of the current event.
    pub(crate) fn end_event(&mut self) {
        (self.lexer, self.at_start, self.skips_event) = (Lexer::default(), true, false);
        (self.watch.before_value, self.watch.value) = (false, None);
    }

    pub(crate) fn finish(&mut self) {
        self.watch.finish();
    }
}

/// Finds signatures in the bytes of an answer, a stream or a message in one piece, cut anywhere.
///
/// It knows where strings are and nothing else of JSON: what it takes for a name is what stands between two quotes, and a
/// quote within a string has a backslash in front of it. A tool's input with a member called `signature` is taken for one,
/// and nobody will ask for it.
#[derive(Debug, Default)]
pub struct ThinkingScan {
    state: State,
    /// What stands behind the last quote.
    name: [u8; NAME],
    length: usize,
    in_redacted: bool,
    thinking: bool,
    signed: bool,
}

#[derive(Debug, Clone, Copy, Default)]
enum State {
    /// Up to the next quote, nothing matters.
    #[default]
    Outside,
    /// Behind a quote.
    Name,
    /// Behind a name whose value is looked for; the colon has come or not.
    Colon(bool),
    /// Within that value.
    Value(ThinkingId),
    /// Behind a backslash in it.
    Escape(ThinkingId),
}

impl ThinkingScan {
    /// Takes note of the next bytes; `found` gets each signature that ends in them.
    pub fn see(&mut self, bytes: &[u8], mut found: impl FnMut(ThinkingId)) {
        let mut rest = bytes;
        while let Some(&first) = rest.first() {
            match self.state {
                State::Outside => {
                    let Some(quote) = memchr(b'"', rest) else { return };
                    self.begin_name();
                    rest = &rest[quote + 1..];
                }
                State::Name => rest = self.read_name(rest),
                State::Colon(seen) => {
                    rest = &rest[1..];
                    match first {
                        b' ' | b'\t' | b'\r' | b'\n' => {}
                        b':' if !seen => self.state = State::Colon(true),
                        b'"' if seen => self.state = State::Value(ThinkingId::EMPTY),
                        b'"' => self.begin_name(),
                        _ => self.state = State::Outside,
                    }
                }
                State::Value(mut id) => {
                    let end = memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
                    id.add(&rest[..end]);
                    self.state = match rest.get(end) {
                        None => State::Value(id),
                        Some(b'\\') => State::Escape(id),
                        Some(_) => {
                            self.in_redacted = false;
                            if id != ThinkingId::EMPTY {
                                self.signed = true;
                                found(id);
                            }
                            State::Outside
                        }
                    };
                    rest = rest.get(end + 1..).unwrap_or_default();
                }
                State::Escape(mut id) => {
                    id.add(&rest[..1]);
                    self.state = State::Value(id);
                    rest = &rest[1..];
                }
            }
        }
    }

    /// Whether thinking has been seen, and no signature.
    pub fn is_unsigned(&self) -> bool {
        self.thinking && !self.signed
    }

    fn begin_name(&mut self) {
        self.state = State::Name;
        self.length = 0;
    }

    /// Reads on behind a quote; gives what is left.
    fn read_name<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let room = NAME - self.length;
        // With a byte to spare, for the quote behind the longest name.
        let near = &bytes[..bytes.len().min(room + 1)];
        let Some(quote) = memchr(b'"', near) else {
            if near.len() > room {
                self.state = State::Outside;
            } else {
                self.keep(near);
            }
            return &bytes[near.len()..];
        };
        self.keep(&near[..quote]);
        // Whichever quote this is, the one behind a name or the one in front of it, the next name begins here.
        match &self.name[..self.length] {
            b"signature" => self.state = State::Colon(false),
            b"data" if self.in_redacted => self.state = State::Colon(false),
            name => {
                self.in_redacted |= name == b"redacted_thinking";
                self.thinking |= name == b"thinking";
                self.begin_name();
            }
        }
        &bytes[quote + 1..]
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.name[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }
}

pin_project! {
    /// Passes an answer's body on frame by frame, and tells of the thinking in it: of each signature as soon as it is
    /// complete, before the frame that ends it leaves.
    ///
    /// `on_thinking` runs within `poll_frame` and must not block.
    pub struct ThinkingBody<B, F> {
        #[pin]
        inner: B,
        scan: ThinkingScan,
        on_thinking: F,
        ended: bool,
    }
}

impl<B, F: FnMut(Thinking)> ThinkingBody<B, F> {
    /// Watches `inner`, a body at its start.
    pub fn new(inner: B, on_thinking: F) -> Self {
        Self { inner, scan: ThinkingScan::default(), on_thinking, ended: false }
    }
}

impl<B, F> Body for ThinkingBody<B, F>
where
    B: Body<Data = Bytes>,
    F: FnMut(Thinking),
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            this.scan.see(data, |id| (this.on_thinking)(Thinking::Signed(id)));
        }
        let ends = frame.is_none() || this.inner.is_end_stream();
        if ends && !std::mem::replace(this.ended, true) && this.scan.is_unsigned() {
            (this.on_thinking)(Thinking::Unsigned);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::body::scripted::{ScriptedBody, collect};

    const STREAM: &str = concat!(
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":",
        "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"thinking_delta\",",
        "\"thinking\":\"the \\\"signature\\\":\\\"x\\\" and a \\\\\"}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"signature_delta\",",
        "\"signature\" : \"EqQB/CgIYAg==\"}}\n\n",
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"content_block\":",
        "{\"type\":\"redacted_thinking\",\"data\":\"EmwK\\/A\"}}\n\n",
        "data: {\"type\":\"image\",\"data\":\"no thinking\",\"name\":\"signature\"}\n\n",
    );

    fn seen(chunks: &[&[u8]]) -> (Vec<ThinkingId>, bool) {
        let mut scan = ThinkingScan::default();
        let mut seen = Vec::new();
        chunks.iter().for_each(|chunk| scan.see(chunk, |id| seen.push(id)));
        (seen, scan.is_unsigned())
    }

    #[test]
    fn signatures_are_found_wherever_the_stream_is_cut() {
        let expected = (vec![ThinkingId::of(b"EqQB/CgIYAg=="), ThinkingId::of(b"EmwK/A")], false);
        assert_eq!(seen(&[STREAM.as_bytes()]), expected);
        for cut in 0..STREAM.len() {
            let (a, b) = STREAM.as_bytes().split_at(cut);
            assert_eq!(seen(&[a, b]), expected, "cut at {cut}");
        }
        assert_eq!(seen(&STREAM.as_bytes().chunks(1).collect::<Vec<_>>()), expected);
    }

    #[test]
    fn a_message_in_one_piece_is_read_the_same() {
        let message = r#"{"content":[{"signature":"a/b","thinking":"t","type":"thinking"},{"type":"redacted_thinking", "data":"c"}]}"#;
        assert_eq!(
            seen(&[message.as_bytes()]),
            (vec![ThinkingId::of(br"a\/b"), ThinkingId::of(b"c")], false)
        );
    }

    #[test]
    fn thinking_without_a_signature_is_told_at_the_end() {
        #[track_caller]
        fn check(text: &str, expected: &[Thinking]) {
            for script in [ScriptedBody::new().data(text), ScriptedBody::new().data(text).exact_length()] {
                let mut told = Vec::new();
                let (bytes, error) = collect(ThinkingBody::new(script, |thinking| told.push(thinking)));
                assert!(bytes == text && error.is_none());
                assert_eq!(told, expected, "{text}");
            }
        }
        check(r#"{"type":"thinking","thinking":"t"}"#, &[Thinking::Unsigned]);
        check(r#"{"type":"thinking","thinking":"t","signature":""}"#, &[Thinking::Unsigned]);
        check(r#"{"type":"thinking","signature":"s"}"#, &[Thinking::Signed(ThinkingId::of(b"s"))]);
        check(r#"{"type":"text","text":"thinking about \"thinking\""}"#, &[]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_scan_panic_or_depend_on_the_cut(
            text in "(\"|\\\\|:| |signature|data|redacted_thinking|thinking|[a-z]{0,20}){0,30}", cut in 0_usize..200,
        ) {
            let (a, b) = text.as_bytes().split_at(cut.min(text.len()));
            prop_assert_eq!(seen(&[a, b]), seen(&[text.as_bytes()]));
        }
    }
}
