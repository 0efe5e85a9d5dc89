//! Field paths in refusals: the path of the field that an upstream names, and the members that paths lead to.

use relay_config::{FieldPath, PathStep, Pattern, Select};

use crate::body::{JsonKind, Node};
use crate::select::fits;

/// Fields that are never removed because of a refusal, at any depth: the question, its parameters and earlier
/// answers. Without them, the upstream would answer another request than the client's.
const PROTECTED: [&str; 32] = [
    "citations",
    "content",
    "context",
    "data",
    "description",
    "encrypted_content",
    "file_id",
    "format",
    "id",
    "input",
    "input_schema",
    "is_error",
    "max_tokens",
    "media_type",
    "messages",
    "model",
    "name",
    "output_format",
    "parameters",
    "role",
    "signature",
    "source",
    "stop_sequences",
    "stream",
    "system",
    "text",
    "title",
    "tool_choice",
    "tool_use_id",
    "tools",
    "type",
    "url",
];

/// Fields whose content is defined by the author of a tool, so that no name in it is a field of the API.
const FOREIGN: [&str; 2] = ["input", "input_schema"];

/// The maximum depth of a path. `messages[].content[].content[].cache_control.ttl`, a deep field of the API,
/// has eight levels.
const LEVELS: usize = 16;

/// A member of blocks, of tools and of the top level. A refusal of it applies at every place.
const CACHE_CONTROL: &str = "cache_control";

/// Returns the path of the field that an upstream names in `text` after it has read `body`: with indices, and with the types
/// of blocks in between, such as `messages.0.content.1.tool_result.cache_control.ephemeral.scope`. The path leads to the
/// field in every item of the lists, and `cache_control` to that of every block.
///
/// Returns `None` if the body has no such field, or if it may not be removed.
pub(super) fn resolve(text: &str, body: Node<'_>) -> Option<FieldPath> {
    let mut node = body;
    let mut steps: Vec<PathStep> = Vec::new();
    let mut rest = text.split('.').peekable();
    while let Some(name) = rest.next() {
        if node.kind() == JsonKind::Array {
            let index: usize = name.parse().ok()?;
            node = node.elements().nth(index)?;
            // No field of the API is an array inside an array.
            let list = steps.last_mut().filter(|step| step.select.is_none())?;
            list.select = Some(Select::All);
        } else if rest.peek().is_some() && is_of_type(node, name) {
            // The name is the type of this value, even if the value has a member of the same name.
            if let Some(PathStep { select: Some(select), .. }) = steps.last_mut() {
                *select = of_type(name)?;
            }
        } else if let Some(member) = node.get(name) {
            steps.push(PathStep { name: name.to_owned(), select: None });
            node = member;
        } else if rest.peek().is_none() {
            return None;
        }
    }
    let PathStep { name, select: None } = steps.last()? else { return None };
    let is_thinking_block = name == "thinking" && steps.len() > 1;
    if PROTECTED.contains(&name.as_str()) || is_thinking_block {
        return None;
    }
    let cache_control = steps.iter().position(|step| step.name == CACHE_CONTROL);
    if let Some(at) = cache_control.filter(|&at| at + 1 < steps.len()) {
        let blocks = PathStep { name: FieldPath::BLOCKS.to_owned(), select: Some(Select::All) };
        steps.splice(..at, [blocks]);
    }
    FieldPath::new(steps)
}

/// Selects the items of the type `name`. Returns `None` for a name that is not literal in a pattern.
fn of_type(name: &str) -> Option<Select> {
    let value = Pattern::new(name);
    (!name.contains(['*', '|'])).then(|| Select::Where { key: "type".to_owned(), value })
}

/// Returns the members of `body` that any of `paths` leads to. An object that would be empty without them is returned itself.
///
/// Unlike the rules of a capability table, `blocks` means every object here that does not belong to the author of a tool:
/// `cache_control` has the same form in blocks, in tools and at the top level.
pub(super) fn find<'a>(body: Node<'a>, paths: &[&FieldPath]) -> Vec<Node<'a>> {
    let (mut here, mut anywhere) = (Vec::new(), Vec::new());
    for path in paths {
        match path.steps() {
            [blocks, inner @ ..] if blocks.name == FieldPath::BLOCKS => anywhere.push(Rest::Members(inner)),
            steps => here.push(Rest::Members(steps)),
        }
    }
    let mut found = Vec::new();
    descend(body, LEVELS, &here, &anywhere, &mut found);
    found
}

/// The part of a path that remains at a value.
#[derive(Clone, Copy)]
enum Rest<'p> {
    /// The members of the value that have the first step's name.
    Members(&'p [PathStep]),
    /// The items of the value that are selected, and the steps from there.
    Items(&'p Select, &'p [PathStep]),
}

impl<'p> Rest<'p> {
    /// The rest of the path at the member `name` of the value.
    fn at_member(self, name: &str) -> Option<Self> {
        let Self::Members([step, further @ ..]) = self else { return None };
        let rest = match &step.select {
            None => Self::Members(further),
            Some(select) => Self::Items(select, further),
        };
        (step.name == name).then_some(rest)
    }

    /// The rest of the path at `item` of the value, a list.
    fn at_item(self, item: Node<'_>) -> Option<Self> {
        match self {
            Self::Items(select, further) if fits(select, item) => Some(Self::Members(further)),
            _ => None,
        }
    }

