//! The parts of a request that an upstream does not support: content, tools of a server, and fields.

use relay_config::{FieldPath, FieldRule, PathStep, Pattern, Select};

use super::rules::Rules;
use crate::body::{MessagesBody, Node};

/// Fields without which a request is another one, or none at all. If an upstream does not support one of them, no text can
/// take its place.
const ESSENTIAL: [&str; 6] = ["max_tokens", "messages", "model", "stream", "system", "tools"];

/// The list of tool definitions.
const TOOLS: &str = "tools";

/// A part of a request that an upstream does not support.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part<'a> {
    /// A top-level field.
    Field(Node<'a>),
    /// The definition of a tool that runs at the server.
    Tool(Node<'a>),
    /// A block of content.
    Block(Node<'a>),
    /// A call of a server tool, or its result, in an earlier turn.
    ServerToolBlock(Node<'a>),
}

/// Returns `true` if a request can be served without the field `name`.
pub(super) fn is_replaceable(name: &str) -> bool {
    !ESSENTIAL.contains(&name)
}

/// The refused content of one model.
pub(super) struct Refused<'r> {
    fields: Vec<&'r str>,
    tools: Vec<&'r Pattern>,
    /// Kinds of blocks, each with a kind of source if only that is refused.
    blocks: Vec<(&'r Pattern, Option<&'r Pattern>)>,
    /// `true` if images by URL are fetched, so that they are not refused.
    fetches_images: bool,
}

impl<'r> Refused<'r> {
    pub(super) fn new(rules: &Rules<'r>, fetches_images: bool) -> Self {
        let mut refused = Self { fields: Vec::new(), tools: Vec::new(), blocks: Vec::new(), fetches_images };
        for (field, _) in rules.fields().into_iter().filter(|(_, rule)| **rule == FieldRule::Refuse) {
            let [first, further @ ..] = field.steps() else { continue };
            match (wanted(first), first.name.as_str()) {
                (None, name) => refused.fields.push(name),
                (Some(kind), TOOLS) => refused.tools.push(kind),
                (Some(kind), FieldPath::BLOCKS) => {
                    refused.blocks.push((kind, further.first().and_then(wanted)));
                }
                _ => {}
            }
        }
        refused
    }

    /// Passes every refused part of `body` to `visit`. A block inside of a refused one is not passed.
    pub(super) fn each<'a>(&self, body: &'a MessagesBody, visit: &mut impl FnMut(Part<'a>)) {
        for member in body.members() {
            let name = member.name().unwrap_or_default();
            if self.fields.contains(&&*name) && is_replaceable(&name) {
                visit(Part::Field(member));
            }
        }
        let list = |name| body.view(name).into_iter().flat_map(Node::elements);
        if !self.tools.is_empty() {
            list(TOOLS).filter(|tool| self.refuses_tool(*tool)).for_each(|tool| visit(Part::Tool(tool)));
        }
        let of_messages = list("messages").flat_map(content);
        for block in list("system").chain(of_messages) {
            match self.part(block) {
                Some(part) => visit(part),
                None => content(block).filter_map(|inner| self.part(inner)).for_each(&mut *visit),
            }
        }
    }

    fn part<'a>(&self, block: Node<'a>) -> Option<Part<'a>> {
        let kind = block.get("type").and_then(Node::as_str)?;
        let source = block.get("source").and_then(|source| source.get("type")).and_then(Node::as_str);
        let is_fetched = self.fetches_images && kind == "image" && source.as_deref() == Some("url");
        let is_refused = |(refused, of_source): &(&Pattern, Option<&Pattern>)| {
            let has_source =
                |wanted: &Pattern| !is_fetched && source.as_ref().is_some_and(|found| wanted.fits(found));
            refused.fits(&kind) && of_source.is_none_or(has_source)
        };
        if self.blocks.iter().any(is_refused) {
            return Some(Part::Block(block));
        }
        let name = block.get("name").and_then(Node::as_str);
        self.refuses_server_tool(&kind, name.as_deref()).then_some(Part::ServerToolBlock(block))
    }

    fn refuses_tool(&self, tool: Node<'_>) -> bool {
        let kind = tool.get("type").and_then(Node::as_str);
        kind.is_some_and(|kind| self.tools.iter().any(|pattern| pattern.fits(&kind)))
    }

    /// Returns `true` for a block of the type `kind`, with this `name`, of a server tool whose definition is refused.
    pub(super) fn refuses_server_tool(&self, kind: &str, name: Option<&str>) -> bool {
        if self.tools.is_empty() {
            return false;
        }
        let family = match kind {
            "server_tool_use" => name,
            "mcp_tool_use" | "mcp_tool_result" => Some("mcp"),
            "tool_result" => None,
            kind => kind.strip_suffix("_tool_result"),
        };
        let definition = match family {
            None => return false,
            Some("mcp") => "mcp_toolset".to_owned(),
            // Tools of code execution have several names.
            Some(family) if family.ends_with("code_execution") => "code_execution_00000000".to_owned(),
            Some(family) => format!("{family}_00000000"),
        };
        self.tools.iter().any(|pattern| pattern.fits(&definition))
    }
}

fn content(node: Node<'_>) -> impl Iterator<Item = Node<'_>> {
    node.get("content").into_iter().flat_map(Node::elements)
}

fn wanted(step: &PathStep) -> Option<&Pattern> {
    match &step.select {
        Some(Select::Where { value, .. }) => Some(value),
        _ => None,
    }
}
