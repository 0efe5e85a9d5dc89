//! Field paths in refusals: the path of the field that an upstream names, and the members that paths lead to.

use relay_config::{FieldPath, PathStep, Pattern, Select};

use smallvec::SmallVec;

use crate::body::{JsonKind, Node};
use crate::select::{fits, untyped};

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
/// The longest tag of an object, in bytes. No type of the API has a longer one.
const TAG: usize = 64;

/// A member of blocks, of tools and of the top level. A refusal of it applies at every place.
const CACHE_CONTROL: &str = "cache_control";
/// The list whose items have a role instead of a type.
const MESSAGES: &str = "messages";

/// Returns the path of the field that an upstream names in `text` after it has read `body`: with indices, and with the types
/// of objects in between, such as `messages.0.content.1.tool_result.cache_control.ephemeral.scope`. The path leads to the
/// field in every object of the same type, and a member of `cache_control` to that of every block.
///
/// Returns `None` if the body has no such field, if it may not be removed, or if `text` names another type than the
/// object has.
pub(super) fn resolve(text: &str, body: Node<'_>) -> Option<FieldPath> {
    let mut walk = Walk { node: body, item: None, steps: Vec::new() };
    let mut names = text.split('.').peekable();
    while let Some(name) = names.next() {
        walk.enter(name, names.peek().is_none())?;
    }
    let mut steps = walk.with_role()?;
    let PathStep { name, select: None, .. } = steps.last()? else { return None };
    let is_thinking_block = name == "thinking" && steps.len() > 1;
    if PROTECTED.contains(&name.as_str()) || is_thinking_block {
        return None;
    }
    let cache_control = steps.iter().position(|step| step.name == CACHE_CONTROL);
    if let Some(at) = cache_control.filter(|&at| at + 1 < steps.len()) {
        let blocks = PathStep::new(FieldPath::BLOCKS, Some(Select::All));
        steps.splice(..at, [blocks]);
    }
    FieldPath::new(steps)
}

/// The way from the top level of a body to the value that a refusal names.
struct Walk<'a> {
    node: Node<'a>,
    /// The last item of a list on the way.
    item: Option<Node<'a>>,
    steps: Vec<PathStep>,
}

impl Walk<'_> {
    /// Goes on by one name of the path: an index, a member, or the type of the value. Returns `None` if the value has none
    /// of these.
    fn enter(&mut self, name: &str, is_last: bool) -> Option<()> {
        if self.node.kind() == JsonKind::Array {
            return self.enter_item(name);
        }
        if !is_last && self.is_tag(name) {
            return Some(());
        }
        match self.node.get(name) {
            Some(member) if self.steps.len() < LEVELS => {
                self.tag_object()?;
                self.steps.push(PathStep::new(name, None));
                self.node = member;
                Some(())
            }
            // The class that validates the value, such as `ToolParam`. A name in lower case is the type of another object.
            None if !is_last && name.starts_with(|c: char| c.is_ascii_uppercase()) => Some(()),
            _ => None,
        }
    }

    fn enter_item(&mut self, index: &str) -> Option<()> {
        let item = self.node.elements().nth(index.parse().ok()?)?;
        // No field of the API is an array inside an array.
        let list = self.steps.last_mut().filter(|step| step.select.is_none())?;
        list.select = Some(tag(item, "type", untyped(&list.name))?.unwrap_or(Select::All));
        (self.node, self.item) = (item, Some(item));
        Some(())
    }

    /// Returns `true` if `name` is the type of the value, even if the value has a member of the same name.
    fn is_tag(&self, name: &str) -> bool {
        let list = self.steps.last().map(|step| step.name.as_str()).unwrap_or_default();
        match self.node.get(if list == MESSAGES { "role" } else { "type" }) {
            Some(kind) => kind.is(name),
            None => untyped(list) == Some(name),
        }
    }

    /// Adds the type of the value, an object with further members on the way, to its step.
    fn tag_object(&mut self) -> Option<()> {
        if let Some(step) = self.steps.last_mut().filter(|step| step.select.is_none()) {
            step.select = tag(self.node, "type", None)?;
        }
        Some(())
    }

    /// Returns the steps. A member of a message applies to messages of the same role.
    fn with_role(mut self) -> Option<Vec<PathStep>> {
        if let ([messages, _], Some(message)) = (self.steps.as_mut_slice(), self.item)
            && messages.name == MESSAGES
            && messages.select.is_some()
        {
            messages.select = Some(tag(message, "role", None)?.unwrap_or(Select::All));
        }
        Some(self.steps)
    }
}

