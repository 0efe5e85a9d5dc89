//! Changes to a body, stored separately until the body is sent.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::grammar::{Span, Value};
use super::payload::PayloadWriter;
use super::seals::Changes;
use super::{MessagesBody, Node, Payload, Seals, steps};

/// Changes to one body, at any depth. Each attempt has its own edits; the body itself is never modified.
///
/// Unchanged items and their order stay byte for byte as the client wrote them. If an item is removed or
/// replaced, all changes inside it are discarded, in whichever order they were made. A removed item is not
/// replaced.
///
/// ```
/// use relay_messages::{Edits, MessagesBody};
///
/// # fn main() -> Result<(), relay_messages::BodyError> {
/// let body = MessagesBody::parse(r#"{"model":"a","speed":"fast","temperature":1.50}"#.into())?;
/// let mut edits = Edits::default();
/// edits.set_model(&body, "b");
/// edits.remove(&body, "speed");
/// edits.insert(&body, "anthropic_version", r#""vertex-2023-10-16""#);
/// let sent = r#"{"anthropic_version":"vertex-2023-10-16","model":"b","temperature":1.50}"#;
/// assert_eq!(edits.apply(&body).to_bytes(), sent);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Edits {
    /// The ends of removed items by the offset of the item.
    removed: BTreeMap<usize, usize>,
    /// New values, as JSON texts, by the offset of the value, with its end.
    replaced: BTreeMap<usize, (usize, Bytes)>,
    /// New first items, as JSON texts, by the offset of the opening bracket of the object or array.
    first: BTreeMap<usize, Vec<Bytes>>,
    /// New last items, by the offset of the closing bracket of the object or array, with the offset of the
    /// opening one.
    last: BTreeMap<usize, (usize, Vec<Bytes>)>,
}

impl Edits {
    /// Replaces the model name with `model` in every top-level `model` member.
    pub fn set_model(&mut self, body: &MessagesBody, model: &str) {
        let value = serde_json::to_string(model);
        let value = Bytes::from(value.unwrap_or_else(|_| unreachable!("every string has a form in JSON")));
        if !self.removed.is_empty() {
            return self.replace(body, "model", &value);
        }
        for Value { span, .. } in &body.0.fields.model {
            self.replaced.insert(span.start, (span.end, value.clone()));
        }
    }

    /// Replaces the value of every top-level member called `name` with `value`, a JSON text. Removed members
    /// stay removed.
    pub fn replace(&mut self, body: &MessagesBody, name: &str, value: &Bytes) {
        for member in body.members().filter(|member| member.is_called(name)) {
            self.replace_at(member, value.clone());
        }
    }

    /// Removes every top-level member called `name`. Returns `true` if there was one.
    pub fn remove(&mut self, body: &MessagesBody, name: &str) -> bool {
        self.retain(body, |other| other != name)
    }

    /// Removes every top-level member for whose name `keep` returns `false`. Returns `true` if there was one.
    /// A name that is not valid Unicode is passed to `keep` as an empty string.
    pub fn retain(&mut self, body: &MessagesBody, keep: impl Fn(&str) -> bool) -> bool {
        let refused = |member: &Node<'_>| !keep(&member.name().unwrap_or_default());
        body.members().filter(refused).map(|member| self.remove_at(member)).count() > 0
    }

    /// Inserts a member before all others of the top level. `value` is a JSON text. Existing members called
    /// `name` are neither checked nor removed.
    pub fn insert(&mut self, body: &MessagesBody, name: &str, value: &str) {
        let member = Bytes::from(format!("{}:{value}", serde_json::Value::from(name)));
        self.first.entry(body.opening()).or_default().push(member);
    }

    /// Inserts `item` before the client's items of `container`, after the items that were inserted there
    /// earlier. `item` is an element of an array or, with its key, a member of an object; it may hold
    /// several, separated by commas.
    pub fn unshift_at(&mut self, container: Node<'_>, item: Bytes) {
        self.first.entry(container.span().start).or_default().push(item);
    }

    /// Replaces the value of `node` with `value`, a JSON text; the key stays. As for all methods of this
    /// type, `node` must belong to the body that is edited.
    pub fn replace_at(&mut self, node: Node<'_>, value: Bytes) {
        if !self.is_removed(node) {
            let Span { start, end } = node.span();
            self.replaced.insert(start, (end, value));
        }
    }

