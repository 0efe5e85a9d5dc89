//! The blocks of content in a body, and their types.

use super::node::Node;

/// Kinds of content that are noted of one request; the API has about thirty. What else a client makes up is for the
/// upstream to judge.
const MAX_KINDS: usize = 64;
/// A type's name is not longer; what is, is nobody's.
const MAX_NAME: usize = 64;

/// The kinds of content that occur in a request, each once.
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
    /// Reads the type of every block of a body. `member` returns the body's top-level member of a name.
    pub(super) fn of<'a>(member: impl Fn(&str) -> Option<Node<'a>>) -> Self {
        let mut found = Self::default();
        for tool in member("tools").into_iter().flat_map(Node::elements) {
            found.note("tools", tool);
        }
        blocks(member).for_each(|block| found.note("blocks", block));
        found
    }

    /// Each type, in the order of its first block.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &ContentType> {
        self.0.iter()
    }

    /// Whether an image is named by its URL.
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

/// The blocks of `system`, of messages and of what is in these (results of tools), and the tools.
pub(super) fn blocks<'a>(member: impl Fn(&str) -> Option<Node<'a>>) -> impl Iterator<Item = Node<'a>> {
    let list = |name| member(name).into_iter().flat_map(Node::elements);
    let of_messages = list("messages").flat_map(content);
    let with_inner = of_messages.flat_map(|block| std::iter::once(block).chain(content(block)));
    list("system").chain(list("tools")).chain(with_inner)
}

fn content(node: Node<'_>) -> impl Iterator<Item = Node<'_>> {
    node.get("content").into_iter().flat_map(Node::elements)
}
