//! Puts a text in the place of each part of a request that an upstream does not support. This is the last resort, so that a
//! conversation can go on: a client sends its whole history again with every turn.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde_json::Value;

use super::unsupported_parts::{Part, Refused};
use crate::body::{Edits, JsonKind, MessagesBody, Node};

/// The maximum number of kinds in a summary. The API has about thirty.
const KINDS: usize = 16;
/// The longest name of a kind in a summary, in bytes.
const NAME: usize = 48;
/// The kinds of blocks that answers cite, each with the types of the citations.
///
/// # Source
/// platform.claude.com/docs, "Citations", "Search results" and "Web search tool".
const CITED: [(&str, &[&str]); 3] = [
    ("web_search_tool_result", &["web_search_result_location"]),
    ("search_result", &["search_result_location"]),
    ("document", &["char_location", "page_location", "content_block_location"]),
];
/// The maximum depth at which texts are collected from a block.
const DEPTH: usize = 6;

/// The parts of a request in whose place a text was put: each kind with its number, such as `document (2), image (1)`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replaced(Vec<(String, usize)>);

impl Replaced {
    /// Returns `true` if nothing was replaced.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Summarises the parts of `body` that are refused.
    pub(super) fn of(refused: &Refused, body: &MessagesBody) -> Self {
        let mut replaced = Self::default();
        refused.each(body, &mut |part| replaced.add(part));
        replaced
    }

    fn add(&mut self, part: Part<'_>) {
        let kind = |node: Node<'_>| node.get("type").and_then(Node::as_str).unwrap_or_default().into_owned();
        let name = match part {
            Part::Field(field) => field.name().unwrap_or_default().into_owned(),
            Part::Tool(tool) => format!("tool {}", kind(tool)),
            Part::Block(block) | Part::ServerToolBlock(block) => kind(block),
        };
        // The names go into a header.
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b' ');
        let is_short = name.len() <= NAME && name.bytes().all(is_plain);
        let name = if is_short { name } else { "other".to_owned() };
        if let Some((_, count)) = self.0.iter_mut().find(|(known, _)| *known == name) {
            *count += 1;
        } else if self.0.len() < KINDS {
            self.0.push((name, 1));
        }
    }
}

impl fmt::Display for Replaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, count)) in self.0.iter().enumerate() {
            let separator = if index > 0 { ", " } else { "" };
            write!(f, "{separator}{name} ({count})")?;
        }
        Ok(())
    }
}

/// Replaces the parts of `body` that are refused: blocks by texts, while definitions of tools and fields are removed.
/// Citations of replaced blocks are removed.
pub(super) fn replace(refused: &Refused, body: &MessagesBody, edits: &mut Edits) {
    let mut removes_tool = false;
    let mut cited = [false; CITED.len()];
    refused.each(body, &mut |part| match part {
        Part::Field(field) => edits.remove_at(field),
        Part::Tool(tool) => {
            edits.remove_at(tool);
            removes_tool = true;
        }
        Part::Block(block) => {
            mark_cited(block, &mut cited);
            put_text(block, &block_text(block), edits, body);
        }
        Part::ServerToolBlock(block) => {
            mark_cited(block, &mut cited);
            put_text(block, &server_tool_text(block), edits, body);
        }
    });
    if removes_tool {
        remove_choice(body, edits);
    }
    let types = CITED.iter().zip(cited).filter(|(_, is_replaced)| *is_replaced);
    let types: Vec<&str> = types.flat_map(|((_, types), _)| *types).copied().collect();
    if !types.is_empty() {
        remove_citations(&types, body, edits);
    }
}

/// Marks the entry of [`CITED`] for the kind of `block`.
fn mark_cited(block: Node<'_>, cited: &mut [bool; CITED.len()]) {
    let kind = block.get("type").and_then(Node::as_str).unwrap_or_default();
    for ((known, _), is_replaced) in CITED.iter().zip(cited) {
        *is_replaced |= kind == *known;
    }
}

/// Removes the citations of these `types` from the texts of earlier turns. Upstreams refuse a citation whose source is
/// missing.
fn remove_citations(types: &[&str], body: &MessagesBody, edits: &mut Edits) {
    let is_gone = |citation: &Node<'_>| {
        citation.get("type").and_then(Node::as_str).is_some_and(|kind| types.contains(&&*kind))
    };
    for citations in body.blocks_with(Some("citations")).filter_map(|block| block.get("citations")) {
        let (gone, left): (Vec<_>, Vec<_>) = citations.elements().partition(is_gone);
        match left.is_empty() {
            true if !gone.is_empty() => edits.remove_at(citations),
            _ => gone.into_iter().for_each(|citation| edits.remove_at(citation)),
        }
    }
}