    /// Removes `node`, a member with its key or an element, and the comma that is no longer needed.
    pub fn remove_at(&mut self, node: Node<'_>) {
        let Span { start, end } = node.item();
        self.removed.insert(start, end);
    }

    /// Appends `item` to the items of `container`. See [`unshift_at`](Self::unshift_at) for the form of
    /// `item`.
    pub fn push_at(&mut self, container: Node<'_>, item: Bytes) {
        let Span { start, end } = container.span();
        self.last.entry(end - 1).or_insert_with(|| (start, Vec::new())).1.push(item);
    }

    /// Returns `true` if `node` itself has been removed. Removals of the values around it are not considered.
    #[must_use]
    pub(crate) fn is_removed(&self, node: Node<'_>) -> bool {
        steps::add(1);
        self.removed.contains_key(&node.item().start)
    }

    /// Returns `body` with the changes applied.
    #[must_use]
    pub fn apply(&self, body: &MessagesBody) -> Payload {
        let mut changes = body.0.seals.changes();
        let payload = self.apply_to_pieces(&body.0.bytes, std::slice::from_ref(&body.0.bytes), &mut changes);
        if changes.are_harmless() { payload.with_seals(body.0.seals.clone()) } else { payload }
    }

    /// Returns `text` with the changes applied. Every changed [`Node`] must have been read from `text`.
    pub fn apply_to(&self, text: &Bytes) -> Payload {
        self.apply_to_pieces(text, std::slice::from_ref(text), &mut Seals::Unknown.changes())
    }

    /// Returns `payload`, whose bytes in one piece are `text`, with the changes applied. The result consists of slices of
    /// `payload` and holds no slice of `text`. Every changed [`Node`] must have been read from `text`.
    pub(crate) fn apply_to_payload(&self, text: &[u8], payload: &Payload) -> Payload {
        self.apply_to_pieces(text, payload.unsent(), &mut Seals::Unknown.changes())
    }

    fn apply_to_pieces(&self, text: &[u8], pieces: &[Bytes], changes: &mut Changes<'_>) -> Payload {
        let mut writer = PayloadWriter::new(pieces);
        self.splice(text, 0..text.len(), &mut |span, value| {
            changes.see(&span, value);
            writer.replace(span, value);
        });
        writer.finish()
    }

    /// Returns the value of `node` with the changes inside it applied.
    #[must_use]
    pub fn render(&self, body: &MessagesBody, node: Node<'_>) -> Bytes {
        let Span { start, end } = node.span();
        let mut text = Vec::with_capacity(end - start);
        let mut at = start;
        self.splice(&body.0.bytes, start..end, &mut |span, value| {
            text.extend_from_slice(&body.0.bytes[at..span.start]);
            text.extend_from_slice(value);
            at = span.end;
        });
        text.extend_from_slice(&body.0.bytes[at..end]);
        text.into()
    }

    /// Passes the spans of `bytes` that change within `range` to `write`, each with its replacement, in ascending order
    /// and without overlaps. `range` is the span of a value or of the whole text.
    fn splice(&self, bytes: &[u8], range: Span, write: &mut impl FnMut(Span, &Bytes)) {
        let mut splices = Splices { bytes, pending: None, write };
        let mut covered = 0;
        for (start, edit) in self.in_order(range) {
            steps::add(1);
            if start < covered {
                continue;
            }
            match edit {
                Edit::First(open, items) => {
                    let mut text = items.join(&b","[..]);
                    if self.keeps_any(bytes, open) {
                        text.push(b',');
                    }
                    splices.push(start..start, text.into());
                }
                Edit::Last(open, items) => {
                    let mut text = items.join(&b","[..]);
                    if self.first.contains_key(&open) || self.keeps_any(bytes, open) {
                        text.insert(0, b',');
                    }
                    splices.push(start..start, text.into());
                }
                Edit::Replace(end, value) => {
                    splices.push(start..end, value.clone());
                    covered = end;
                }
                Edit::Remove(end) => {
                    splices.cut(start..end);
                    covered = end;
                }
            }
        }
        splices.flush();
    }