/// Returns the selector of objects whose member `key` equals that of `node`. If `node` has none, its value is `default`.
/// Returns `None` for a value that no pattern can express.
fn tag(node: Node<'_>, key: &str, default: Option<&str>) -> Option<Option<Select>> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let value = match node.get(key) {
        None => default.map(str::to_owned),
        Some(found) => {
            let found = found.as_str().filter(|text| text.len() <= TAG && text.bytes().all(is_plain))?;
            Some(found.into_owned())
        }
    };
    Some(value.map(|value| Select::Where { key: key.to_owned(), value: Pattern::new(value) }))
}

/// Passes the members of `body` that any of `paths` leads to to `found`, once for each path with its index. An object that
/// would be empty without them is passed itself, without an index.
///
/// Unlike the rules of a capability table, `blocks` means every object here that does not belong to the author of a tool:
/// `cache_control` has the same form in blocks, in tools and at the top level.
pub(super) fn find<'a>(
    body: Node<'a>,
    paths: &[&FieldPath],
    found: &mut impl FnMut(Option<usize>, Node<'a>),
) {
    let (mut here, mut anywhere) = (Vec::new(), Vec::new());
    for (index, path) in paths.iter().enumerate() {
        match path.steps() {
            [blocks, inner @ ..] if blocks.name == FieldPath::BLOCKS => {
                anywhere.push(Rest { index, at: At::Members(inner) });
            }
            steps => here.push(Rest { index, at: At::Members(steps) }),
        }
    }
    descend(body, LEVELS, &here, &anywhere, found);
}

/// Returns the number of values of `body` at each of `paths`, in one walk.
pub(super) fn counts(body: Node<'_>, paths: &[&FieldPath]) -> Vec<usize> {
    let mut counts = vec![0; paths.len()];
    find(body, paths, &mut |index, _| {
        if let Some(index) = index {
            counts[index] += 1;
        }
    });
    counts
}

/// The part of a path that remains at a value, with the index of the path.
#[derive(Clone, Copy)]
struct Rest<'p> {
    index: usize,
    at: At<'p>,
}

#[derive(Clone, Copy)]
enum At<'p> {
    /// The members of the value that have the first step's name.
    Members(&'p [PathStep]),
    /// The items of the value, a list of this name, that are selected, and the steps from there.
    Items(&'p str, &'p Select, &'p [PathStep]),
}

impl Rest<'_> {
    /// The rest of the path at `member`, a member of the value called `name`.
    fn at_member(self, name: &str, member: Node<'_>) -> Option<Self> {
        let At::Members([step, further @ ..]) = self.at else { return None };
        if step.name != name {
            return None;
        }
        let at = match &step.select {
            None => At::Members(further),
            Some(select @ Select::Where { .. }) if member.kind() == JsonKind::Object => {
                fits(select, name, member).then_some(At::Members(further))?
            }
            Some(select) => At::Items(&step.name, select, further),
        };
        Some(Self { at, ..self })
    }

    /// The rest of the path at `item` of the value, a list.
    fn at_item(self, item: Node<'_>) -> Option<Self> {
        match self.at {
            At::Items(name, select, further) if fits(select, name, item) => {
                Some(Self { at: At::Members(further), ..self })
            }
            _ => None,
        }
    }

    /// Returns `true` if the path ends at the value.
    fn is_end(self) -> bool {
        matches!(self.at, At::Members([]))
    }
}