/// Removes `tool_choice` if it requires a removed tool, and with `tools` if no tool is left.
fn remove_choice(body: &MessagesBody, edits: &mut Edits) {
    let Some(tools) = body.view("tools") else { return };
    let choice = body.view("tool_choice").and_then(|choice| choice.get("name")).and_then(Node::as_str);
    let mut left = tools.elements().filter(|tool| !edits.is_removed(*tool)).peekable();
    let is_any_left = left.peek().is_some();
    let is_chosen = |name: &str| left.any(|tool| tool.get("name").is_some_and(|found| found.is(name)));
    let keeps_choice = is_any_left && choice.as_deref().is_none_or(is_chosen);
    if !keeps_choice {
        edits.remove(body, "tool_choice");
    }
    if !is_any_left {
        edits.remove(body, "tools");
    }
}

/// Replaces `block` by a text block with the same `cache_control`.
fn put_text(block: Node<'_>, text: &str, edits: &mut Edits, body: &MessagesBody) {
    let mut json = format!(r#"{{"type":"text","text":{}"#, Value::from(text)).into_bytes();
    if let Some(cache_control) = block.get("cache_control").filter(|member| !edits.is_removed(*member)) {
        json.extend_from_slice(b",\"cache_control\":");
        json.extend_from_slice(&edits.render(body, cache_control));
    }
    json.push(b'}');
    edits.replace_at(block, Bytes::from(json));
}

/// Returns the text for a refused block. Text in the block is kept; of anything else the text names the kind.
fn block_text(block: Node<'_>) -> String {
    let kind = string(block, "type");
    let source = block.get("source");
    let place = source.filter(|source| source.kind() == JsonKind::Object);
    let media_type = place.map(|source| string(source, "media_type")).unwrap_or_default();
    let mut inside = String::new();
    match (&*kind, place.map(|source| string(source, "type")).as_deref()) {
        ("document", Some("text" | "content")) | ("search_result", _) => collect(block, DEPTH, &mut inside),
        _ => {}
    }
    if !inside.is_empty() {
        return inside;
    }
    let is_pdf = media_type == "application/pdf" || media_type.is_empty();
    let thing: Cow<'_, str> = match &*kind {
        "document" if is_pdf => "a PDF".into(),
        "document" => "a document".into(),
        "image" => "an image".into(),
        "container_upload" => "an uploaded file".into(),
        kind => format!("a block of the type {kind}").into(),
    };
    let url = place.map(|source| string(source, "url")).filter(|url| !url.is_empty());
    let url = url.map(|url| format!(" ({url})")).unwrap_or_default();
    format!("[{thing} that this model cannot read]{url}")
}

/// Returns the text for a call of a server tool, or for its result.
fn server_tool_text(block: Node<'_>) -> String {
    let kind = string(block, "type");
    if kind.ends_with("_use") {
        let input = block.get("input").map(Node::text).unwrap_or_default();
        return format!("[a call of {}: {}]", string(block, "name"), String::from_utf8_lossy(input));
    }
    let mut text = format!("[{}]", kind.replace('_', " "));
    if let Some(content) = block.get("content") {
        text.push('\n');
        collect(content, DEPTH, &mut text);
    }
    text
}

/// Appends the readable texts inside of `node` to `text`, a line each: titles, addresses, texts and outputs.
fn collect(node: Node<'_>, depth: usize, text: &mut String) {
    if depth == 0 {
        return;
    }
    let mut line = |found: &str| {
        if !found.is_empty() {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str(found);
        }
    };
    if let Some(found) = node.as_str().filter(|_| node.name().is_none_or(|name| name == "content")) {
        return line(&found);
    }
    for member in node.members() {
        let name = member.name().unwrap_or_default();
        match (&*name, member.as_str()) {
            ("title" | "url" | "text" | "stdout" | "stderr" | "error_code", Some(found)) => line(&found),
            // The source of a text, or the address of a search result.
            ("data", Some(found)) if node.get("type").is_some_and(|kind| kind.is("text")) => line(&found),
            ("source", Some(found)) => line(&found),
            _ => {}
        }
    }
    for member in node.members().chain(node.elements()) {
        let is_container = matches!(member.kind(), JsonKind::Object | JsonKind::Array);
        let is_content = member.as_str().is_some() && member.name().is_some_and(|name| name == "content");
        if is_container && !member.name().is_some_and(|name| name == "citations" || name == "cache_control")
            || is_content
        {
            collect(member, depth - 1, text);
        }
    }
}

fn string(node: Node<'_>, name: &str) -> String {
    node.get(name).and_then(Node::as_str).map(Cow::into_owned).unwrap_or_default()
}