    /// Returns the edits within `range` by the byte at which they start.
    fn in_order(&self, range: Span) -> impl Iterator<Item = (usize, Edit<'_>)> {
        let first =
            self.first.range(range.clone()).map(|(&open, items)| (open + 1, Edit::First(open, items)));
        let last = self.last.range(range.clone());
        let last = last.map(|(&close, (open, items))| (close, Edit::Last(*open, items)));
        // The removal of the item itself does not apply inside its own value.
        let removed = self.removed.range(range.clone()).filter(move |(start, _)| **start != range.start);
        let removed = removed.map(|(&start, &end)| (start, Edit::Remove(end)));
        let replaced = self.replaced.range(range.clone());
        let replaced = replaced.map(|(&start, (end, value))| (start, Edit::Replace(*end, value)));
        // Edits can only start at the same byte directly after an opening bracket, and a removed item is not replaced:
        // the earlier source comes first.
        merge(merge(first, last), merge(removed, replaced))
    }

    /// Returns `true` if any item of the object or array that opens at `open` has not been removed.
    fn keeps_any(&self, bytes: &[u8], open: usize) -> bool {
        let mut item = skip_whitespace(bytes, open + 1);
        loop {
            steps::add(1);
            if matches!(bytes[item], b']' | b'}') {
                return false;
            }
            let Some(end) = self.removed.get(&item) else { return true };
            let after = skip_whitespace(bytes, *end);
            item = if bytes[after] == b',' { skip_whitespace(bytes, after + 1) } else { after };
        }
    }
}

