//! The blocks of content in a body.

use super::content_types::{ContentTypes, Types};
use super::grammar::JsonKind;
use super::index::Index;
use super::node::Node;

/// The bytes of the body per kept place of a block. A body with more blocks than that is walked each time, so that the places
/// take at most a fifth of the memory of the body.
const BYTES_PER_PLACE: usize = 128;
/// The number of blocks whose places are kept in a body of any size.
const MIN_PLACES: usize = 8;

/// The blocks of one body, and the types of its content: the result of one walk, from which later questions are answered.
#[derive(Debug, Clone)]
pub(super) struct Blocks {
    /// `None` if there are too many.
    places: Option<Vec<Place>>,
    types: ContentTypes,
}

/// The place of one block.
#[derive(Debug, Clone)]
struct Place {
    start: u32,
    end: u32,
    /// The long values inside the block, as a range of the index.
    inside: (u32, u32),
    names: Names,
    kind: JsonKind,
}

/// A set of names of members that may have more names than were added.
#[derive(Debug, Clone, Copy, Default)]
struct Names(u32);

impl Names {
    /// Returns the set of the name with these bytes.
    fn of(name: &[u8]) -> Self {
        let (first, last) = (name.first().copied().unwrap_or(0), name.last().copied().unwrap_or(0));
        let bit = name.len() + 5 * usize::from(first) + 11 * usize::from(last);
        Self(1 << (bit % 32))
    }

    fn add(&mut self, others: Self) {
        self.0 |= others.0;
    }

    fn may_contain(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }
}

impl Blocks {
    /// Walks the blocks of a body of `length` bytes. `member` returns the top-level member with the given name.
    pub(super) fn of<'a>(length: usize, member: impl Fn(&str) -> Option<Node<'a>>) -> Self {
        let limit =
            if u32::try_from(length).is_ok() { (length / BYTES_PER_PLACE).max(MIN_PLACES) } else { 0 };
        let mut walk = Walk { limit, places: Some(Vec::new()), types: Types::of("blocks") };
        let mut tools = Types::of("tools");
        let list = |name| member(name).into_iter().flat_map(Node::elements);
        for block in list("system") {
            walk.add(block);
        }
        for tool in list("tools") {
            let members = walk.add(tool);
            tools.add(members.kind, members.source_kind());
        }
        for block in list("messages").flat_map(content) {
            for inner in walk.add(block).content.into_iter().flat_map(Node::elements) {
                walk.add(inner);
            }
        }
        Self { places: walk.places, types: ContentTypes::new(tools, walk.types) }
    }

    pub(super) fn types(&self) -> &ContentTypes {
        &self.types
    }

    /// Iterates over the blocks of `body` that may have a member called `name`, or over all of them. Returns `None` if their
    /// places are not kept.
    pub(super) fn iter<'a>(
        &'a self,
        body: &'a [u8],
        index: &'a Index,
        name: Option<&str>,
    ) -> Option<impl Iterator<Item = Node<'a>>> {
        let names = name.map(|name| Names::of(name.as_bytes())).unwrap_or_default();
        let may_have = move |place: &&Place| place.names.may_contain(names);
        Some(self.places.as_ref()?.iter().filter(may_have).map(|place| place.node(body, index)))
    }
}

impl Place {
    fn node<'a>(&self, body: &'a [u8], index: &'a Index) -> Node<'a> {
        let (start, end) = (self.start as usize, self.end as usize);
        Node::new(body, self.kind, start..start, start..end, index.inside(self.inside.0..self.inside.1))
    }
}

/// One walk over all blocks.
struct Walk {
    limit: usize,
    places: Option<Vec<Place>>,
    types: Types,
}

/// The members of a block that say what it is.
#[derive(Default)]
struct Members<'a> {
    kind: Option<Node<'a>>,
    source: Option<Node<'a>>,
    content: Option<Node<'a>>,
    names: Names,
}

impl<'a> Members<'a> {
    /// Reads the members of `block` once. The last of several members of one name counts.
    fn of(block: Node<'a>) -> Self {
        let mut found = Self::default();
        for member in block.members() {
            let name = member.name_bytes();
            found.names.add(Names::of(&name));
            match &*name {
                b"type" => found.kind = Some(member),
                b"source" => found.source = Some(member),
                b"content" => found.content = Some(member),
                _ => {}
            }
        }
        found
    }

    fn source_kind(&self) -> Option<Node<'a>> {
        self.source.and_then(|source| source.get("type"))
    }
}

impl Walk {
    fn add<'a>(&mut self, block: Node<'a>) -> Members<'a> {
        let members = Members::of(block);
        self.types.add(members.kind, members.source_kind());
        self.places.take_if(|places| places.len() == self.limit);
        if let Some(places) = &mut self.places {
            let (span, inside) = (block.span(), block.inside());
            places.push(Place {
                start: span.start as u32,
                end: span.end as u32,
                inside: (inside.start, inside.end),
                names: members.names,
                kind: block.kind(),
            });
        }
        members
    }
}

/// Walks the blocks of `system`, the tools, the blocks of messages and the blocks inside those (tool results). Passes over
/// the lists, messages and blocks for which `may_count` is false, with all that is in them.
pub(super) fn walk<'a>(
    member: impl Fn(&str) -> Option<Node<'a>>,
    may_count: impl Fn(&Node<'a>) -> bool + Copy,
) -> impl Iterator<Item = Node<'a>> {
    let list = |name| member(name).filter(may_count).into_iter().flat_map(Node::elements).filter(may_count);
    let of_messages = list("messages").flat_map(content).filter(may_count);
    let inner = move |block| content(block).filter(may_count);
    let with_inner = of_messages.flat_map(move |block| std::iter::once(block).chain(inner(block)));
    list("system").chain(list("tools")).chain(with_inner)
}

