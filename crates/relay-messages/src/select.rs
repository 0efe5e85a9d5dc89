//! Applies the selector in the brackets of a field path to a value.

use relay_config::Select;

use crate::body::Node;

/// Returns `true` if `select` selects `node`, an item of a list or an object.
pub(crate) fn fits(select: &Select, node: Node<'_>) -> bool {
    match select {
        Select::All => true,
        Select::Where { key, value } => {
            let found = node.get(key).and_then(Node::as_str);
            found.is_some_and(|found| value.fits(&found))
        }
    }
}
