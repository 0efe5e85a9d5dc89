//! Values inside a member, read in place.
//!
//! The scan of a body records its top level and the places of its long values. Code that needs values further down reads them
//! through a [`Node`]. Each level of descent reads the short values again, so that callers should bound the depth.

use std::borrow::Cow;
use std::ops::Range;

pub use super::grammar::JsonKind;
use super::grammar::{Scanner, Value};
use super::index::{Index, Inside, Recorder};
use super::strings;
use super::unescape::{is_string, unescaped};

/// A value within a scanned body, with its key if it is a member of an object.
///
/// A node refers to a place in the body and copies nothing. The methods of [`Edits`](super::Edits) take a
/// node to name the value that changes.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    body: &'a [u8],
    /// The long values inside this one.
    inside: Inside<'a>,
    kind: JsonKind,
    /// The offset of the key, or of the value if there is no key.
    item: usize,
    /// The end of the key, or the offset of the value if there is no key.
    key_end: usize,
    start: usize,
    end: usize,
}

/// A text with the places of its long values.
pub(crate) struct IndexedText<'a> {
    text: &'a [u8],
    value: Value,
    index: Index,
    inside: Range<u32>,
}

impl<'a> IndexedText<'a> {
    /// Reads `text` as one JSON value. Returns `None` if it is not valid JSON.
    pub(crate) fn parse(text: &'a [u8]) -> Option<Self> {
        let mut scanner = Scanner::new(text, Recorder::new(text));
        scanner.skip_whitespace();
        let value = scanner.value(0).ok()?;
        scanner.end().ok()?;
        let recorder = scanner.recorder;
        let inside = recorder.after(0, value.span.start)..recorder.len();
        Some(Self { text, value, index: recorder.finish().index, inside })
    }

    /// The value.
    pub(crate) fn node(&self) -> Node<'_> {
        let span = self.value.span.clone();
        let inside = self.index.inside(self.inside.clone());
        Node::new(self.text, self.value.kind, span.start..span.start, span, inside)
    }
}

impl<'a> Node<'a> {
    /// Creates a node for the value at `span` of `body` with the key at `key`, which is empty if there is none.
    pub(super) fn new(
        body: &'a [u8],
        kind: JsonKind,
        key: Range<usize>,
        span: Range<usize>,
        inside: Inside<'a>,
    ) -> Self {
        Self { body, inside, kind, item: key.start, key_end: key.end, start: span.start, end: span.end }
    }

    /// Reads `text` as one JSON value. Returns `None` if it is not valid JSON.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let mut scanner = Scanner::new(text, ());
        scanner.skip_whitespace();
        let Value { kind, span } = scanner.value(0).ok()?;
        scanner.end().ok()?;
        Some(Self::new(text, kind, span.start..span.start, span, Inside::default()))
    }

    /// Creates a node for `value` with the key at `key`, both in `body`. Nothing inside it is known to be long.
    pub(super) fn of_member(body: &'a [u8], key: Range<usize>, value: Value) -> Self {
        Self::new(body, value.kind, key, value.span, Inside::default())
    }

    /// The kind of the value.
    #[must_use]
    pub fn kind(self) -> JsonKind {
        self.kind
    }

    /// The byte range of the value in the body, quotes and brackets included.
    #[must_use]
    pub fn span(self) -> Range<usize> {
        self.start..self.end
    }

    /// The long values inside the value, as a range of the index.
    pub(super) fn inside(self) -> Range<u32> {
        self.inside.range()
    }

    /// The byte range of the whole item: the key, if it has one, and the value.
    pub(super) fn item(self) -> Range<usize> {
        self.item..self.end
    }

    /// The whole item as the client wrote it: the key, if it has one, and the value.
    #[must_use]
    pub(crate) fn item_text(self) -> &'a [u8] {
        &self.body[self.item()]
    }

    /// The value as the client wrote it.
    #[must_use]
    pub fn text(self) -> &'a [u8] {
        &self.body[self.span()]
    }

    /// Returns the unescaped key of a member. Returns `None` for an element of an array, and for a key with
    /// half a surrogate pair, which is not valid Unicode and not the name of any field of the API.
    #[must_use]
    pub fn name(self) -> Option<Cow<'a, str>> {
        self.key().and_then(unescaped)
    }

    /// The bytes of the unescaped key, or none if [`name`](Self::name) is `None`.
    pub(super) fn name_bytes(self) -> Cow<'a, [u8]> {
        if self.item != self.start
            && let Some(name) = strings::short(&self.body[self.item + 1..])
        {
            return Cow::Borrowed(name);
        }
        match self.key() {
            Some(key) if key.contains(&b'\\') => {
                Cow::Owned(unescaped(key).unwrap_or_default().into_owned().into_bytes())
            }
            key => Cow::Borrowed(key.map_or(&[], |key| &key[1..key.len() - 1])),
        }
    }

    /// The key as the client wrote it, quotes included. `None` for an element of an array.
    fn key(self) -> Option<&'a [u8]> {
        (self.item != self.start).then(|| &self.body[self.item..self.key_end])
    }

    /// Returns the unescaped text of a string, or `None` for other kinds and for halves of surrogate pairs.
    #[must_use]
    pub fn as_str(self) -> Option<Cow<'a, str>> {
        match self.kind {
            JsonKind::String => unescaped(self.text()),
            _ => None,
        }
    }

    /// Returns `true` if the value is a string whose unescaped text is `text`.
    #[must_use]
    pub fn is(self, text: &str) -> bool {
        self.kind == JsonKind::String && is_string(self.text(), text)
    }

    /// The members of an object, in order. Empty for other kinds.
    pub fn members(self) -> Children<'a> {
        Children::of(self, JsonKind::Object)
    }

    /// The elements of an array, in order. Empty for other kinds.
    pub fn elements(self) -> Children<'a> {
        Children::of(self, JsonKind::Array)
    }

    /// The last member called `name`. The parsers of Python, JavaScript and serde_json also use the last one.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Self> {
        self.members().filter(|member| member.is_called(name)).last()
    }

    /// Returns `true` if this is a member whose unescaped key is `name`.
    #[must_use]
    pub fn is_called(self, name: &str) -> bool {
        self.key().is_some_and(|key| is_string(key, name))
    }
}