fn content(node: Node<'_>) -> impl Iterator<Item = Node<'_>> {
    node.get("content").into_iter().flat_map(Node::elements)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::MessagesBody;
    use super::*;

    /// Checks that the kept places are those of a walk, and that no block with a member of any name is passed over.
    #[track_caller]
    fn check(body: &Value) -> bool {
        let body = MessagesBody::parse(body.to_string().into()).unwrap();
        let place = |node: Node<'_>| (node.kind(), node.span(), node.name().is_some());
        let all: Vec<Node<'_>> = walk(|name| body.view(name), |_| true).collect();
        let found: Vec<_> = body.blocks().map(place).collect();
        assert_eq!(found, all.iter().copied().map(place).collect::<Vec<_>>());
        for name in ["type", "cache_control", "source", "citations", "a", ""] {
            let has = |node: &Node<'_>| node.get(name).is_some();
            let found: Vec<_> = body.blocks_with(Some(name)).filter(has).map(place).collect();
            assert_eq!(found, all.iter().copied().filter(has).map(place).collect::<Vec<_>>(), "{name}");
        }
        for (block, expected) in body.blocks().zip(&all) {
            let children = |node: Node<'_>| node.members().map(Node::span).collect::<Vec<_>>();
            assert_eq!(children(block), children(*expected));
        }
        body.0.blocks.get().is_some_and(|blocks| blocks.places.is_some())
    }

    #[test]
    fn the_places_of_many_small_blocks_are_not_kept() {
        let text = |length: usize| json!({"type": "text", "text": "x".repeat(length)});
        let body = |length: usize| {
            let blocks = vec![text(length); 100];
            json!({"model": "m", "system": blocks, "messages": [{"content": blocks}]})
        };
        assert!(check(&body(200)));
        assert!(!check(&body(10)));
        assert!(check(&json!({"model": "m", "messages": [{"content": [text(1)]}]})));
    }

    #[test]
    fn a_block_with_a_breakpoint_is_found_with_any_escapes_and_among_many() {
        #[track_caller]
        fn check_found(blocks: &str, expected: usize) {
            let text = format!(r#"{{"model":"m","messages":[{{"content":[{blocks}]}}]}}"#);
            let body = MessagesBody::parse(text.into()).unwrap();
            let has = |block: &Node<'_>| block.get("cache_control").is_some();
            assert_eq!(body.blocks_with(Some("cache_control")).filter(has).count(), expected, "{blocks}");
        }
        let marked = r#"{"type":"text","cache_control":{"type":"ephemeral"}}"#;
        check_found(r#"{"cache\u005fcontrol":1},{"\u0063ache_contro\u006c":1},{"cache_contro":1}"#, 2);
        check_found(r#"{"type":"tool_result","content":[{"type":"text"},{"cache_control":{}}]},{}"#, 1);
        for count in [1, 63, 64, 65, 1000] {
            check_found(&vec![marked; count].join(","), count);
        }
    }

    #[test]
    fn blocks_without_a_breakpoint_are_passed_over() {
        let plain = [r#"{"content":[{"type":"text"},{"type":"text"}]}"#; 9].join(",");
        let marked = r#"{"content":[{"type":"text"},{"type":"text","cache_control":{}}]}"#;
        let text = format!(r#"{{"model":"m","messages":[{plain},{marked}]}}"#);
        let body = MessagesBody::parse(text.into()).unwrap();
        assert_eq!(body.blocks_with(Some("cache_control")).count(), 1);
        assert!(body.0.blocks.get().is_none(), "no block has been read");
    }

    #[test]
    fn the_last_member_of_a_name_counts_with_any_escapes() {
        let text = r#"{"model":"m","messages":[{"content":[{"type":"image","source":{"type":"url"},
            "typ\u0065":"document","\ud800":1,"source":{"type":"fi\u006ce"}},{"type":"a","content":[{"type":"b"}],"content":[]}]}]}"#;
        let body = MessagesBody::parse(text.into()).unwrap();
        let types: Vec<_> =
            body.content_types().iter().map(|content| (&*content.kind, content.source.as_deref())).collect();
        assert_eq!(types, [("document", Some("file")), ("a", None)]);
    }

    fn block() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!({"type": "text", "text": "a \"text\"", "cache_control": {"type": "ephemeral"}})),
            ".{0,300}".prop_map(|text| json!({"type": "text", "text": text})),
            Just(json!({"type": "image", "source": {"type": "url", "url": "https://example.com"}})),
            Just(json!({"": 1, "a": [], "citations": []})),
            Just(
                json!({"type": "tool_use", "input": {"content": [{"cache_control": 1}]}, "cache_control": {}})
            ),
            Just(json!([{"type": "text"}])),
            Just(json!("text")),
        ];
        leaf.prop_recursive(2, 12, 4, |inner| {
            prop::collection::vec(inner, 0..4)
                .prop_map(|content| json!({"type": "tool_result", "content": content}))
        })
    }

    proptest! {
        #[test]
        fn blocks_are_those_of_a_walk(
            system in prop::collection::vec(block(), 0..4), tools in prop::collection::vec(block(), 0..4),
            messages in prop::collection::vec(prop::collection::vec(block(), 0..5), 0..5),
        ) {
            let messages: Vec<Value> = messages.into_iter().map(|content| json!({"role": "user", "content": content})).collect();
            check(&json!({"model": "m", "system": system, "tools": tools, "messages": messages}));
        }
    }
}
