//! Applies the selector in the brackets of a field path to a value.

use relay_config::Select;

use crate::body::Node;

/// The list of tool definitions in a request.
const TOOLS: &str = "tools";
/// The type of a tool that does not state one.
///
/// # Source
/// platform.claude.com/docs, "Messages": `tools[].type` of a client's tool is `custom` or absent.
const UNTYPED_TOOL: &str = "custom";

/// Returns `true` if `select` selects `node`, an item of the list `name` or an object of this name.
pub(crate) fn fits(select: &Select, name: &str, node: Node<'_>) -> bool {
    let Select::Where { key, value } = select else { return true };
    match node.get(key) {
        Some(found) => found.as_str().is_some_and(|found| value.fits(&found)),
        None => key == "type" && untyped(name).is_some_and(|kind| value.fits(kind)),
    }
}

/// Returns the type of an item of the list `name` that does not state its type.
pub(crate) fn untyped(name: &str) -> Option<&'static str> {
    (name == TOOLS).then_some(UNTYPED_TOOL)
}
