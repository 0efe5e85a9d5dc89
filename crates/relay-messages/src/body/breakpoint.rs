//! One cache breakpoint, and the bytes that its removal cuts.

use std::ops::Range;

use super::grammar::Scanner;
use super::node::Node;

/// One breakpoint: a member called `cache_control`, wherever it is in the body.
#[derive(Debug, Clone)]
pub(crate) struct Breakpoint<'a> {
    /// The member with one of the commas beside it: the bytes whose removal gives the object without the member.
    pub(crate) cut: Range<usize>,
    /// The value of the member.
    pub(crate) value: Node<'a>,
}

impl<'a> Breakpoint<'a> {
    /// Reads the member of `body` whose key starts at `start`.
    pub(super) fn at(body: &'a [u8], start: usize) -> Option<Self> {
        let mut scanner = Scanner::at(body, start);
        let key = scanner.known_key()?;
        let value = scanner.value(0).ok()?;
        let item = start..value.span.end;
        let value = Node::of_member(body, key, value);
        Some(Self { cut: with_comma(body, item), value })
    }
}

/// Returns `item` with the comma before it, or with the comma after it if it is the first member.
fn with_comma(body: &[u8], item: Range<usize>) -> Range<usize> {
    let before = body[..item.start].trim_ascii_end();
    if before.ends_with(b",") {
        return before.len() - 1..item.end;
    }
    let after = body[item.end..].trim_ascii_start();
    match after.strip_prefix(b",") {
        Some(after) => item.start..body.len() - after.trim_ascii_start().len(),
        None => item,
    }
}

#[cfg(test)]
mod tests {
    use super::super::MessagesBody;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let body = MessagesBody::parse(format!(r#"{{"model":"m",{text}}}"#).into()).unwrap();
        let cuts: Vec<_> = body.breakpoints().map(|found| &body.bytes()[found.cut]).collect();
        assert_eq!(cuts, expected.iter().map(|cut| cut.as_bytes()).collect::<Vec<_>>());
    }

    #[test]
    fn a_breakpoint_is_removed_with_one_comma() {
        check(
            r#""a":{"b":1,"cache_control":{"type":"ephemeral"}}"#,
            &[r#","cache_control":{"type":"ephemeral"}"#],
        );
        check(r#""a":{ "cache_control" : null , "b":1}"#, &[r#""cache_control" : null , "#]);
        check(
            r#""a":[{"cache_control":{}},{"x":0 , "cache_control":7,"y":0}]"#,
            &[r#""cache_control":{}"#, r#", "cache_control":7"#],
        );
        check(r#""a":"\"cache_control\":1","cache_controls":1"#, &[]);
    }

    #[test]
    fn the_number_of_breakpoints_is_bounded() {
        let many = vec![r#"{"cache_control":{}}"#; 100].join(",");
        let body = MessagesBody::parse(format!(r#"{{"model":"m","a":[{many}]}}"#).into()).unwrap();
        assert_eq!(body.breakpoints().count(), super::super::breakpoints::MAX);
    }
}
