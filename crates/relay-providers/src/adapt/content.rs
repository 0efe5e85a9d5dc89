//! What a request holds that not every upstream takes.

use relay_config::{FieldPath, FieldRule, Pattern, Select, Step};
use relay_messages::{Lack, MessagesBody, Node};

use super::place;
use super::rules::Rules;
use crate::request::RelayRequest;

/// Kinds of content that are noted of one request; the API has about thirty. What else a client makes up is for the
/// upstream to judge.
const MAX_KINDS: usize = 64;
/// A type's name is not longer; what is, is nobody's.
const MAX_NAME: usize = 64;

/// The kinds of content that occur in a request, each once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Contents(Vec<Content>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Content {
    /// `blocks` or `tools`.
    list: &'static str,
    /// The `type` of the block or tool.
    kind: Box<str>,
    /// The `type` of a block's source.
    source: Option<Box<str>>,
}

impl Content {
    fn is_image_by_url(&self) -> bool {
        self.list == "blocks" && &*self.kind == "image" && self.source.as_deref() == Some("url")
    }
}

impl Contents {
    /// Looks at every block of `body`.
    pub(crate) fn of(body: &MessagesBody) -> Self {
        let mut contents = Self::default();
        for tool in body.view("tools").into_iter().flat_map(Node::elements) {
            contents.note("tools", tool);
        }
        place::blocks(body).for_each(|block| contents.note("blocks", block));
        contents
    }

    /// Whether an image is named by its URL.
    pub(crate) fn has_images_by_url(&self) -> bool {
        self.0.iter().any(Content::is_image_by_url)
    }

    fn note(&mut self, list: &'static str, item: Node<'_>) {
        let name = |node: Option<Node<'_>>| {
            let name = node.and_then(Node::as_str).filter(|name| name.len() <= MAX_NAME);
            name.map(|name| Box::from(&*name))
        };
        let Some(kind) = name(item.get("type")) else { return };
        let source = name(item.get("source").and_then(|source| source.get("type")));
        let content = Content { list, kind, source };
        if self.0.len() < MAX_KINDS && !self.0.contains(&content) {
            self.0.push(content);
        }
    }
}

/// The first thing that `rules` refuse of what `request` holds. Images by URL are none where the relay `fetches` them.
pub(super) fn lack(rules: &Rules<'_>, fetches: bool, request: &RelayRequest) -> Option<Lack> {
    let fields = rules.fields();
    let mut refused = fields.iter().filter(|(_, rule)| **rule == FieldRule::Refuse);
    refused.find_map(|(field, _)| found(field, fetches, request))
}

fn found(field: &FieldPath, fetches: bool, request: &RelayRequest) -> Option<Lack> {
    let [first, further @ ..] = field.steps() else { return None };
    let Some(kind) = wanted(first) else {
        return request
            .body()
            .view(&first.name)
            .map(|_| Lack::new(format!("takes no field `{}`", first.name)));
    };
    let source = further.first().and_then(wanted);
    let fits = |content: &&Content| {
        let is_source = |wanted: &Pattern| content.source.as_ref().is_some_and(|source| wanted.fits(source));
        let is_fetched = fetches && source.is_some() && content.is_image_by_url();
        !is_fetched && content.list == first.name && kind.fits(&content.kind) && source.is_none_or(is_source)
    };
    let content = request.contents().0.iter().find(fits)?;
    Some(Lack::new(match (content.list, &*content.kind, source.and(content.source.as_deref())) {
        ("tools", kind, _) => format!("takes no tools of the type `{kind}`"),
        (_, "image", Some("url")) => "takes no images by URL".to_owned(),
        (_, "document", Some("url")) => "takes no documents by URL".to_owned(),
        (_, "document", None) => "takes no documents such as PDFs".to_owned(),
        (_, kind, Some(source)) => format!("takes no `{kind}` blocks with a source of the type `{source}`"),
        (_, kind, None) => format!("takes no `{kind}` blocks"),
    }))
}

fn wanted(step: &Step) -> Option<&Pattern> {
    match &step.select {
        Some(Select::Where { value, .. }) => Some(value),
        _ => None,
    }
}
