//! The layout of a JSON text: indentation, line ends and the white space around a colon.

use std::ops::Range;

use relay_messages::Node;
use serde_json::Value;

/// The indentation of a text that has none to imitate. Claude Code writes the same.
const INDENT: &str = "  ";

/// The places of a member of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) name: String,
    /// The place of the key, with its quotes.
    pub(crate) key: Range<usize>,
    pub(crate) value: Range<usize>,
}

/// Returns the members of `object`, a value in `text`, in order.
pub(super) fn members(text: &str, object: Node<'_>) -> Vec<Member> {
    let mut at = object.span().start + 1;
    let mut members = Vec::new();
    for node in object.members() {
        let between = &text[at..node.span().start];
        // Before the key there are only white space and a comma.
        let start = at + between.find('"').unwrap_or_default();
        let end = start + string_length(&text[start..node.span().start]);
        at = node.span().end;
        members.push(Member {
            name: node.name().unwrap_or_default().into_owned(),
            key: start..end,
            value: node.span(),
        });
    }
    members
}

/// Returns the length of the string that `text` starts with, with both quotes.
fn string_length(text: &str) -> usize {
    let mut is_escaped = false;
    for (index, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

/// Returns the white space before `at` on its line. Empty if something else stands there.
pub(super) fn indent_before(text: &str, at: usize) -> &str {
    let start = text[..at].rfind('\n').map_or(0, |line| line + 1);
    let indent = &text[start..at];
    if indent.trim_ascii().is_empty() && start > 0 { indent } else { "" }
}

/// Returns the edit that adds a member after the last one of `object`. `place` is the indentation of the line on which the
/// object starts.
pub(super) fn insertion(
    text: &str,
    object: Node<'_>,
    place: &str,
    name: &str,
    value: &str,
) -> (Range<usize>, String) {
    let members = members(text, object);
    let Some(last) = members.last() else {
        let style = Style::within(text, object);
        let span = object.span();
        return (span, style.object_at(place, &style.member(name, value)));
    };
    let before = members.len().checked_sub(2).map(|index| members[index].value.end);
    let between = &text[before.unwrap_or(object.span().start + 1)..last.key.start];
    // Between two members there are only white space and a comma.
    let space = one_line_end(between.rsplit(',').next().unwrap_or_default());
    let colon = &text[last.key.end..last.value.start];
    let member = format!(",{space}{}{colon}{value}", Value::from(name));
    (last.value.end..last.value.end, member)
}

/// Returns `space` from its last line end on, or all of it if it has none.
fn one_line_end(space: &str) -> &str {
    let Some(line) = space.rfind('\n') else { return space };
    let start = if space[..line].ends_with('\r') { line - 1 } else { line };
    &space[start..]
}

/// The layout of new objects in a text.
pub(super) struct Style<'a> {
    /// The line end. Empty if the text is one line.
    line_end: &'a str,
    indent: &'a str,
    colon: &'a str,
}

impl<'a> Style<'a> {
    /// The layout of `text`, whose root is `root`.
    pub(super) fn of(text: &'a str, root: Node<'_>) -> Self {
        let first = members(text, root).into_iter().next();
        let Some(first) = first else { return Self::default_of(text) };
        let colon = &text[first.key.end..first.value.start];
        let inside = &text[root.span()];
        match line_end(inside) {
            Some(line_end) => Self { line_end, indent: indent_before(text, first.key.start), colon },
            None => Self { line_end: "", indent: "", colon },
        }
    }

    /// The layout for the members of `object`, which is empty.
    fn within(text: &'a str, object: Node<'_>) -> Self {
        match Node::parse(text.as_bytes()) {
            Some(root) if root.span() != object.span() => Self::of(text, root),
            _ => Self::default_of(text),
        }
    }

    /// The layout that Claude Code writes, with the line ends of `text`.
    fn default_of(text: &'a str) -> Self {
        Self { line_end: line_end(text).unwrap_or("\n"), indent: INDENT, colon: ": " }
    }

    /// Returns a member without the white space around it.
    pub(super) fn member(&self, name: &str, value: &str) -> String {
        format!("{}{}{value}", Value::from(name), self.colon)
    }

    /// Returns an object with one member, on a line at this level of indentation.
    pub(super) fn object(&self, level: usize, member: &str) -> String {
        self.object_at(&self.indent.repeat(level), member)
    }

    fn object_at(&self, place: &str, member: &str) -> String {
        let Self { line_end, indent, .. } = self;
        match line_end.is_empty() {
            true => format!("{{{member}}}"),
            false => format!("{{{line_end}{place}{indent}{member}{line_end}{place}}}"),
        }
    }
}

/// Returns the first line end of `text`.
fn line_end(text: &str) -> Option<&str> {
    let line = text.find('\n')?;
    Some(if text[..line].ends_with('\r') { "\r\n" } else { "\n" })
}
