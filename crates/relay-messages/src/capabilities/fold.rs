//! Folds messages with a role that an upstream does not accept into an adjacent turn of the user.

use bytes::Bytes;
use relay_config::{FieldPath, PathStep, Select};

use crate::body::{Edits, JsonKind, MessagesBody, Node};
use crate::select::fits;

const USER: &str = "user";
const USER_JSON: &[u8] = b"\"user\"";

/// Folds each message that `path` selects into an adjacent turn of the user. If the turn before it is the user's, the
/// blocks are appended to that turn. Otherwise, if the turn after it is the user's, they are inserted there:
/// at the start, or at the end if the turn starts with a tool result, which must stay first. A message
/// without such a neighbour gets the role of the user.
///
/// No text is lost and no turn is split: the turns alternate as before.
pub(super) fn fold(body: &MessagesBody, path: &FieldPath, edits: &mut Edits) {
    let [PathStep { name, select: Some(select), .. }] = path.steps() else { return };
    // The messages are only walked if the body may have such a role.
    if !may_fit(select, body) {
        return;
    }
    let is_folded = |message: Node<'_>| fits(select, name, message);
    let messages = || body.view(name).into_iter().flat_map(Node::elements);
    if !messages().any(is_folded) {
        return;
    }
    let mut folding = Folding { body, edits, turn: None, waiting: Vec::new() };
    for message in messages() {
        match is_folded(message) {
            true => folding.fold(message),
            false => folding.pass(message),
        }
    }
    folding.end();
}

/// Returns `false` if no message in `body` has a role that `select` selects, as the names of its roles show.
fn may_fit(select: &Select, body: &MessagesBody) -> bool {
    match select {
        Select::Where { key, value } if key == "role" => {
            body.types().may_be(|role| std::str::from_utf8(role).is_ok_and(|role| value.fits(role)))
        }
        _ => true,
    }
}

/// The state of one pass over the messages.
struct Folding<'a, 'e> {
    body: &'a MessagesBody,
    edits: &'e mut Edits,
    /// The last turn that was passed, if it is the user's.
    turn: Option<Turn<'a>>,
    /// The messages that wait for the next turn, since the turn before them is not the user's.
    waiting: Vec<Node<'a>>,
}

impl<'a> Folding<'a, '_> {
    fn fold(&mut self, message: Node<'a>) {
        match &mut self.turn {
            Some(turn) => {
                turn.after.append(blocks(message, self.body, self.edits));
                self.edits.remove_at(message);
            }
            None => self.waiting.push(message),
        }
    }

    /// Passes a message that stays, and gives it the messages that wait for it.
    fn pass(&mut self, message: Node<'a>) {
        self.write_turn();
        let Some(content) = users_content(message) else { return self.stay() };
        let mut turn = Turn { content, before: Blocks::default(), after: Blocks::default() };
        let starts_with_result = starts_with_result(content);
        for message in self.waiting.drain(..) {
            let into = if starts_with_result { &mut turn.after } else { &mut turn.before };
            into.append(blocks(message, self.body, self.edits));
            self.edits.remove_at(message);
        }
        self.turn = Some(turn);
    }

    fn end(mut self) {
        self.write_turn();
        self.stay();
    }

    fn write_turn(&mut self) {
        if let Some(turn) = self.turn.take() {
            turn.write(self.body, self.edits);
        }
    }

    /// Gives the role of the user to the messages that have no turn to join.
    fn stay(&mut self) {
        for message in self.waiting.drain(..) {
            let roles = message.members().filter(|member| member.is_called("role"));
            roles.for_each(|role| self.edits.replace_at(role, Bytes::from_static(USER_JSON)));
        }
    }
}

/// Returns the content of a turn of the user, if blocks can be added to it.
fn users_content(message: Node<'_>) -> Option<Node<'_>> {
    let is_users = message.get("role").is_some_and(|role| role.is(USER));
    let content = message.get("content").filter(|_| is_users);
    content.filter(|content| matches!(content.kind(), JsonKind::Array | JsonKind::String))
}

/// Returns the content of `message` as the items of a JSON array, without the brackets.
fn blocks(message: Node<'_>, body: &MessagesBody, edits: &Edits) -> Option<Bytes> {
    let content = message.get("content")?;
    match content.kind() {
        // A text block with an empty text would be refused.
        JsonKind::String if content.is("") => None,
        JsonKind::String => Some(text_block(content.text()).into()),
        JsonKind::Array => {
            let list = edits.render(body, content);
            let items = list.slice(1..list.len() - 1);
            (!items.trim_ascii().is_empty()).then_some(items)
        }
        _ => None,
    }
}

/// Blocks of content, separated by commas.
#[derive(Default)]
struct Blocks(Vec<u8>);

impl Blocks {
    fn append(&mut self, blocks: Option<Bytes>) {
        let Some(blocks) = blocks else { return };
        if !self.0.is_empty() {
            self.0.push(b',');
        }
        self.0.extend_from_slice(&blocks);
    }

    fn into_bytes(self) -> Option<Bytes> {
        (!self.0.is_empty()).then(|| self.0.into())
    }
}

/// A turn of the user and the blocks to add to it.
struct Turn<'a> {
    content: Node<'a>,
    before: Blocks,
    after: Blocks,
}

impl Turn<'_> {
    fn write(self, body: &MessagesBody, edits: &mut Edits) {
        let (before, after) = (self.before.into_bytes(), self.after.into_bytes());
        if before.is_none() && after.is_none() {
            return;
        }
        if self.content.kind() == JsonKind::String {
            let own = (!self.content.is("")).then(|| text_block(&edits.render(body, self.content)).into());
            let blocks: Vec<Bytes> = before.into_iter().chain(own).chain(after).collect();
            let content = [b"[", &blocks.join(&b","[..])[..], b"]"].concat();
            edits.replace_at(self.content, content.into());
            return;
        }
        before.into_iter().for_each(|blocks| edits.unshift_at(self.content, blocks));
        after.into_iter().for_each(|blocks| edits.push_at(self.content, blocks));
    }
}

fn starts_with_result(content: Node<'_>) -> bool {
    let first = content.elements().next().and_then(|block| block.get("type"));
    first.is_some_and(|kind| kind.is("tool_result"))
}

/// Returns a text block with the text `string`, a JSON string.
fn text_block(string: &[u8]) -> Vec<u8> {
    [b"{\"type\":\"text\",\"text\":", string, b"}"].concat()
}
