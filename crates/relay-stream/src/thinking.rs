//! Finds the signatures of thinking blocks in an answer.
//!
//! ```text
//!                    ┌─▶ StreamReport          usage, completeness
//! bytes ─▶ SseWatch ─┤
//! any      JsonWatch └─▶ Thinking::Signed(id)  one for each signature
//! chunks                 Thinking::Unsigned    at the end, if there was none
//! ```
//! Only the upstream that has signed a thinking block accepts it again, so a relay that sends a conversation
//! to another upstream has to know the signer. A signature can be longer than the rest of an answer. It is
//! never buffered: only its [`ThinkingId`] is computed while its bytes pass.
//! ```
//! use relay_stream::thinking::{Thinking, ThinkingId};
//! use relay_stream::watch::SseWatch;
//!
//! let (sender, receiver) = std::sync::mpsc::channel();
//! let mut watch = SseWatch::new().with_on_thinking(move |thinking| {
//!     let _ = sender.send(thinking);
//! });
//! watch.observe(b"data: {\"delta\":{\"type\":\"signature_delta\",\"signa");
//! watch.observe(b"ture\":\"EqQBCgIYAg==\"}}\n\n");
//! assert_eq!(receiver.try_recv(), Ok(Thinking::Signed(ThinkingId::of(b"EqQBCgIYAg=="))));
//! ```
//! Remembering the signer of each id, and removing foreign thinking from requests, are left to the caller.

use std::fmt;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::json_valid::{Delta, DeltaKind};
use crate::lexer::{Lexer, Token};
use crate::thinking_id::Pieces;
pub use crate::thinking_id::ThinkingId;

/// The length of the longest name that is searched for.
const NAME: usize = "redacted_thinking".len();

/// A fact about the thinking in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thinking {
    /// A thinking block has this signature, or a redacted block has this data. Reported once it is complete.
    Signed(ThinkingId),
    /// The answer has ended regularly with thinking and without any signature.
    Unsigned,
}

/// Returns `false` if `json`, a whole text, has no string after which a [`Thinking`] is reported: most answers have none, and a
/// search for these strings is faster than a watch of all strings.
#[must_use]
pub fn may_have_thinking(json: &[u8]) -> bool {
    THINKING.iter().any(|name| name.find(json).is_some())
}

/// The ends of the strings after which a [`Thinking`] is reported: `thinking`, `redacted_thinking` and `signature`. To prepare a
/// search costs more than to search an answer.
static THINKING: LazyLock<[Finder<'static>; 2]> =
    LazyLock::new(|| [Finder::new(b"thinking\""), Finder::new(b"signature\"")]);

/// Finds signatures among the tokens of JSON text and reports them to a sink.
///
/// The value of a member `signature` is a signature. So is the value of a member `data` after the string
/// `redacted_thinking`. The nesting is not interpreted: a member `signature` in the input of a tool is
/// reported as well, which is harmless, since no request contains it as a signature.
pub(crate) struct ThinkingWatch {
    sink: Box<dyn FnMut(Thinking) + Send>,
    /// The text of the current string, up to the length of the longest name.
    name: [u8; NAME],
    /// The length of the text in `name`. It is larger than [`NAME`] for a string that is too long or has an
    /// escape.
    length: usize,
    /// True after a name whose value is a signature.
    before_value: bool,
    /// The signature up to now. `None` outside of a signature.
    value: Option<Pieces>,
    /// True after `redacted_thinking`, up to the next signature.
    in_redacted: bool,
    /// True once the answer contains thinking.
    thinking: bool,
    /// True once a signature has been reported.
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

    /// Reads the next token. Returns the string that it completes, except a signature and a string too long
    /// for a name.
    #[inline]
    pub(crate) fn observe(&mut self, token: Token<'_>) -> Option<&[u8]> {
        match (token, &mut self.value) {
            (Token::Open, _) => self.begin_string(),
            (Token::Text(text), Some(pieces)) => pieces.add(text),
            (Token::Text(text), None) => self.add_to_name(text),
            (Token::Backslash, _) => self.escape(),
            (Token::Close, Some(pieces)) => {
                let pieces = *pieces;
                self.end_value(pieces);
            }
            (Token::Close, None) => {
                let (name, length) = (self.name, self.length);
                if let Some(name) = name.get(..length) {
                    self.end_name(name);
                }
                return self.name.get(..length);
            }
            (Token::Punctuation(_), _) => self.punctuation(),
            (Token::Other(_), _) => {}
        }
        None
    }

    /// Reads a bracket or a comma.
    #[inline]
    pub(crate) fn punctuation(&mut self) {
        self.before_value = false;
    }

    /// Reads a whole string without escapes.
    #[inline]
    pub(crate) fn string(&mut self, text: &[u8]) {
        if std::mem::take(&mut self.before_value) {
            let mut pieces = Pieces::default();
            pieces.add(text);
            self.end_value(pieces);
        } else {
            self.end_name(text);
        }
    }

    /// Notes that the current string contains an escape: it is no name.
    pub(crate) fn escape(&mut self) {
        self.length = NAME + 1;
    }

    /// Returns `true` inside a string of which no further byte matters, up to its end.
    #[inline]
    pub(crate) fn skips_string(&self) -> bool {
        self.value.is_none() && self.length > NAME
    }

    fn begin_string(&mut self) {
        self.length = 0;
        self.value = std::mem::take(&mut self.before_value).then(Pieces::default);
    }

    fn end_value(&mut self, pieces: Pieces) {
        (self.value, self.in_redacted) = (None, false);
        if !pieces.is_empty() {
            self.signed = true;
            (self.sink)(Thinking::Signed(pieces.id()));
        }
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

    #[inline]
    fn end_name(&mut self, name: &[u8]) {
        match name {
            b"signature" => self.before_value = true,
            b"data" => self.before_value = self.in_redacted,
            b"redacted_thinking" => self.in_redacted = true,
            b"thinking" => self.thinking = true,
            _ => {}
        }
    }
}

impl fmt::Debug for ThinkingWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThinkingWatch").finish_non_exhaustive()
    }
}

/// Applies a [`ThinkingWatch`] to the events of a stream.
///
/// The text of an answer and the input of its tools are most of a stream and carry no signature. An event is
/// therefore skipped from its delta type on, if that is `text_delta` or `input_json_delta`.
#[derive(Debug)]
pub(crate) struct EventThinking {
    lexer: Lexer,
    watch: ThinkingWatch,
    /// True before the first byte of an event.
    at_start: bool,
    /// True if the rest of the event carries no signature.
    skips_event: bool,
}

/// The bytes with which a delta starts at Anthropic. They contain no name that is searched for, so they are
/// skipped.
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

    /// Reads a whole event, a delta in the compact form, between two events. Returns `false` if its bytes have to be observed,
    /// since it carries a signature.
    #[inline]
    pub(crate) fn observe_delta(&mut self, delta: Delta<'_>) -> bool {
        match delta.kind {
            DeltaKind::Text | DeltaKind::InputJson => {}
            DeltaKind::Thinking => {
                self.watch.thinking = true;
                self.watch.in_redacted |= delta.text == b"redacted_thinking";
            }
            DeltaKind::Signature => return false,
        }
        true
    }

    /// Ends the current event. A string that is still open ends with it.
    pub(crate) fn end_event(&mut self) {
        (self.lexer, self.at_start, self.skips_event) = (Lexer::default(), true, false);
        (self.watch.before_value, self.watch.value) = (false, None);
    }

    pub(crate) fn finish(&mut self) {
        self.watch.finish();
    }
}
