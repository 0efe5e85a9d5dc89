//! The values in a body that a field path leads to.

use relay_config::{FieldPath, PathStep, Select};
use smallvec::{SmallVec, smallvec};

use crate::body::{Edits, JsonKind, MessagesBody, Node};
use crate::select::fits;

/// A value in a body that a path leads to, with the values around it that the path leads through.
#[derive(Debug, Clone)]
pub(crate) struct FieldMatch<'a> {
    /// The values from the outermost to the matched one; never empty.
    way: SmallVec<[Node<'a>; 4]>,
}

impl<'a> FieldMatch<'a> {
    pub(super) fn node(&self) -> Node<'a> {
        // `way` is never empty.
        self.way[self.way.len() - 1]
    }

    pub(super) fn parent(&self) -> Option<Node<'a>> {
        self.way.iter().rev().nth(1).copied()
    }

    fn then(&self, node: Node<'a>) -> Self {
        let mut way = self.way.clone();
        way.push(node);
        Self { way }
    }

    /// Removes the value, and then each member around it that has become empty.
    pub(crate) fn remove(&self, edits: &mut Edits) {
        edits.remove_at(self.node());
        for around in self.way.iter().rev().skip(1) {
            let mut inside = around.members().chain(around.elements());
            if around.name().is_none() || !inside.all(|child| edits.is_removed(child)) {
                return;
            }
            edits.remove_at(*around);
        }
    }

    /// Returns `true` if the value, or one around it, has been removed.
    pub(super) fn is_gone(&self, edits: &Edits) -> bool {
        self.way.iter().any(|node| edits.is_removed(*node))
    }
}

/// Returns every value of `body` that `path` leads to.
pub(crate) fn find<'a>(body: &'a MessagesBody, path: &FieldPath) -> Vec<FieldMatch<'a>> {
    let Some((first, further)) = path.steps().split_first() else { return Vec::new() };
    let start = |node| FieldMatch { way: smallvec![node] };
    let mut found: Vec<FieldMatch<'a>> = match first.name.as_str() {
        FieldPath::BLOCKS => body.blocks().filter(|block| is_selected(first, *block)).map(start).collect(),
        name => {
            let members = body.members().filter(|member| member.is_called(name));
            members.flat_map(|member| select(first, start(member))).collect()
        }
    };
    for step in further {
        let next = found.iter().flat_map(|place| {
            let members = place.node().members().filter(|member| member.is_called(&step.name));
            members.flat_map(|member| select(step, place.then(member)))
        });
        found = next.collect();
    }
    found
}

/// Returns the part of the value at `place` that `step` selects: the value itself, items of it, or nothing.
fn select<'a>(step: &PathStep, place: FieldMatch<'a>) -> SmallVec<[FieldMatch<'a>; 1]> {
    let node = place.node();
    match (&step.select, node.kind()) {
        (None, _) => smallvec![place],
        (Some(_), JsonKind::Array) => {
            node.elements().filter(|item| is_selected(step, *item)).map(|item| place.then(item)).collect()
        }
        (Some(Select::Where { .. }), JsonKind::Object) if is_selected(step, node) => smallvec![place],
        _ => SmallVec::new(),
    }
}

fn is_selected(step: &PathStep, node: Node<'_>) -> bool {
    step.select.as_ref().is_none_or(|select| fits(select, &step.name, node))
}
