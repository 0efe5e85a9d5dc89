//! The blocks of content in a body, and their types.

use super::node::Node;

/// The limit of content types recorded per request. The API has about thirty. Types beyond the limit are left
/// for the upstream to validate.
const MAX_KINDS: usize = 64;
/// The longest name of a type, in bytes. No type of the API has a longer one, so that longer names are
/// ignored.
const MAX_NAME: usize = 64;

/// The distinct types of content in a request.
#[derive(Debug, Clone, Default)]
pub struct ContentTypes(Vec<ContentType>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContentType {
    /// `blocks` or `tools`.
    pub(crate) list: &'static str,
    /// The `type` of the block or tool.
    pub(crate) kind: Box<str>,
    /// The `type` of a block's source.
    pub(crate) source: Option<Box<str>>,
}

impl ContentType {
    pub(crate) fn is_image_by_url(&self) -> bool {
        self.list == "blocks" && &*self.kind == "image" && self.source.as_deref() == Some("url")
    }
}

impl ContentTypes {
    /// Reads the type of every block and tool in a body. `member` returns the top-level member with the given
    /// name.
    pub(super) fn of<'a>(member: impl Fn(&str) -> Option<Node<'a>>) -> Self {
        let mut found = Self::default();
        for tool in member("tools").into_iter().flat_map(Node::elements) {
            found.note("tools", tool);
        }
        blocks(member).for_each(|block| found.note("blocks", block));
        found
    }

    /// Iterates over the types, tools first, in the order of their first occurrence.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &ContentType> {
        self.0.iter()
    }

    /// Returns `true` if an image is given by its URL.
    #[must_use]
    pub fn has_images_by_url(&self) -> bool {
        self.0.iter().any(ContentType::is_image_by_url)
    }

    fn note(&mut self, list: &'static str, item: Node<'_>) {
        let name = |node: Option<Node<'_>>| {
            let name = node.and_then(Node::as_str).filter(|name| name.len() <= MAX_NAME);
            name.map(|name| Box::from(&*name))
        };
        let Some(kind) = name(item.get("type")) else { return };
        let source = name(item.get("source").and_then(|source| source.get("type")));
        let content = ContentType { list, kind, source };
        if self.0.len() < MAX_KINDS && !self.0.contains(&content) {
            self.0.push(content);
        }
    }
}

/// The blocks of `system`, the tools, the blocks of messages and the blocks inside those (tool results).
pub(super) fn blocks<'a>(member: impl Fn(&str) -> Option<Node<'a>>) -> impl Iterator<Item = Node<'a>> {
    let list = |name| member(name).into_iter().flat_map(Node::elements);
    let of_messages = list("messages").flat_map(content);
    let with_inner = of_messages.flat_map(|block| std::iter::once(block).chain(content(block)));
    list("system").chain(list("tools")).chain(with_inner)
}

fn content(node: Node<'_>) -> impl Iterator<Item = Node<'_>> {
    node.get("content").into_iter().flat_map(Node::elements)
}
