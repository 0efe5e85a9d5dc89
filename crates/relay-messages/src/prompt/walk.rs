//! Reads the blocks of a prompt in its order, and hashes each of them.

use std::borrow::Cow;
use std::ops::Range;

use super::digest::{Message, PromptDigest};
use super::hash::{hash, mix};
use super::part::SETTINGS;
use super::ttl::CacheTtl;
use crate::body::Breakpoint;
use crate::{JsonKind, MessagesBody, Node};

/// The start and the end of the text between the braces of a block of text, as JavaScript and Python write it, and as writers
/// with sorted keys do.
const TEXT_BLOCKS: [(&[u8], &[u8]); 2] =
    [(br#""type":"text","text":"#, b""), (br#""text":"#, br#","type":"text""#)];

/// The seeds of the kinds of blocks.
const TOOL: u64 = 1;
const SYSTEM: u64 = 2;
const MESSAGE: u64 = 3;
const TEXT: u64 = 4;

impl PromptDigest {
    /// Reads the prompt in `body` once.
    #[must_use]
    pub fn of(body: &MessagesBody) -> Self {
        digest(body, &[])
    }

    /// Reads the prompt in `body` once, as [`of`](Self::of) does. A message that is the same in one of the prompts `before` is not
    /// divided into its blocks again, which saves two thirds of the work on a conversation that has grown.
    #[must_use]
    pub fn of_turn(body: &MessagesBody, before: &[&Self]) -> Self {
        digest(body, before)
    }
}

fn digest(body: &MessagesBody, before: &[&PromptDigest]) -> PromptDigest {
    let mut walk = Walk::new(body);
    let settings = SETTINGS.map(|(_, name)| body.view(name).map_or(0, |value| hash(0, value.text()).max(1)));
    for tool in body.view("tools").into_iter().flat_map(Node::elements) {
        walk.add(TOOL, tool);
    }
    let tools = walk.count();
    if let Some(system) = body.view("system") {
        walk.content(SYSTEM, system);
    }
    let setup = walk.count();
    for message in body.view("messages").into_iter().flat_map(Node::elements) {
        if walk.is_full() {
            break;
        }
        walk.message(message, before);
    }
    let breakpoint = match body.view("cache_control") {
        Some(_) => walk.count().checked_sub(1),
        None => walk.breakpoint,
    };
    let (blocks, messages) = (walk.blocks.into(), walk.messages.into());
    PromptDigest { settings, blocks, tools, setup, messages, breakpoint, ttl: walk.ttl }
}

struct Walk<'a> {
    body: &'a [u8],
    breakpoints: Vec<Breakpoint<'a>>,
    blocks: Vec<u64>,
    messages: Vec<Message>,
    /// The index of the last block with a breakpoint.
    breakpoint: Option<u32>,
    ttl: CacheTtl,
}

impl<'a> Walk<'a> {
    fn new(body: &'a MessagesBody) -> Self {
        let breakpoints: Vec<_> = body.breakpoints().collect();
        // Automatic caching, whose breakpoint belongs to no block.
        let ttl = body.view("cache_control").map(|breakpoint| CacheTtl::of(&breakpoint)).unwrap_or_default();
        let (blocks, messages) = (Vec::with_capacity(64), Vec::with_capacity(32));
        Self { body: body.bytes(), breakpoints, blocks, messages, breakpoint: None, ttl }
    }

    fn count(&self) -> u32 {
        self.blocks.len() as u32
    }

    fn is_full(&self) -> bool {
        self.blocks.len() >= PromptDigest::MAX_BLOCKS
    }

    /// Adds one message. The blocks of a message that is the same in one of the prompts `before` are copied from there.
    fn message(&mut self, message: Node<'a>, before: &[&PromptDigest]) {
        let span = message.span();
        let is_marked = !self.breakpoints_in(&span).is_empty();
        // A message with a breakpoint is the newest one, or was it in the turn before.
        let hash = if is_marked { 0 } else { hash(MESSAGE, message.text()).max(1) };
        let at = self.messages.len();
        let known =
            before.iter().find_map(|before| before.message(at).filter(|(known, _)| known.hash == hash));
        let is_answer = match known.filter(|_| !is_marked) {
            Some((known, blocks)) => {
                let room = PromptDigest::MAX_BLOCKS - self.blocks.len();
                self.blocks.extend_from_slice(&blocks[..blocks.len().min(room)]);
                known.is_answer
            }
            None => self.new_message(message),
        };
        self.messages.push(Message { hash, end: self.count(), is_answer });
    }

    /// Adds the blocks of one message. Returns `true` if the message is an answer of the model.
    fn new_message(&mut self, message: Node<'a>) -> bool {
        let first = self.blocks.len();
        let (mut seed, mut content, mut is_answer) = (MESSAGE, None, false);
        for member in message.members() {
            if member.is_called("content") {
                content = Some(member);
            } else if member.is_called("role") {
                is_answer = member.is("assistant");
                seed = mix(seed, hash(MESSAGE, member.text()));
            } else if !member.is_called("cache_control") {
                seed = mix(seed, hash(MESSAGE, member.item_text()));
            }
        }
        if let Some(content) = content {
            self.content(seed, content);
        }
        if self.blocks.len() == first {
            self.add(seed, message);
        }
        is_answer
    }

    /// Adds the blocks of `content`: its elements, or the one block that a string stands for.
    fn content(&mut self, seed: u64, content: Node<'a>) {
        match content.kind() {
            JsonKind::Array => content.elements().for_each(|block| self.add(seed, block)),
            JsonKind::String if !self.is_full() => self.blocks.push(text(seed, content.text())),
            _ => self.add(seed, content),
        }
    }

    fn add(&mut self, seed: u64, block: Node<'a>) {
        if self.is_full() {
            return;
        }
        let span = block.span();
        let inside = self.breakpoints_in(&span);
        let hash = match inside {
            [] => hash_block(seed, inner(&self.body[span])),
            found => hash_block(seed, &without(self.body, &span, found)),
        };
        if let [.., last] = inside {
            (self.breakpoint, self.ttl) = (Some(self.count()), CacheTtl::of(&last.value));
        }
        self.blocks.push(hash);
    }

    /// Returns the breakpoints within `span`.
    fn breakpoints_in(&self, span: &Range<usize>) -> &[Breakpoint<'a>] {
        let is_inside = |found: &Breakpoint<'_>| span.contains(&found.cut.start);
        let Some(first) = self.breakpoints.iter().position(is_inside) else { return &[] };
        let found = &self.breakpoints[first..];
        &found[..found.iter().take_while(|found| is_inside(found)).count()]
    }
}

/// Returns the text between the braces of the block at `span`, without the breakpoints, all of which are within it.
fn without<'a>(body: &'a [u8], span: &Range<usize>, breakpoints: &[Breakpoint<'_>]) -> Cow<'a, [u8]> {
    if let [Breakpoint { cut, .. }] = breakpoints {
        // The usual place of a breakpoint is the end or the start of its block. Large blocks are not copied.
        let (start, end) = (&body[span.start..cut.start], &body[cut.end..span.end]);
        match (start, end) {
            (_, b"}") => return Cow::Borrowed(start.strip_prefix(b"{").unwrap_or(start)),
            (b"{", _) => return Cow::Borrowed(end.strip_suffix(b"}").unwrap_or(end)),
            _ => {}
        }
    }
    let mut kept = Vec::with_capacity(span.len());
    let mut at = span.start;
    for found in breakpoints {
        // A breakpoint inside of another one's value starts before the end of that.
        kept.extend_from_slice(body.get(at..found.cut.start).unwrap_or_default());
        at = at.max(found.cut.end);
    }
    kept.extend_from_slice(body.get(at..span.end).unwrap_or_default());
    Cow::Owned(inner(&kept).to_vec())
}

/// Returns the text between the braces of a block.
fn inner(block: &[u8]) -> &[u8] {
    block.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}")).unwrap_or(block)
}

/// Hashes the text between the braces of a block, without its breakpoints. A block with nothing but text has the hash of its text as a plain string: clients write the
/// newest message as blocks, since it has the breakpoint, and later the same message as a string.
fn hash_block(seed: u64, block: &[u8]) -> u64 {
    let within = |(start, end): (&[u8], &[u8])| block.strip_prefix(start)?.strip_suffix(end);
    match TEXT_BLOCKS.into_iter().find_map(within) {
        // With further members, this is not the JSON text of any string, so that it equals no plain string.
        Some(string) => text(seed, string),
        None => hash(seed, block),
    }
}

/// Hashes the JSON text of a string.
fn text(seed: u64, string: &[u8]) -> u64 {
    hash(mix(seed, TEXT), string)
}