    /// Returns `true` if the path ends at the value.
    fn is_end(self) -> bool {
        matches!(self, Self::Members([]))
    }
}

/// Adds the members of `node` that a path leads to to `found`. Returns `true` if nothing is left of an object that had
/// members.
fn descend<'a>(
    node: Node<'a>,
    levels: usize,
    here: &[Rest<'_>],
    anywhere: &[Rest<'_>],
    found: &mut Vec<Node<'a>>,
) -> bool {
    if levels == 0 || (here.is_empty() && anywhere.is_empty()) {
        return false;
    }
    for element in node.elements() {
        let deeper: Vec<Rest<'_>> = here.iter().filter_map(|rest| rest.at_item(element)).collect();
        descend(element, levels - 1, &deeper, anywhere, found);
    }
    let (mut members, mut gone) = (0, 0);
    for member in node.members() {
        members += 1;
        let name = member.name().unwrap_or_default();
        let deeper = here.iter().chain(anywhere).filter_map(|rest| rest.at_member(&name));
        let deeper: Vec<Rest<'_>> = deeper.collect();
        let is_gone = deeper.iter().any(|rest| rest.is_end())
            || (!FOREIGN.contains(&&*name)
                && descend(member, levels - 1, &deeper, anywhere, found)
                && !PROTECTED.contains(&&*name));
        if is_gone {
            gone += 1;
            found.push(member);
        }
    }
    gone > 0 && gone == members
}

fn is_of_type(node: Node<'_>, kind: &str) -> bool {
    node.get("type").is_some_and(|found| found.is(kind))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use relay_config::CapabilityTable;

    use super::*;
    use crate::body::Edits;

    const BODY: &str = r#"{"model":"m","context_management":{"edits":[]},"output_config":{"effort":"low"},"thinking":{"type":"adaptive"},"tools":[{"name":"a","defer_loading":true,"input_schema":{"cache_control":{"scope":1}}},{"name":"b"}],"system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral","scope":"global"}}],"messages":[{"role":"user","content":[{"type":"text","text":"t"},{"type":"text","text":"u","cache_control":{"type":"ephemeral","scope":"global"}}]},{"role":"assistant","content":[{"type":"thinking","thinking":"x","cache_control":{}},{"type":"text","text":"y","cache_control":{"type":"ephemeral"}}]}]}"#;

    #[test]
    fn a_refused_field_is_removed_at_every_place() {
        #[track_caller]
        fn check(path: &str, expected: Option<(&str, &[&str])>) {
            let body = Node::parse(BODY.as_bytes()).unwrap();
            let place = resolve(path, body);
            let Some((name, gone)) = expected else {
                assert_eq!(place, None, "{path}");
                return;
            };
            let place = place.unwrap_or_else(|| panic!("{path} is found"));
            assert_eq!(place.to_string(), name);
            assert_eq!(FieldPath::parse(name).as_ref(), Ok(&place));
            let table = format!("[a.\"*\".fields]\n\"{name}\" = \"drop\"");
            assert!(CapabilityTable::parse("t", &table).is_ok(), "{name} can be configured");
            let mut edits = Edits::default();
            find(body, &[&place]).into_iter().for_each(|node| edits.remove_at(node));
            let left = edits.apply_to(&Bytes::from_static(BODY.as_bytes())).to_bytes();
            let expected = gone.iter().fold(BODY.to_owned(), |text, gone| {
                assert!(text.contains(gone), "{gone}");
                text.replace(gone, "")
            });
            assert_eq!(left, expected);
        }
        check("context_management", Some(("context_management", &[r#""context_management":{"edits":[]},"#])));
        check(
            "output_config.effort",
            Some(("output_config.effort", &[r#""output_config":{"effort":"low"},"#])),
        );
        check("tools.0.custom.defer_loading", Some(("tools[].defer_loading", &[r#""defer_loading":true,"#])));
        let scope = Some(("blocks[].cache_control.scope", &[r#","scope":"global""#][..]));
        check("messages.0.content.1.cache_control.ephemeral.scope", scope);
        check("system.0.cache_control.ephemeral.scope", scope);
        check(
            "messages.1.content.0.thinking.cache_control",
            Some(("messages[].content[thinking].cache_control", &[r#","cache_control":{}"#])),
        );
        check("thinking", Some(("thinking", &[r#""thinking":{"type":"adaptive"},"#])));
        for kept in [
            "messages",
            "model",
            "tools",
            "system",
            "tools.0",
            "messages.0.content.0",
            "messages.0.content.0.text",
            "messages.0.role",
            "messages.1.content.0.thinking",
            "tools.0.input_schema",
            "nowhere",
            "tools.7.x",
            "tools.0.custom.nowhere",
            "",
            ".",
            "messages.x.role",
            "system.0.type",
        ] {
            check(kept, None);
        }
    }

    #[test]
    fn a_path_that_cannot_be_expressed_is_not_resolved() {
        let body = Node::parse(br#"{"a":[{"type":"x*","b":1},[{"b":1}]]}"#).unwrap();
        assert_eq!(resolve("a.0.b", body).map(|path| path.to_string()).as_deref(), Some("a[].b"));
        assert_eq!(resolve("a.0.x*.b", body), None, "the type would be a pattern that matches other types");
        assert_eq!(resolve("a.1.0.b", body), None, "the value is an array inside an array");
    }
}
