//! The parts of a request that an upstream does not support: content, tools of a server, and fields.

use relay_config::{FieldPath, PathStep, Pattern, Select};

use crate::body::{MessagesBody, Node, TypePattern};

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

/// A rule that refuses a part of requests.
#[derive(Debug)]
pub(super) enum RefusedPart {
    /// The top-level field of this name.
    Field(String),
    /// The items of `list`, which is `blocks` or `tools`, of these types.
    Content {
        list: String,
        kind: TypePattern,
        /// The types of the source, if only these are refused.
        source: Option<TypePattern>,
    },
}

impl RefusedPart {
    /// Reads the path of a rule that refuses what it leads to.
    fn of(path: &FieldPath) -> Option<Self> {
        let [first, further @ ..] = path.steps() else { return None };
        let Some(kind) = wanted(first) else { return Some(Self::Field(first.name.clone())) };
        let source = further.first().and_then(wanted).map(TypePattern::new);
        Some(Self::Content { list: first.name.clone(), kind: TypePattern::new(kind), source })
    }
}

/// The refused content of one model.
#[derive(Debug)]
pub(super) struct Refused {
    parts: Vec<RefusedPart>,
    has_tools: bool,
    /// `true` if images by URL are fetched, so that they are not refused.
    fetches_images: bool,
}

impl Refused {
    /// Takes the `paths` of the rules that refuse what they lead to.
    pub(super) fn new<'a>(paths: impl Iterator<Item = &'a FieldPath>, fetches_images: bool) -> Self {
        let parts: Vec<_> = paths.filter_map(RefusedPart::of).collect();
        let is_tools =
            |part: &RefusedPart| matches!(part, RefusedPart::Content { list, .. } if list == TOOLS);
        Self { has_tools: parts.iter().any(is_tools), parts, fetches_images }
    }

    /// The rules, in the order in which they are checked.
    pub(super) fn parts(&self) -> &[RefusedPart] {
        &self.parts
    }

    /// Returns `true` if some tools are refused.
    pub(super) fn has_tools(&self) -> bool {
        self.has_tools
    }

    /// Returns `true` if images by URL are fetched, so that they are not refused.
    pub(super) fn fetches_images(&self) -> bool {
        self.fetches_images
    }

    /// The patterns of the refused types in `list`, each with those of the source if only these are refused.
    fn of_list(&self, list: &str) -> impl Iterator<Item = (&Pattern, Option<&Pattern>)> {
        self.parts.iter().filter_map(move |part| match part {
            RefusedPart::Content { list: of, kind, source } if of == list => {
                Some((kind.pattern(), source.as_ref().map(TypePattern::pattern)))
            }
            _ => None,
        })
    }

    fn refuses_field(&self, name: &str) -> bool {
        self.parts.iter().any(|part| matches!(part, RefusedPart::Field(field) if field == name))
    }

    /// Passes every refused part of `body` to `visit`. A block inside of a refused one is not passed.
    pub(super) fn each<'a>(&self, body: &'a MessagesBody, visit: &mut impl FnMut(Part<'a>)) {
        for member in body.members() {
            let name = member.name().unwrap_or_default();
            if self.refuses_field(&name) && is_replaceable(&name) {
                visit(Part::Field(member));
            }
        }
        let list = |name| body.view(name).into_iter().flat_map(Node::elements);
        if self.has_tools {
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
        let is_refused = |(refused, of_source): (&Pattern, Option<&Pattern>)| {
            let has_source =
                |wanted: &Pattern| !is_fetched && source.as_ref().is_some_and(|found| wanted.fits(found));
            refused.fits(&kind) && of_source.is_none_or(has_source)
        };
        if self.of_list(FieldPath::BLOCKS).any(is_refused) {
            return Some(Part::Block(block));
        }
        let name = block.get("name").and_then(Node::as_str);
        self.refuses_server_tool(&kind, name.as_deref()).then_some(Part::ServerToolBlock(block))
    }

    fn refuses_tool(&self, tool: Node<'_>) -> bool {
        let kind = tool.get("type").and_then(Node::as_str);
        kind.is_some_and(|kind| self.of_list(TOOLS).any(|(pattern, _)| pattern.fits(&kind)))
    }

    /// Returns `true` for a block of the type `kind`, with this `name`, of a server tool whose definition is refused.
    pub(super) fn refuses_server_tool(&self, kind: &str, name: Option<&str>) -> bool {
        if !self.has_tools {
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
        self.of_list(TOOLS).any(|(pattern, _)| pattern.fits(&definition))
    }

    /// Returns `false` if blocks of the type `kind` are no results of a server tool whose definition is refused.
    pub(super) fn may_refuse_server_tool(&self, kind: &[u8]) -> bool {
        let may_be_result = kind.ends_with(b"_tool_result") || kind.starts_with(b"mcp_tool_");
        let is_refused = |kind: &str| self.refuses_server_tool(kind, None);
        may_be_result && std::str::from_utf8(kind).is_ok_and(is_refused)
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