/// An iterator over the members of an object or the elements of an array. It skips over each child to find
/// the next, and does not descend into it. A long child is skipped without reading its bytes.
#[derive(Debug, Clone)]
pub struct Children<'a> {
    body: &'a [u8],
    /// The long values that have not been reached.
    inside: Inside<'a>,
    /// The offset after the opening bracket, or after the previous child.
    at: usize,
    kind: JsonKind,
    is_first: bool,
}

impl<'a> Children<'a> {
    fn of(node: Node<'a>, kind: JsonKind) -> Self {
        // A node of another kind has no children: an empty text yields none.
        let body = if node.kind == kind { node.body } else { &[] };
        Self { body, inside: node.inside, at: node.start + 1, kind, is_first: true }
    }
}

impl<'a> Iterator for Children<'a> {
    type Item = Node<'a>;

    fn next(&mut self) -> Option<Node<'a>> {
        let mut scanner = Scanner::at(self.body, self.at);
        scanner.skip_whitespace();
        match (scanner.peek()?, self.is_first) {
            (b'}' | b']', _) => return None,
            (_, true) => {}
            (_, false) => scanner.separator(),
        }
        let item = scanner.position();
        let key = match self.kind {
            JsonKind::Object => scanner.known_key()?,
            _ => item..item,
        };
        let start = scanner.position();
        let (kind, end, inside) = match self.inside.take(start) {
            Some((end, inside)) => (JsonKind::of(scanner.peek()?), end, inside),
            None => {
                let kind = scanner.known_value()?;
                (kind, scanner.position(), Inside::default())
            }
        };
        (self.at, self.is_first) = (end, false);
        Some(Node::new(self.body, kind, key, start..end, inside))
    }
}

#[cfg(test)]
mod tests {
    use super::super::MessagesBody;
    use super::*;

    fn body(messages: &str) -> MessagesBody {
        MessagesBody::parse(format!(r#"{{"model":"m","messages" : {messages} }}"#).into()).unwrap()
    }

    #[test]
    fn members_and_elements_are_found_with_any_escapes_and_white_space() {
        let body = body(r#"[ {"typ\u0065" : "te\u0078t","a":[1, [2] ,{}],"":null} ,{ } , [ ]]"#);
        let messages = body.view("messages").unwrap();
        assert!(messages.is_called("messages") && messages.kind() == JsonKind::Array);
        let elements: Vec<_> = messages.elements().collect();
        assert_eq!(
            elements.iter().map(|node| node.kind()).collect::<Vec<_>>(),
            [JsonKind::Object, JsonKind::Object, JsonKind::Array]
        );
        assert!(elements.iter().all(|node| node.name().is_none()));
        let names: Vec<_> = elements[0].members().map(|member| member.name().unwrap()).collect();
        assert_eq!(names, ["type", "a", ""]);
        let kind = elements[0].get("type").unwrap();
        assert!(kind.is("text") && !kind.is("te\\u0078t"));
        assert_eq!(kind.text(), br#""te\u0078t""#);
        let inner: Vec<_> = elements[0].get("a").unwrap().elements().map(Node::text).collect();
        assert_eq!(inner, [&b"1"[..], b"[2]", b"{}"]);
        assert_eq!(elements[1].members().count() + elements[2].elements().count(), 0);
    }

    #[test]
    fn other_kinds_have_no_members_and_no_elements() {
        for value in ["null", "7", "\"[1]\"", "true", "[[1]]"] {
            let body = body(value);
            let node = body.view("messages").unwrap();
            assert_eq!(node.members().count(), 0, "{value}");
            assert_eq!(node.get("a").map(Node::text), None);
            assert_eq!(node.elements().next().is_some(), value == "[[1]]", "{value}");
        }
    }

    #[test]
    fn the_last_value_of_a_repeated_key_counts() {
        let body = body(r#"{"a":1,"\u0061":2,"b":3}"#);
        assert_eq!(body.view("messages").unwrap().get("a").unwrap().text(), b"2");
    }

    #[test]
    fn half_a_surrogate_pair_has_no_text() {
        let body = body(r#"{"\ud800":"\udc00"}"#);
        let member = body.view("messages").unwrap().members().next().unwrap();
        assert_eq!((member.name(), member.as_str()), (None, None));
        assert_eq!(member.text(), br#""\udc00""#);
    }

    #[test]
    fn a_body_of_the_maximum_depth_can_be_walked() {
        let levels = super::super::grammar::MAX_DEPTH - 1;
        let body = body(&format!("{}{}", "[".repeat(levels), "]".repeat(levels)));
        let mut node = body.view("messages").unwrap();
        let mut depth = 1;
        while let Some(inner) = node.elements().next() {
            (node, depth) = (inner, depth + 1);
        }
        assert_eq!(depth, levels);
    }
}
