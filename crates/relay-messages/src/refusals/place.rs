//! Places in a body: one that an upstream names, and all those of its kind.

use std::fmt;

use crate::body::{JsonKind, Node};

/// What no refusal takes out of a request, wherever it stands: what is asked, how, and what was answered. Without it,
/// another request would be answered than the client's.
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

/// How a place is written that is in every block, as in `providers[].capabilities`: what has been learnt can be put there.
const ANYWHERE: &str = "blocks[].";

/// What belongs to a tool's author, so that no name in it means a field of the API.
const FOREIGN: [&str; 2] = ["input", "input_schema"];

/// Fields of the API stand no deeper: `messages[].content[].content[].cache_control.ttl` takes eight levels.
const LEVELS: usize = 16;

/// Stands at blocks, tools and the top level alike: what is refused of it in one place is refused in all.
const CACHE_CONTROL: &str = "cache_control";

/// A field, in every message, block or tool that may have it: `messages[].content[thinking].cache_control`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// The steps begin at any block, not at the body.
    anywhere: bool,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Step {
    /// The member with this name.
    Member(String),
    /// Every element, or every one of this type.
    Each(Option<String>),
}

impl Place {
    /// The field at `path`, as an upstream that has read `body` writes it: with indices, and with the types of blocks in
    /// between, `messages.0.content.1.tool_result.cache_control.ephemeral.scope`. `None` where nothing stands there, or
    /// what does may not be taken out.
    pub(super) fn resolve(path: &str, body: Node<'_>) -> Option<Self> {
        let mut node = body;
        let mut steps = Vec::new();
        let mut rest = path.split('.').peekable();
        while let Some(step) = rest.next() {
            if node.kind() == JsonKind::Array {
                let index: usize = step.parse().ok()?;
                node = node.elements().nth(index)?;
                steps.push(Step::Each(None));
            } else if rest.peek().is_some() && is_of_type(node, step) {
                // Not a member, though a block may have one of this name, but the type of what stands here.
                if let Some(Step::Each(kind)) = steps.last_mut() {
                    *kind = Some(step.to_owned());
                }
            } else if let Some(member) = node.get(step) {
                steps.push(Step::Member(step.to_owned()));
                node = member;
            } else if rest.peek().is_none() {
                return None;
            }
        }
        let Some(Step::Member(name)) = steps.last() else { return None };
        let is_thinking_block = name == "thinking" && steps.len() > 1;
        if PROTECTED.contains(&name.as_str()) || is_thinking_block {
            return None;
        }
        let is_cache_control = |step: &Step| matches!(step, Step::Member(name) if name == CACHE_CONTROL);
        let cache_control = steps.iter().position(is_cache_control).filter(|&at| at + 1 < steps.len());
        Some(match cache_control {
            Some(at) => Self { anywhere: true, steps: steps.split_off(at) },
            None => Self { anywhere: false, steps },
        })
    }

    /// A place as [`Display`](fmt::Display) writes it.
    pub(super) fn known(text: &str) -> Self {
        let (anywhere, text) = text.strip_prefix(ANYWHERE).map_or((false, text), |text| (true, text));
        let mut steps = Vec::new();
        for step in text.split('.') {
            let (name, each) = step.split_once('[').map_or((step, None), |(name, kind)| (name, Some(kind)));
            steps.push(Step::Member(name.to_owned()));
            let kind = each.map(|kind| kind.trim_end_matches(']')).map(str::to_owned);
            steps.extend(kind.map(|kind| Step::Each(Some(kind).filter(|kind| !kind.is_empty()))));
        }
        Self { anywhere, steps }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.anywhere {
            f.write_str(ANYWHERE)?;
        }
        for (index, step) in self.steps.iter().enumerate() {
            match step {
                Step::Member(name) if index == 0 => f.write_str(name)?,
                Step::Member(name) => write!(f, ".{name}")?,
                Step::Each(kind) => write!(f, "[{}]", kind.as_deref().unwrap_or_default())?,
            }
        }
        Ok(())
    }
}

/// The parts of `body` that stand at any of `places`; an object that would be empty without them goes as a whole.
pub(super) fn find<'a>(body: Node<'a>, places: &[&Place]) -> Vec<Node<'a>> {
    let steps = |anywhere| {
        let places = places.iter().filter(move |place| place.anywhere == anywhere);
        places.map(|place| place.steps.as_slice()).collect::<Vec<_>>()
    };
    let mut found = Vec::new();
    descend(body, LEVELS, &steps(false), &steps(true), &mut found);
    found
}

/// True if nothing is left of an object that had something.
fn descend<'a>(
    node: Node<'a>,
    levels: usize,
    here: &[&[Step]],
    anywhere: &[&[Step]],
    found: &mut Vec<Node<'a>>,
) -> bool {
    if levels == 0 || (here.is_empty() && anywhere.is_empty()) {
        return false;
    }
    for element in node.elements() {
        let deeper = here.iter().filter_map(|steps| match steps.split_first()? {
            (Step::Each(kind), rest) if kind.as_ref().is_none_or(|kind| is_of_type(element, kind)) => {
                Some(rest)
            }
            _ => None,
        });
        descend(element, levels - 1, &deeper.collect::<Vec<_>>(), anywhere, found);
    }
    let (mut members, mut gone) = (0, 0);
    for member in node.members() {
        members += 1;
        let name = member.name().unwrap_or_default();
        let deeper = here.iter().chain(anywhere).filter_map(|steps| match steps.split_first()? {
            (Step::Member(step), rest) if *step == name => Some(rest),
            _ => None,
        });
        let deeper: Vec<&[Step]> = deeper.collect();
        let is_gone = deeper.iter().any(|rest| rest.is_empty())
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
    fn a_field_that_an_upstream_names_leaves_wherever_it_stands() {
        #[track_caller]
        fn check(path: &str, expected: Option<(&str, &[&str])>) {
            let body = Node::parse(BODY.as_bytes()).unwrap();
            let place = Place::resolve(path, body);
            let Some((name, gone)) = expected else {
                assert_eq!(place, None, "{path}");
                return;
            };
            let place = place.unwrap_or_else(|| panic!("{path} is found"));
            assert_eq!(place.to_string(), name);
            assert_eq!(Place::known(name), place);
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
}