/// Passes the members of `node` that a path leads to to `found`. Returns `true` if nothing is left of an object that had
/// members.
fn descend<'a>(
    node: Node<'a>,
    levels: usize,
    here: &[Rest<'_>],
    anywhere: &[Rest<'_>],
    found: &mut impl FnMut(Option<usize>, Node<'a>),
) -> bool {
    if levels == 0 || (here.is_empty() && anywhere.is_empty()) {
        return false;
    }
    for element in node.elements() {
        let deeper: SmallVec<[Rest<'_>; 4]> = here.iter().filter_map(|rest| rest.at_item(element)).collect();
        descend(element, levels - 1, &deeper, anywhere, found);
    }
    let (mut members, mut gone) = (0, 0);
    for member in node.members() {
        members += 1;
        let name = member.name().unwrap_or_default();
        let deeper = here.iter().chain(anywhere).filter_map(|rest| rest.at_member(&name, member));
        let deeper: SmallVec<[Rest<'_>; 4]> = deeper.collect();
        let mut is_gone = false;
        for rest in deeper.iter().filter(|rest| rest.is_end()) {
            found(Some(rest.index), member);
            is_gone = true;
        }
        if !is_gone
            && !FOREIGN.contains(&&*name)
            && descend(member, levels - 1, &deeper, anywhere, found)
            && !PROTECTED.contains(&&*name)
        {
            found(None, member);
            is_gone = true;
        }
        gone += usize::from(is_gone);
    }
    gone > 0 && gone == members
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
            find(body, &[&place], &mut |_, node| edits.remove_at(node));
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
        check(
            "tools.0.custom.defer_loading",
            Some(("tools[custom].defer_loading", &[r#""defer_loading":true,"#])),
        );
        let scope = Some(("blocks[].cache_control[ephemeral].scope", &[r#","scope":"global""#][..]));
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
    fn a_path_has_the_type_of_each_object_on_the_way() {
        #[track_caller]
        fn check(body: &str, text: &str, expected: Option<&str>) {
            let body = Node::parse(body.as_bytes()).unwrap();
            assert_eq!(resolve(text, body).map(|path| path.to_string()).as_deref(), expected, "{text}");
        }
        let adaptive = r#"{"thinking":{"type":"adaptive","budget_tokens":1}}"#;
        check(adaptive, "thinking.adaptive.budget_tokens", Some("thinking[adaptive].budget_tokens"));
        check(adaptive, "thinking.budget_tokens", Some("thinking[adaptive].budget_tokens"));
        check(adaptive, "thinking.ThinkingAdaptive.budget_tokens", Some("thinking[adaptive].budget_tokens"));
        check(adaptive, "thinking.enabled.budget_tokens", None);
        let tools =
            r#"{"tools":[{"name":"a","x":1},{"type":"custom","x":1},{"type":"web_search_20250305","x":1}]}"#;
        check(tools, "tools.0.custom.x", Some("tools[custom].x"));
        check(tools, "tools.0.x", Some("tools[custom].x"));
        check(tools, "tools.1.x", Some("tools[custom].x"));
        check(tools, "tools.2.web_search_20250305.x", Some("tools[web_search_20250305].x"));
        check(tools, "tools.2.custom.x", None);
        check(tools, "tools.0.web_search_20250305.x", None);
        let messages = r#"{"messages":[{"role":"system","output_config":{"effort":"low"},"content":[
            {"type":"tool_result","cache_control":{},"content":[{"type":"text","x":1}]}]}]}"#;
        check(messages, "messages.0.output_config", Some("messages[system].output_config"));
        check(messages, "messages.0.system.output_config", Some("messages[system].output_config"));
        check(messages, "messages.0.user.output_config", None);
        let effort = "messages[].output_config.effort";
        check(messages, "messages.0.output_config.effort", Some(effort));
        let cache_control = "messages[].content[tool_result].cache_control";
        check(messages, "messages.0.content.0.tool_result.cache_control", Some(cache_control));
        check(messages, "messages.0.content.0.cache_control", Some(cache_control));
        check(messages, "messages.0.content.0.text.cache_control", None);
        let inner = "messages[].content[tool_result].content[text].x";
        check(messages, "messages.0.content.0.tool_result.content.0.text.x", Some(inner));
    }

    #[test]
    fn a_field_is_removed_only_from_objects_of_its_type() {
        #[track_caller]
        fn check(path: &str, body: &str, expected: &str) {
            let place = FieldPath::parse(path).unwrap();
            let text = Bytes::from(body.to_owned());
            let mut edits = Edits::default();
            find(Node::parse(&text).unwrap(), &[&place], &mut |_, node| edits.remove_at(node));
            assert_eq!(edits.apply_to(&text).to_bytes(), expected, "{path}");
        }
        let enabled = r#"{"thinking":{"type":"enabled","budget_tokens":1}}"#;
        check("thinking[adaptive].budget_tokens", enabled, enabled);
        check("thinking[enabled].budget_tokens", enabled, r#"{"thinking":{"type":"enabled"}}"#);
        let tools = r#"{"tools":[{"x":1,"a":1},{"type":"custom","x":1},{"type":"bash","x":1}]}"#;
        check("tools[custom].x", tools, r#"{"tools":[{"a":1},{"type":"custom"},{"type":"bash","x":1}]}"#);
        check("tools[bash].x", tools, r#"{"tools":[{"x":1,"a":1},{"type":"custom","x":1},{"type":"bash"}]}"#);
        let cache = r#"{"system":[{"cache_control":{"type":"ephemeral","scope":1}},{"cache_control":{"type":"x","scope":1}}]}"#;
        let left =
            r#"{"system":[{"cache_control":{"type":"ephemeral"}},{"cache_control":{"type":"x","scope":1}}]}"#;
        check("blocks[].cache_control[ephemeral].scope", cache, left);
    }

    #[test]
    fn a_path_that_cannot_be_expressed_is_not_resolved() {
        let body = Node::parse(br#"{"a":[{"type":"x*","b":1},[{"b":1}],{"b":1},{"type":7,"b":1}]}"#).unwrap();
        assert_eq!(resolve("a.2.b", body).map(|path| path.to_string()).as_deref(), Some("a[].b"));
        assert_eq!(resolve("a.0.b", body), None, "the type would be a pattern that matches other types");
        assert_eq!(resolve("a.1.0.b", body), None, "the value is an array inside an array");
        assert_eq!(resolve("a.3.b", body), None, "the type is not a text");
        assert_eq!(resolve(&"a.".repeat(100_000), body), None);
    }
}
