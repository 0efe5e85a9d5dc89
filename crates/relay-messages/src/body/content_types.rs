//! The types of the blocks and tools in a body.

use std::borrow::Cow;

use super::node::Node;
use super::type_names::{MAX_NAME, MAX_WRITTEN};

/// The limit of content types recorded per request. The API has about thirty. Types beyond the limit are left
/// for the upstream to validate.
const MAX_KINDS: usize = 64;

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
    /// Joins the types of tools and of blocks.
    pub(super) fn new(tools: Types, blocks: Types) -> Self {
        Self(tools.found.into_iter().chain(blocks.found).take(MAX_KINDS).collect())
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
}

/// Collects the distinct types of one list.
#[derive(Debug)]
pub(super) struct Types {
    list: &'static str,
    found: Vec<ContentType>,
}

impl Types {
    pub(super) fn of(list: &'static str) -> Self {
        Self { list, found: Vec::new() }
    }

    /// Adds the type of an item whose member `type` is `kind`, and whose `source` has the type `source`.
    pub(super) fn add(&mut self, kind: Option<Node<'_>>, source: Option<Node<'_>>) {
        let Some(kind) = kind.and_then(name) else { return };
        let source = source.and_then(name);
        let is_known =
            |known: &ContentType| *known.kind == *kind && known.source.as_deref() == source.as_deref();
        if self.found.len() < MAX_KINDS && !self.found.iter().any(is_known) {
            let (kind, source) = (Box::from(&*kind), source.map(|source| Box::from(&*source)));
            self.found.push(ContentType { list: self.list, kind, source });
        }
    }
}

/// Returns the name of a type that `node` is.
fn name(node: Node<'_>) -> Option<Cow<'_, str>> {
    let is_short = node.text().len() <= MAX_WRITTEN;
    node.as_str().filter(|name| is_short && name.len() <= MAX_NAME)
}
