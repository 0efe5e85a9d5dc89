//! Identifies the conversation that a request belongs to.

use std::borrow::Cow;

use http::HeaderName;
use relay_messages::{JsonKind, MessagesBody, Node};
use relay_providers::RelayRequest;
use serde::Deserialize;

/// The header with the session of Claude Code. It is the same for all requests of a session, including its
/// subagents.
const SESSION_ID: HeaderName = HeaderName::from_static("x-claude-code-session-id");
/// The mark before the session in the older form of `metadata.user_id`,
/// `user_<device>_account_<uuid>_session_<uuid>`.
const SESSION_MARK: &str = "_session_";
/// The number of bytes of the system prompt, and of the first message, that identify a conversation.
const PREFIX: usize = 4096;

/// The identity of a conversation, which all its requests share.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Conversation<'a> {
    /// The session that the client names.
    Session(Cow<'a, str>),
    /// The beginning of the conversation, in the client's own bytes.
    Opening { system: Vec<u8>, message: Vec<u8> },
}

impl<'a> Conversation<'a> {
    /// Returns the conversation of `request`, and `true` if an upstream may have cached a prefix of it.
    ///
    /// Returns `None` if the request has neither a session nor a user message. Without a session, the first
    /// turns of two conversations with the same text are the same conversation.
    pub(crate) fn identify(request: &'a RelayRequest) -> Option<(Self, bool)> {
        match named_session(request) {
            Some(id) => Some((Self::Session(id), true)),
            None => Self::opening(request.body()),
        }
    }

    /// Reads the messages once, up to the first assistant message.
    fn opening(body: &MessagesBody) -> Option<(Self, bool)> {
        let mut first = None;
        let mut is_answered = false;
        for message in body.view("messages")?.elements() {
            let [role, content] = members(message, ["role", "content"]);
            let Some(role) = role else { continue };
            if first.is_none() && role.is("user") {
                first = content;
            }
            is_answered = role.is("assistant");
            if is_answered && first.is_some() {
                break;
            }
        }
        let system = body.view("system").map(start_of_text).unwrap_or_default();
        Some((Self::Opening { system, message: start_of_text(first?) }, is_answered))
    }
}

/// Returns the session that the client names, in the header of Claude Code or in `metadata.user_id`. It is the client's text, of
/// any length. `None` if the client names none.
#[must_use]
pub fn named_session(request: &RelayRequest) -> Option<Cow<'_, str>> {
    let header = request.headers().get(SESSION_ID).and_then(|id| id.to_str().ok()).map(Cow::Borrowed);
    header.or_else(|| session_of(request.body().user_id()?)).filter(|id| !id.is_empty())
}

/// Returns the first members with these names. Reads the object up to the last of them.
fn members<'a, const N: usize>(object: Node<'a>, names: [&str; N]) -> [Option<Node<'a>>; N] {
    let mut found = [None; N];
    for member in object.members() {
        if let Some(index) = names.iter().position(|name| member.is_called(name)) {
            found[index].get_or_insert(member);
        }
        if found.iter().all(Option::is_some) {
            break;
        }
    }
    found
}

/// Returns the session in `metadata.user_id`, which is a JSON object or ends with the session.
fn session_of(user_id: &str) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct UserId {
        session_id: String,
    }
    // The session is short, so that comparing from the end costs less than preparing a search.
    let mark =
        user_id.as_bytes().windows(SESSION_MARK.len()).rposition(|bytes| bytes == SESSION_MARK.as_bytes());
    if let Some(session) = mark.and_then(|mark| user_id.get(mark + SESSION_MARK.len()..)) {
        return Some(Cow::Borrowed(session));
    }
    serde_json::from_str::<UserId>(user_id).ok().map(|user| Cow::Owned(user.session_id))
}

/// Returns the first [`PREFIX`] bytes of a prompt's text, with its JSON escapes.
///
/// Only text is used, because `cache_control` moves from turn to turn.
fn start_of_text(content: Node<'_>) -> Vec<u8> {
    let mut words = Vec::new();
    let mut add = |text: Node<'_>| {
        let within = text
            .text()
            .get(1..text.text().len().saturating_sub(1))
            .filter(|_| text.kind() == JsonKind::String);
        let room = PREFIX - words.len();
        words.extend(within.unwrap_or_default().iter().take(room));
        words.len() < PREFIX
    };
    match content.kind() {
        JsonKind::String => {
            add(content);
        }
        _ => {
            let texts = content.elements().filter_map(|block| members(block, ["text"])[0]);
            for text in texts {
                if !add(text) {
                    break;
                }
            }
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};
    use relay_providers::Endpoint;
    use serde_json::{Value, json};

    use super::*;

    fn request(header: Option<&'static str>, body: &Value) -> RelayRequest {
        let mut headers = HeaderMap::new();
        if let Some(id) = header {
            headers.insert(SESSION_ID, HeaderValue::from_static(id));
        }
        let body = MessagesBody::parse(body.to_string().into()).unwrap();
        RelayRequest::new(Endpoint::Messages, None, headers, body)
    }

    #[track_caller]
    fn check(header: Option<&'static str>, user_id: &str, expected: &str) {
        let request = request(header, &json!({"model": "m", "metadata": {"user_id": user_id}}));
        assert_eq!(Conversation::identify(&request), Some((Conversation::Session(expected.into()), true)));
    }

    #[test]
    fn a_session_is_named_by_the_header_or_by_either_form_of_the_user_id() {
        let json = r#"{"device_id":"d","account_uuid":"","session_id":"in-json"}"#;
        check(Some("in-header"), json, "in-header");
        check(None, json, "in-json");
        check(None, "user_1f_account_a-b_session_in-text", "in-text");
        let other = request(None, &json!({"model": "m", "metadata": {"user_id": "user-17"}}));
        assert_eq!(Conversation::identify(&other), None);
    }

    #[test]
    fn a_conversation_without_a_session_is_identified_by_its_beginning() {
        let first = request(
            None,
            &json!({"model": "m", "system": [{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}],
                    "messages": [{"role": "user", "content": [
                        {"type": "text", "text": "hello", "cache_control": {"type": "ephemeral"}}]}]}),
        );
        let next = request(
            None,
            &json!({"model": "m", "system": "be brief",
                    "messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"},
                                 {"role": "user", "content": "and now?"}]}),
        );
        let (one, two) = (Conversation::identify(&first).unwrap(), Conversation::identify(&next).unwrap());
        assert_eq!(one.0, two.0);
        assert!(!one.1 && two.1, "only the second request can have a cached prefix");
        let other = request(None, &json!({"model": "m", "messages": [{"role": "user", "content": "hello"}]}));
        assert_ne!(Conversation::identify(&other).map(|(conversation, _)| conversation), Some(one.0));
    }

    #[test]
    fn a_body_without_a_user_message_belongs_to_no_conversation() {
        for messages in [json!(null), json!([]), json!("text"), json!([{"role": "user"}]), json!([[1]])] {
            assert_eq!(
                Conversation::identify(&request(None, &json!({"model": "m", "messages": messages}))),
                None
            );
        }
    }
}
