//! Folds messages with a role that an upstream does not know into an adjacent turn of the user.

use bytes::Bytes;
use relay_config::FieldPath;

use super::field_match;
use crate::body::{Edits, JsonKind, MessagesBody, Node};

const USER: &str = "user";
const USER_JSON: &[u8] = b"\"user\"";

/// Folds each message at `path` into an adjacent turn of the user. If the turn before it is the user's, the
/// blocks are appended to that turn. Otherwise, if the turn after it is the user's, they are inserted there:
/// at the start, or at the end if the turn starts with a tool result, which must stay first. A message
/// without such a neighbour gets the role of the user.
///
/// No text is lost and no turn is split: the turns alternate as before.
pub(super) fn fold(body: &MessagesBody, path: &FieldPath, edits: &mut Edits) {
    let folded: Vec<usize> =
        field_match::find(body, path).iter().map(|place| place.node().span().start).collect();
    let Some(messages) = body.view("messages").filter(|_| !folded.is_empty()) else { return };
    let messages: Vec<FoldCandidate<'_>> = messages
        .elements()
        .map(|node| FoldCandidate { node, is_folded: folded.contains(&node.span().start) })
        .collect();
    let mut turns: Vec<Turn<'_>> = Vec::new();
    for (index, message) in messages.iter().enumerate().filter(|(_, message)| message.is_folded) {
        let before = messages[..index].iter().rev().find(|message| !message.is_folded);
        let behind = messages[index..].iter().find(|message| !message.is_folded);
        let before = before.and_then(FoldCandidate::users_content);
        let behind = behind.and_then(FoldCandidate::users_content);
        let blocks = message.blocks(body, edits);
        let (content, is_behind) = match (before, behind) {
            (Some(content), _) => (content, true),
            (None, Some(content)) => (content, starts_with_result(content)),
            (None, None) => {
                let roles = message.node.members().filter(|member| member.is_called("role"));
                roles.for_each(|role| edits.replace_at(role, Bytes::from_static(USER_JSON)));
                continue;
            }
        };
        edits.remove_at(message.node);
        let at = turns.iter().position(|turn| turn.content.span() == content.span());
        let at = at.unwrap_or_else(|| {
            turns.push(Turn { content, in_front: Vec::new(), behind: Vec::new() });
            turns.len() - 1
        });
        let into = if is_behind { &mut turns[at].behind } else { &mut turns[at].in_front };
        into.extend(blocks);
    }
    turns.into_iter().for_each(|turn| turn.write(body, edits));
}

struct FoldCandidate<'a> {
    node: Node<'a>,
    is_folded: bool,
}

impl<'a> FoldCandidate<'a> {
    /// Returns the content of a turn of the user, if blocks can be added to it.
    fn users_content(&self) -> Option<Node<'a>> {
        let is_users = self.node.get("role").is_some_and(|role| role.is(USER));
        let content = self.node.get("content").filter(|_| is_users);
        content.filter(|content| matches!(content.kind(), JsonKind::Array | JsonKind::String))
    }

    /// Returns the content of the message as the items of a JSON array, without the brackets.
    fn blocks(&self, body: &MessagesBody, edits: &Edits) -> Option<Bytes> {
        let content = self.node.get("content")?;
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
}

/// A turn of the user and the blocks to add to it.
struct Turn<'a> {
    content: Node<'a>,
    in_front: Vec<Bytes>,
    behind: Vec<Bytes>,
}

impl Turn<'_> {
    fn write(self, body: &MessagesBody, edits: &mut Edits) {
        if self.content.kind() == JsonKind::String {
            let own = match self.content.is("") {
                true => None,
                false => Some(Bytes::from(text_block(&edits.render(body, self.content)))),
            };
            let blocks: Vec<Bytes> = self.in_front.into_iter().chain(own).chain(self.behind).collect();
            if !blocks.is_empty() {
                let content = [b"[", &blocks.join(&b","[..])[..], b"]"].concat();
                edits.replace_at(self.content, content.into());
            }
            return;
        }
        self.in_front.into_iter().for_each(|blocks| edits.unshift_at(self.content, blocks));
        self.behind.into_iter().for_each(|blocks| edits.push_at(self.content, blocks));
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
