//! The values in a body that a field path leads to.
//!
//! A path is followed in one walk that keeps nothing but the way to the current value: a client may send millions of
//! matching values.

use relay_config::{FieldPath, PathStep, Select};
use smallvec::{SmallVec, smallvec};

use crate::body::{Edits, JsonKind, MessagesBody, Node};
use crate::select::fits;

/// The values from the outermost to the current one.
type Way<'a> = SmallVec<[Node<'a>; 8]>;

/// Passes every value of `body` that `path` leads to to `visit`, with the values around it that the path leads through:
/// the outermost first, the value itself last.
pub(crate) fn each<'a>(body: &'a MessagesBody, path: &FieldPath, visit: &mut impl FnMut(&[Node<'a>])) {
    let Some((first, further)) = path.steps().split_first() else { return };
    match first.name.as_str() {
        FieldPath::BLOCKS => {
            for block in blocks(body, first, further) {
                visit_members(&mut smallvec![block], further, visit);
            }
        }
        name => {
            for member in body.members().filter(|member| member.is_called(name)) {
                visit_selected(&mut smallvec![member], first, further, visit);
            }
        }
    }
}

/// Visits the part of the last value of `way` that `step` selects: the value itself, items of it, or nothing.
fn visit_selected<'a>(
    way: &mut Way<'a>,
    step: &PathStep,
    further: &[PathStep],
    visit: &mut impl FnMut(&[Node<'a>]),
) {
    let Some(&place) = way.last() else { return };
    match selected(step, place) {
        Selected::Place => visit_members(way, further, visit),
        Selected::Items => {
            for item in place.elements().filter(|item| is_selected(step, *item)) {
                way.push(item);
                visit_members(way, further, visit);
                way.pop();
            }
        }
        Selected::Nothing => {}
    }
}

fn visit_members<'a>(way: &mut Way<'a>, steps: &[PathStep], visit: &mut impl FnMut(&[Node<'a>])) {
    let Some((step, further)) = steps.split_first() else { return visit(way) };
    let Some(&place) = way.last() else { return };
    for member in place.members().filter(|member| member.is_called(&step.name)) {
        way.push(member);
        visit_selected(way, step, further, visit);
        way.pop();
    }
}

/// Removes every value of `body` that `path` leads to, and then each member around it that has become empty. Returns
/// `true` if there was one.
pub(crate) fn remove(body: &MessagesBody, path: &FieldPath, edits: &mut Edits) -> bool {
    let Some((first, further)) = path.steps().split_first() else { return false };
    let mut removal = Removal { edits, is_any: false };
    match first.name.as_str() {
        FieldPath::BLOCKS => {
            for block in blocks(body, first, further) {
                removal.at(block, further);
            }
        }
        name => {
            for member in body.members().filter(|member| member.is_called(name)) {
                removal.selected(member, first, further);
            }
        }
    }
    removal.is_any
}

/// The removal of the values at one path.
struct Removal<'e> {
    edits: &'e mut Edits,
    is_any: bool,
}

impl Removal<'_> {
    /// Removes the values that `steps` lead to from `place`. Returns `true` if `place` itself is removed.
    fn at(&mut self, place: Node<'_>, steps: &[PathStep]) -> bool {
        let Some((step, further)) = steps.split_first() else {
            self.edits.remove_at(place);
            self.is_any = true;
            return true;
        };
        let mut has_lost_member = false;
        for member in place.members().filter(|member| member.is_called(&step.name)) {
            has_lost_member |= self.selected(member, step, further);
        }
        has_lost_member && self.remove_if_empty(place)
    }

    /// Removes the values that `further` leads to from the part of `place` that `step` selects. Returns `true` if `place`
    /// itself is removed.
    fn selected(&mut self, place: Node<'_>, step: &PathStep, further: &[PathStep]) -> bool {
        match selected(step, place) {
            Selected::Place => self.at(place, further),
            Selected::Items => {
                let mut has_lost_item = false;
                for item in place.elements().filter(|item| is_selected(step, *item)) {
                    has_lost_item |= self.at(item, further);
                }
                has_lost_item && self.remove_if_empty(place)
            }
            Selected::Nothing => false,
        }
    }

    /// Removes `place` if it is a member and all of its own members or items have been removed.
    fn remove_if_empty(&mut self, place: Node<'_>) -> bool {
        let mut inside = place.members().chain(place.elements());
        let is_empty = place.name().is_some() && inside.all(|child| self.edits.is_removed(child));
        if is_empty {
            self.edits.remove_at(place);
        }
        is_empty
    }
}

/// The blocks of `body` that `step` selects, without some of those that have no member for the first of the `further` steps.
fn blocks<'a, 'p>(
    body: &'a MessagesBody,
    step: &'p PathStep,
    further: &'p [PathStep],
) -> impl Iterator<Item = Node<'a>> + use<'a, 'p> {
    let member = further.first().map(|step| step.name.as_str());
    body.blocks_with(member).filter(|block| is_selected(step, *block))
}

/// The part of a value that a step selects.
enum Selected {
    Place,
    Items,
    Nothing,
}

fn selected(step: &PathStep, place: Node<'_>) -> Selected {
    match (&step.select, place.kind()) {
        (None, _) => Selected::Place,
        (Some(_), JsonKind::Array) => Selected::Items,
        (Some(Select::Where { .. }), JsonKind::Object) if is_selected(step, place) => Selected::Place,
        _ => Selected::Nothing,
    }
}

fn is_selected(step: &PathStep, node: Node<'_>) -> bool {
    step.select.as_ref().is_none_or(|select| fits(select, &step.name, node))
}
