//! Which conversation a request belongs to.

use std::borrow::Cow;

use http::HeaderName;
use relay_providers::{Kind, MessagesBody, Node, RelayRequest};
use serde::Deserialize;

/// Constant for a session of Claude Code's, subagents included.
const SESSION_ID: HeaderName = HeaderName::from_static("x-claude-code-session-id");
/// What stands in front of the session in the older form of `metadata.user_id`,
/// `user_<device>_account_<uuid>_session_<uuid>`.
const SESSION_MARK: &str = "_session_";
/// So many bytes of the system prompt, and of the first message, tell one conversation from another.
const PREFIX: usize = 4096;

/// What all requests of a conversation have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Conversation<'a> {
    /// The client names its session.
    Session(Cow<'a, str>),
    /// How the conversation began.
    Opening { system: String, message: String },
}

impl<'a> Conversation<'a> {
    /// That of `request`; `None` if it shows none.
    pub(crate) fn of(request: &'a RelayRequest) -> Option<Self> {
        let header = request.headers().get(SESSION_ID).and_then(|id| id.to_str().ok()).map(Cow::Borrowed);
        let named = header.or_else(|| session_of(request.body().user_id()?)).filter(|id| !id.is_empty());
        match named {
            Some(id) => Some(Self::Session(id)),
            None => Self::opening(request.body()),
        }
    }

    fn opening(body: &MessagesBody) -> Option<Self> {
        let message = body.view("messages")?.elements().find(|message| role(*message, "user"))?;
        let system = body.view("system").map(start_of_text).unwrap_or_default();
        Some(Self::Opening { system, message: start_of_text(message.get("content")?) })
    }

    /// Whether `request` may have something in a cache: where the client names no session, its first turn is like any
    /// other first turn with the same words.
    pub(crate) fn goes_on(&self, request: &RelayRequest) -> bool {
        let has_answer = |messages: Node<'_>| messages.elements().any(|message| role(message, "assistant"));
        match self {
            Self::Session(_) => true,
            Self::Opening { .. } => request.body().view("messages").is_some_and(has_answer),
        }
    }
}

/// Looks no further than the first `role`: behind it stands the content, which may be most of the body.
fn role(message: Node<'_>, role: &str) -> bool {
    message.members().find(|member| member.is_called("role")).is_some_and(|found| found.is(role))
}

/// The session in `metadata.user_id`, which is a JSON text, or has the session at its end.
fn session_of(user_id: &str) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct UserId {
        session_id: String,
    }
    if let Some((_, session)) = user_id.rsplit_once(SESSION_MARK) {
        return Some(Cow::Borrowed(session));
    }
    serde_json::from_str::<UserId>(user_id).ok().map(|user| Cow::Owned(user.session_id))
}

/// The words at the start of a prompt. Marks for the cache, which wander from turn to turn, are none.
fn start_of_text(content: Node<'_>) -> String {
    let mut text = String::new();
    match content.kind() {
        Kind::String => text.extend(content.as_str()),
        _ => {
            for block in content.elements() {
                text.extend(block.get("text").and_then(Node::as_str));
                if text.len() >= PREFIX {
                    break;
                }
            }
        }
    }
    text.truncate(text.floor_char_boundary(PREFIX));
    text
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
        assert_eq!(Conversation::of(&request), Some(Conversation::Session(expected.into())));
    }

    #[test]
    fn a_session_is_named_in_the_header_or_in_either_form_of_the_user() {
        let json = r#"{"device_id":"d","account_uuid":"","session_id":"in-json"}"#;
        check(Some("in-header"), json, "in-header");
        check(None, json, "in-json");
        check(None, "user_1f_account_a-b_session_in-text", "in-text");
        let other = request(None, &json!({"model": "m", "metadata": {"user_id": "user-17"}}));
        assert_eq!(Conversation::of(&other), None);
    }

    #[test]
    fn a_conversation_without_a_name_is_known_by_how_it_began() {
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
        let (one, two) = (Conversation::of(&first).unwrap(), Conversation::of(&next).unwrap());
        assert_eq!(one, two);
        assert!(!one.goes_on(&first) && two.goes_on(&next));
        let other = request(None, &json!({"model": "m", "messages": [{"role": "user", "content": "hello"}]}));
        assert_ne!(Conversation::of(&other), Some(one));
    }

    #[test]
    fn odd_bodies_belong_to_no_conversation() {
        for messages in [json!(null), json!([]), json!("text"), json!([{"role": "user"}]), json!([[1]])] {
            assert_eq!(Conversation::of(&request(None, &json!({"model": "m", "messages": messages}))), None);
        }
    }
}