/// An edit at one offset.
enum Edit<'a> {
    First(usize, &'a [Bytes]),
    Last(usize, &'a [Bytes]),
    Remove(usize),
    Replace(usize, &'a Bytes),
}

/// Merges two iterators in ascending order. Of equal offsets, that of `a` comes first.
fn merge<'e>(
    a: impl Iterator<Item = (usize, Edit<'e>)>,
    b: impl Iterator<Item = (usize, Edit<'e>)>,
) -> impl Iterator<Item = (usize, Edit<'e>)> {
    let (mut a, mut b) = (a.peekable(), b.peekable());
    std::iter::from_fn(move || match (a.peek(), b.peek()) {
        (Some((first, _)), Some((second, _))) if second < first => b.next(),
        (None, _) => b.next(),
        _ => a.next(),
    })
}

/// Writes replacements in ascending order, and joins removed items that are next to each other.
struct Splices<'b, W> {
    bytes: &'b [u8],
    /// The last replacement, which the next one may extend.
    pending: Option<(Span, Bytes)>,
    write: W,
}

impl<W: FnMut(Span, &Bytes)> Splices<'_, W> {
    fn push(&mut self, span: Span, text: Bytes) {
        self.flush();
        self.pending = Some((span, text));
    }

    /// Removes `item` and the comma after it. If `item` is the last of its object or array, the removed items
    /// directly before it are joined with it, and the comma before them is removed instead.
    fn cut(&mut self, item: Span) {
        let start = self.start_of_cut(item.start);
        let after = skip_whitespace(self.bytes, item.end);
        if self.bytes[after] == b',' {
            return self.push(start..skip_whitespace(self.bytes, after + 1), Bytes::new());
        }
        let kept = self.bytes[..start].trim_ascii_end();
        let start = kept.strip_suffix(b",").map_or(start, |kept| kept.trim_ascii_end().len());
        self.push(start..item.end, Bytes::new());
    }

    /// Returns the start of the removed items directly before `start`, which are no longer pending, or `start` itself.
    fn start_of_cut(&mut self, start: usize) -> usize {
        // Only a removed item directly before this one ends at its start.
        let before = self.pending.take_if(|(before, _)| before.end == start && before.start < start);
        before.map_or(start, |(before, _)| before.start)
    }

    fn flush(&mut self) {
        if let Some((span, text)) = self.pending.take() {
            (self.write)(span, &text);
        }
    }
}

fn skip_whitespace(bytes: &[u8], at: usize) -> usize {
    bytes.len() - bytes[at..].trim_ascii_start().len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;

    fn parse(body: &str) -> MessagesBody {
        MessagesBody::parse(body.to_owned().into()).unwrap()
    }

    fn text(edits: &Edits, body: &MessagesBody) -> String {
        String::from_utf8(edits.apply(body).pieces().flat_map(|piece| piece.to_vec()).collect()).unwrap()
    }

    #[test]
    fn members_are_removed_with_their_commas() {
        #[track_caller]
        fn check(body: &str, remove: &[&str], insert: &[(&str, &str)], expected: &str) {
            let body = parse(body);
            let mut edits = Edits::default();
            edits.retain(&body, |name| !remove.contains(&name));
            for (name, value) in insert {
                edits.insert(&body, name, value);
            }
            assert_eq!(text(&edits, &body), expected);
        }
        let body = r#" { "model" : "m", "a":1 , "b":[2] , "c":{} } "#;
        check(body, &[], &[], body);
        check(body, &["model"], &[], r#" { "a":1 , "b":[2] , "c":{} } "#);
        check(body, &["a"], &[], r#" { "model" : "m", "b":[2] , "c":{} } "#);
        check(body, &["c"], &[], r#" { "model" : "m", "a":1 , "b":[2] } "#);
        check(body, &["b", "c"], &[], r#" { "model" : "m", "a":1 } "#);
        check(body, &["model", "b"], &[], r#" { "a":1 , "c":{} } "#);
        check(body, &["model", "a", "b", "c"], &[], " {  } ");
        check(body, &["model", "a", "b", "c"], &[("v", "\"x\"")], r#" {"v":"x"  } "#);
        check(
            body,
            &["model"],
            &[("v", "1"), ("w", "[2]")],
            r#" {"v":1,"w":[2], "a":1 , "b":[2] , "c":{} } "#,
        );
        check(r#"{"model":"m","x":1,"\u0078":2}"#, &["x"], &[], r#"{"model":"m"}"#);
    }

    #[test]
    fn a_removed_member_is_not_replaced() {
        let body = parse(r#"{"model":"m","a":1}"#);
        let mut edits = Edits::default();
        edits.remove(&body, "model");
        edits.set_model(&body, "n");
        edits.replace(&body, "a", &Bytes::from_static(b"[2]"));
        assert_eq!(text(&edits, &body), r#"{"a":[2]}"#);
    }

    /// Returns the node at `path`: names of members or indices of elements, separated by dots, from the top
    /// level down.
    fn at<'a>(body: &'a MessagesBody, path: &str) -> Node<'a> {
        let mut steps = path.split('.');
        let mut node = body.view(steps.next().unwrap()).unwrap();
        for step in steps {
            node = match step.parse() {
                Ok(index) => node.elements().nth(index).unwrap(),
                Err(_) => node.get(step).unwrap(),
            };
        }
        node
    }

    #[test]
    fn items_within_a_member_are_removed_with_their_commas() {
        #[track_caller]
        fn check(value: &str, removed: &[&str], pushed: &[(&str, &str)], expected: &str) {
            let body = parse(&format!(r#"{{"model":"m","a":{value},"b":1}}"#));
            let mut edits = Edits::default();
            removed.iter().for_each(|path| edits.remove_at(at(&body, path)));
            for (path, item) in pushed {
                edits.push_at(at(&body, path), Bytes::copy_from_slice(item.as_bytes()));
            }
            assert_eq!(text(&edits, &body), format!(r#"{{"model":"m","a":{expected},"b":1}}"#));
            assert_eq!(edits.render(&body, at(&body, "a")), expected);
        }
        let list = "[ 1 , [2] ,{} ]";
        check(list, &["a.0"], &[], "[ [2] ,{} ]");
        check(list, &["a.1"], &[], "[ 1 , {} ]");
        check(list, &["a.2"], &[], "[ 1 , [2] ]");
        check(list, &["a.1", "a.2"], &[], "[ 1 ]");
        check(list, &["a.2", "a.1"], &[("a", "4"), ("a", "5")], "[ 1 ,4,5]");
        check(list, &["a.0", "a.1", "a.2"], &[], "[  ]");
        check(list, &["a.0", "a.1", "a.2"], &[("a", "4")], "[  4]");
        check(list, &[], &[("a", "4"), ("a.1", "3"), ("a.2", "\"x\":1")], r#"[ 1 , [2,3] ,{"x":1} ,4]"#);
        check(list, &["a.1.0", "a.2"], &[("a.1", "9")], "[ 1 , [9] ]");
        let object = r#"{ "x" : [{"y":"z","w":[]}], "x":{"v":0} }"#;
        check(object, &["a.x"], &[], r#"{ "x" : [{"y":"z","w":[]}] }"#);
        check(object, &["a.x.v"], &[("a.x", r#""u":1"#)], r#"{ "x" : [{"y":"z","w":[]}], "x":{"u":1} }"#);
    }

    #[test]
    fn a_removal_or_replacement_discards_the_changes_inside_it() {
        let body = parse(r#"{"model":"m","a":[{"b":[1,2]},[3]]}"#);
        let mut edits = Edits::default();
        edits.remove_at(at(&body, "a.0.b.1"));
        edits.push_at(at(&body, "a.0.b"), Bytes::from_static(b"7"));
        assert_eq!(edits.render(&body, at(&body, "a.0")), r#"{"b":[1,7]}"#);
        edits.replace_at(at(&body, "a.0.b"), Bytes::from_static(b"null"));
        edits.remove_at(at(&body, "a.1.0"));
        assert_eq!(text(&edits, &body), r#"{"model":"m","a":[{"b":null},[]]}"#);
        edits.remove_at(at(&body, "a.1"));
        assert!(edits.is_removed(at(&body, "a.1")) && !edits.is_removed(at(&body, "a.0")));
        assert_eq!(edits.render(&body, at(&body, "a.1")), "[]");
        edits.replace_at(at(&body, "a.1"), Bytes::from_static(b"null"));
        assert_eq!(text(&edits, &body), r#"{"model":"m","a":[{"b":null}]}"#);
        edits.remove(&body, "a");
        edits.insert(&body, "c", "1");
        assert_eq!(text(&edits, &body), r#"{"c":1,"model":"m"}"#);
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<i32>().prop_map(Value::from), "\\PC{0,4}".prop_map(Value::from)];
        leaf.prop_recursive(4, 48, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map("[a-z\"]{0,3}", inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// Prints `value` with the white space and escapes that `choices` selects.
    fn print(value: &Value, choices: &mut impl Iterator<Item = u8>, out: &mut String) {
        let mut space =
            |out: &mut String| out.push_str(["", "", " ", "\n\t"][choices.next().unwrap() as usize % 4]);
        space(out);
        match value {
            Value::Array(elements) => {
                out.push('[');
                for (index, element) in elements.iter().enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    print(element, choices, out);
                }
                out.push(']');
            }
            Value::Object(members) => {
                out.push('{');
                for (index, (name, member)) in members.iter().enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    print(&Value::from(name.as_str()), choices, out);
                    out.push(':');
                    print(member, choices, out);
                }
                out.push('}');
            }
            Value::String(text) if choices.next().unwrap().is_multiple_of(2) => {
                let units = text.encode_utf16().map(|unit| format!("\\u{unit:04X}"));
                out.push_str(&format!("\"{}\"", units.collect::<String>()));
            }
            scalar => out.push_str(&scalar.to_string()),
        }
        out.push_str(["", " ", "\r\n", ""][choices.next().unwrap() as usize % 4]);
    }

    /// Makes the same changes to a tree and, with `edits`, to its text. Records the spans of the changed
    /// items.
    fn change(
        value: &mut Value,
        node: Node<'_>,
        edits: &mut Edits,
        choices: &mut impl Iterator<Item = u8>,
        changed: &mut Vec<Span>,
    ) {
        /// Changes one child. Returns `true` if the child stays.
        fn child(
            value: &mut Value,
            node: Node<'_>,
            edits: &mut Edits,
            choices: &mut impl Iterator<Item = u8>,
            changed: &mut Vec<Span>,
        ) -> bool {
            let choice = choices.next().unwrap() % 8;
            if choice != 1 {
                change(value, node, edits, choices, changed);
            }
            match choice {
                0 | 1 => {
                    edits.remove_at(node);
                    changed.push(node.item());
                }
                2 => {
                    edits.replace_at(node, Bytes::from_static(b"{\"new\":1}"));
                    *value = serde_json::json!({ "new": 1 });
                    changed.push(node.span());
                }
                _ => {}
            }
            choice > 1
        }
        let pushes = choices.next().unwrap().is_multiple_of(4);
        match value {
            Value::Array(elements) => {
                let mut nodes = node.elements();
                elements.retain_mut(|element| child(element, nodes.next().unwrap(), edits, choices, changed));
                assert!(nodes.next().is_none());
                if pushes {
                    edits.push_at(node, Bytes::from_static(b"0.5"));
                    elements.push(0.5.into());
                }
            }
            Value::Object(members) => {
                let mut nodes = node.members();
                members.retain(|name, member| {
                    let node = nodes.next().unwrap();
                    assert_eq!(node.name().unwrap(), name.as_str());
                    child(member, node, edits, choices, changed)
                });
                assert!(nodes.next().is_none());
                if pushes {
                    edits.push_at(node, Bytes::from_static(b"\"pushed\":[]"));
                    members.insert("pushed".to_owned(), Value::Array(Vec::new()));
                }
            }
            scalar => assert_eq!(node.as_str().as_deref(), scalar.as_str()),
        }
    }

    proptest! {
        #[test]
        fn an_edited_body_parses_to_the_edited_object(
            members in prop::collection::btree_map("[a-g]", any::<i32>(), 0..7),
            removed in "[a-g]{0,7}", replaced in "[a-g]{0,3}", inserted in "[x-z]{0,2}", pretty: bool, with_model: bool,
        ) {
            let mut object: Map<String, Value> = members.into_iter().map(|(key, value)| (key, value.into())).collect();
            object.insert("model".to_owned(), "m".into());
            let json = if pretty { serde_json::to_string_pretty(&object) } else { serde_json::to_string(&object) }.unwrap();
            let body = parse(&json);
            let mut edits = Edits::default();
            for name in replaced.chars().map(String::from) {
                edits.replace(&body, &name, &Bytes::from_static(b"{\"new\":true}"));
                if let Some(value) = object.get_mut(&name) {
                    *value = serde_json::json!({ "new": true });
                }
            }
            for name in removed.chars().map(String::from).chain((!with_model).then(|| "model".to_owned())) {
                prop_assert_eq!(edits.remove(&body, &name), body.get(&name).is_some());
                object.remove(&name);
            }
            for name in inserted.chars().map(String::from) {
                edits.insert(&body, &name, "null");
                object.insert(name, Value::Null);
            }
            prop_assert_eq!(serde_json::from_str::<Map<String, Value>>(&text(&edits, &body)).unwrap(), object);
        }

        #[test]
        fn changes_at_any_depth_equal_those_of_a_tree_and_touch_nothing_else(
            mut value in json(), layout in prop::collection::vec(any::<u8>(), 1..64),
            choices in prop::collection::vec(any::<u8>(), 1..64),
        ) {
            let (mut layout, mut choices) = (layout.into_iter().cycle(), choices.into_iter().cycle());
            let mut printed = String::new();
            print(&value, &mut layout, &mut printed);
            let body = parse(&format!("{{\"a\":{printed},\"model\":\"m\"}}"));
            let (mut edits, mut changed) = (Edits::default(), Vec::new());
            change(&mut value, body.view("a").unwrap(), &mut edits, &mut choices, &mut changed);

            let edited: Value = serde_json::from_str(&text(&edits, &body)).unwrap();
            prop_assert_eq!(edited, serde_json::json!({ "a": value, "model": "m" }));
            let rendered = edits.render(&body, body.view("a").unwrap());
            prop_assert_eq!(serde_json::from_slice::<Value>(&rendered).unwrap(), value);
            let mut end = 0;
            let mut spans = Vec::new();
            edits.splice(&body.0.bytes, 0..body.0.bytes.len(), &mut |span, _| spans.push(span));
            for span in spans {
                prop_assert!(end <= span.start);
                end = span.end;
                for at in span {
                    let is_between = matches!(body.0.bytes[at], b',' | b' ' | b'\n' | b'\r' | b'\t');
                    prop_assert!(is_between || changed.iter().any(|item| item.contains(&at)), "byte {}", at);
                }
            }
        }
    }

    #[test]
    fn changes_of_a_body_in_pieces_are_those_of_the_whole_body() {
        let long = "y".repeat(3000);
        let text = format!(r#"{{"a":1,"b":"{long}","c":["{long}",2,"{long}"],"d":{{"e":"{long}"}},"f":3}}"#);
        let text = Bytes::from(text);
        let node = Node::parse(&text).unwrap();
        let mut edits = Edits::default();
        edits.remove_at(node.get("a").unwrap());
        edits.remove_at(node.get("c").unwrap().elements().nth(1).unwrap());
        edits.replace_at(node.get("d").unwrap().get("e").unwrap(), Bytes::from_static(b"\"new\""));
        edits.push_at(node, Bytes::from_static(b"\"g\":4"));
        let expected = edits.apply_to(&text).to_bytes();
        for size in [1, 2, 7, 100, 1023, 1024, 1500, 2999, 4000, text.len()] {
            let pieces = Payload::of_pieces(text.chunks(size).map(|piece| text.slice_ref(piece)));
            let edited = edits.apply_to_payload(&text, &pieces);
            assert_eq!(edited.to_bytes(), expected, "pieces of {size} bytes");
        }
    }
}
