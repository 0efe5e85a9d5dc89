//! What is inside a member, looked at where it lies.
//!
//! The scan of a body knows its top level alone, which is all that most upstreams need. Who has to look further in asks
//! for a [`Node`] and pays for what it reads: each level down reads the bytes once more, so that what descends has to know
//! how far.

use std::borrow::Cow;
use std::ops::Range;

pub use super::grammar::JsonKind;
use super::grammar::Scanner;

/// A value within a body that has been scanned, with the key in front of it if it is a member of an object.
///
/// It is a place, not a copy, and what an [`Edits`](super::Edits) changes is named by one.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    body: &'a [u8],
    kind: JsonKind,
    /// Where the key begins, or else the value.
    item: usize,
    start: usize,
    end: usize,
}

impl<'a> Node<'a> {
    /// The value at `span` of `body`, with its key, if it has one, from `item` on.
    pub(super) fn new(body: &'a [u8], kind: JsonKind, item: usize, span: Range<usize>) -> Self {
        Self { body, kind, item, start: span.start, end: span.end }
    }

    /// The value that `text` is, of which nothing has been read before; `None` for what is no JSON.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let mut scanner = Scanner::new(text);
        scanner.skip_whitespace();
        let value = scanner.value(0).ok()?;
        scanner.end().ok()?;
        Some(Self::new(text, value.kind, value.span.start, value.span))
    }

    /// What the value is.
    #[must_use]
    pub fn kind(self) -> JsonKind {
        self.kind
    }

    /// Where the value stands in the body, quotes and brackets included.
    #[must_use]
    pub fn span(self) -> Range<usize> {
        self.start..self.end
    }

    /// Where the whole item stands: the value, and the key in front of it.
    pub(super) fn item(self) -> Range<usize> {
        self.item..self.end
    }

    /// The whole item as the client wrote it: the value, and the key in front of it.
    #[must_use]
    pub fn item_text(self) -> &'a [u8] {
        &self.body[self.item()]
    }

    /// The value as the client wrote it.
    #[must_use]
    pub fn text(self) -> &'a [u8] {
        &self.body[self.span()]
    }

    /// The key of a member, unescaped. `None` for an element of an array, and for a key with half a surrogate pair,
    /// which is no text and no name of the API's.
    #[must_use]
    pub fn name(self) -> Option<Cow<'a, str>> {
        match self.item == self.start {
            true => None,
            // The string at the start of the item: the scan has seen that there is one.
            false => Scanner::at(self.body, self.item).key().ok().and_then(|key| unescaped(&self.body[key])),
        }
    }

    /// The text of a string, unescaped; `None` for other kinds, and for halves of surrogate pairs.
    #[must_use]
    pub fn as_str(self) -> Option<Cow<'a, str>> {
        match self.kind {
            JsonKind::String => unescaped(self.text()),
            _ => None,
        }
    }

    /// Whether the value is this string, however it is written.
    #[must_use]
    pub fn is(self, text: &str) -> bool {
        self.as_str().is_some_and(|found| found == text)
    }

    /// The members of an object, in order; other kinds have none.
    pub fn members(self) -> Children<'a> {
        Children::of(self, JsonKind::Object)
    }

    /// The elements of an array, in order; other kinds have none.
    pub fn elements(self) -> Children<'a> {
        Children::of(self, JsonKind::Array)
    }

    /// The member called `name`; of several the last, as in the parsers of Python, JavaScript and serde_json.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Self> {
        self.members().filter(|member| member.is_called(name)).last()
    }

    /// Whether this is a member of that name, however its key is written.
    #[must_use]
    pub fn is_called(self, name: &str) -> bool {
        self.name().is_some_and(|found| found == name)
    }
}

/// The members of an object or the elements of an array. Each is skipped to find the next, and read no further.
#[derive(Debug, Clone)]
pub struct Children<'a> {
    body: &'a [u8],
    /// Behind the opening bracket, or behind the child before.
    at: usize,
    kind: JsonKind,
    is_first: bool,
}

impl<'a> Children<'a> {
    fn of(node: Node<'a>, kind: JsonKind) -> Self {
        // Of the other kind there is nothing: an empty text has no children.
        let body = if node.kind == kind { node.body } else { &[] };
        Self { body, at: node.start + 1, kind, is_first: true }
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
        if self.kind == JsonKind::Object {
            scanner.key().ok()?;
        }
        // The whole was scanned, so that a part of it neither breaks the grammar nor nests too deep.
        let value = scanner.value(0).ok()?;
        (self.at, self.is_first) = (value.span.end, false);
        Some(Node::new(self.body, value.kind, item, value.span))
    }
}

fn unescaped(string: &[u8]) -> Option<Cow<'_, str>> {
    match string.contains(&b'\\') {
        true => serde_json::from_slice::<String>(string).ok().map(Cow::Owned),
        false => std::str::from_utf8(&string[1..string.len() - 1]).ok().map(Cow::Borrowed),
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
    fn members_and_elements_are_found_however_they_are_written() {
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
    fn other_kinds_have_neither() {
        for value in ["null", "7", "\"[1]\"", "true", "[[1]]"] {
            let body = body(value);
            let node = body.view("messages").unwrap();
            assert_eq!(node.members().count(), 0, "{value}");
            assert_eq!(node.get("a").map(Node::text), None);
            assert_eq!(node.elements().next().is_some(), value == "[[1]]", "{value}");
        }
    }

    #[test]
    fn of_a_key_that_stands_twice_the_last_counts() {
        let body = body(r#"{"a":1,"\u0061":2,"b":3}"#);
        assert_eq!(body.view("messages").unwrap().get("a").unwrap().text(), b"2");
    }

    #[test]
    fn half_a_surrogate_pair_is_no_text() {
        let body = body(r#"{"\ud800":"\udc00"}"#);
        let member = body.view("messages").unwrap().members().next().unwrap();
        assert_eq!((member.name(), member.as_str()), (None, None));
        assert_eq!(member.text(), br#""\udc00""#);
    }

    #[test]
    fn what_nests_as_deep_as_it_may_can_be_walked() {
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
