//! The decision about one event.

use std::borrow::Cow;

use super::error::Damage;
use super::kind::EventKind;
use crate::json;
use crate::json_valid::is_valid;
use crate::sse::SseEvent;

/// The handling of a well-formed event (its name is its `type`) that the Messages API does not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnknownEvents {
    /// The event is dropped. For upstreams that only resemble the Messages API.
    #[default]
    Drop,
    /// The event is forwarded. For upstreams of Anthropic's own, which may get new events.
    Forward,
}

/// Events that are never the client's, though they are well-formed: Google's own event in streams of Vertex AI.
const FOREIGN_EVENTS: [&str; 1] = ["vertex_event"];

/// The end of a stream in OpenAI's format.
const DONE: &[u8] = b"[DONE]";

/// The decision about an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Forward the event unchanged. `None` is no event of a message.
    Forward(Option<EventKind>),
    /// Forward the event with the name of its kind.
    Rename(EventKind),
    /// Forward an `error` event in Anthropic's form in its place.
    ReportError,
    Drop,
    Damaged(Damage),
}

/// The data of an event, as far as the rules need it.
enum Data<'a> {
    /// An object with its `type`, if that is a string.
    Object(Option<Cow<'a, str>>),
    /// Nothing but white space.
    Empty,
    /// JSON of another kind.
    OtherJson,
    NotJson,
}

impl<'a> Data<'a> {
    fn read(data: &'a [u8], is_whole: bool) -> Self {
        let text = data.trim_ascii();
        match text.first() {
            None => Self::Empty,
            Some(b'{') if !is_whole || is_valid(text) => Self::Object(json::get_string(text, "type")),
            Some(_) if is_valid(text) => Self::OtherJson,
            Some(_) => Self::NotJson,
        }
    }
}

/// Decides about an event. Without `is_whole`, `event` is the start of one that is too large to be buffered: its data is not
/// validated, and a `type` beyond the start counts as the name.
pub(crate) fn decide(event: &SseEvent<'_>, is_whole: bool, unknown: UnknownEvents) -> Decision {
    let name = match &*event.name {
        "message" => "",
        name => name.trim(),
    };
    let kind = EventKind::of(name);
    match (Data::read(&event.data, is_whole), kind) {
        (Data::Object(Some(found)), _) => by_type(&event.name, name, &found, unknown),
        (_, Some(EventKind::Ping)) => Decision::Forward(kind),
        (_, Some(EventKind::Error)) => Decision::ReportError,
        (Data::Object(None), Some(_)) if !is_whole => Decision::Forward(kind),
        (Data::Object(None), None) if name.is_empty() && is_error(&event.data) => Decision::ReportError,
        (Data::Empty, None) if name.is_empty() => Decision::Forward(None),
        (_, None) if !name.is_empty() || event.data.trim_ascii() == DONE => Decision::Drop,
        _ if !is_whole => Decision::Damaged(Damage::TooLarge),
        (Data::Object(None), _) => Decision::Damaged(Damage::NoType),
        (Data::OtherJson, _) => Decision::Damaged(Damage::NotAnObject),
        (Data::Empty | Data::NotJson, _) => Decision::Damaged(Damage::NotJson),
    }
}

/// Decides about an event whose data has the type `found`. `written` is its name as written.
fn by_type(written: &str, name: &str, found: &str, unknown: UnknownEvents) -> Decision {
    match (EventKind::of(found), EventKind::of(name)) {
        (Some(kind), _) if written == found => Decision::Forward(Some(kind)),
        (Some(kind), None) => Decision::Rename(kind),
        (Some(kind), Some(named)) if kind == named => Decision::Rename(kind),
        (_, Some(EventKind::Error)) => Decision::ReportError,
        (_, Some(_)) => Decision::Damaged(Damage::OtherType),
        (None, None) if written != found || FOREIGN_EVENTS.contains(&found) => Decision::Drop,
        (None, None) => match unknown {
            UnknownEvents::Drop => Decision::Drop,
            UnknownEvents::Forward => Decision::Forward(None),
        },
    }
}

/// Returns `true` for an object with a member `error` that is not `null`.
fn is_error(data: &[u8]) -> bool {
    json::get(data, "error").is_some_and(|error| error != b"null")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(block: &str, expected: Decision) {
        let event = SseEvent::from_block(block.as_bytes()).unwrap();
        assert_eq!(decide(&event, true, UnknownEvents::Drop), expected, "{block}");
    }

    #[test]
    fn a_missing_or_foreign_name_is_made_from_the_type() {
        use EventKind::{MessageStart, MessageStop, Ping};
        check("data: {\"type\":\"message_stop\"}", Decision::Rename(MessageStop));
        check("event:\ndata: {\"type\":\"message_stop\"}", Decision::Rename(MessageStop));
        check("event: message\ndata: {\"type\":\"message_stop\"}", Decision::Rename(MessageStop));
        check("event: message_stop \ndata: {\"type\":\"message_stop\"}", Decision::Rename(MessageStop));
        check("event: chunk\ndata:{ \"a\":{\"type\":1}, \"type\" : \"ping\" }", Decision::Rename(Ping));
        check("data: {\ndata: \"type\":\"message_start\"}", Decision::Rename(MessageStart));
        check("event: ping\ndata: {\"type\":\"ping\"}", Decision::Forward(Some(Ping)));
        check("event: ping\ndata: {}", Decision::Forward(Some(Ping)));
        check("event: ping\ndata:", Decision::Forward(Some(Ping)));
    }

    #[test]
    fn foreign_events_are_dropped() {
        check("data: [DONE]", Decision::Drop);
        check("data:  [DONE] ", Decision::Drop);
        check("event: done\ndata: [DONE]", Decision::Drop);
        check("event: done\ndata: {}", Decision::Drop);
        check("event: done\ndata: {\"type\":\"done\"}", Decision::Drop);
        check("data: {\"type\":\"usage\"}", Decision::Drop);
        check("event: vertex_event\ndata: {\"type\":\"vertex_event\"}", Decision::Drop);
        check("event: keepalive\ndata: nothing", Decision::Drop);
        check("data:", Decision::Forward(None));
        let future = SseEvent::from_block(b"event: new\ndata: {\"type\":\"new\"}").unwrap();
        assert_eq!(decide(&future, true, UnknownEvents::Forward), Decision::Forward(None));
        assert_eq!(decide(&future, true, UnknownEvents::Drop), Decision::Drop);
        let google = SseEvent::from_block(b"event: vertex_event\ndata: {\"type\":\"vertex_event\"}").unwrap();
        assert_eq!(decide(&google, true, UnknownEvents::Forward), Decision::Drop);
    }

    #[test]
    fn errors_in_other_forms_are_reported() {
        check("event: error\ndata: overloaded", Decision::ReportError);
        check("event: error\ndata: {\"message\":\"busy\"}", Decision::ReportError);
        check("event: error\ndata: {\"type\":\"overloaded_error\"}", Decision::ReportError);
        check("data: {\"error\":{\"message\":\"busy\"}}", Decision::ReportError);
        check("data: {\"type\":\"error\",\"error\":{}}", Decision::Rename(EventKind::Error));
    }

    #[test]
    fn events_without_a_certain_meaning_are_damaged() {
        let damaged = |damage| Decision::Damaged(damage);
        check("data: {\"type\":\"message_st", damaged(Damage::NotJson));
        check("event: message_stop\ndata: {\"type\":\"message_stop\"", damaged(Damage::NotJson));
        check("event: message_stop\ndata: {\"type\":\"message_stop\"}}", damaged(Damage::NotJson));
        check("event: message_stop\ndata:", damaged(Damage::NotJson));
        check("data: text", damaged(Damage::NotJson));
        check("data: null", damaged(Damage::NotAnObject));
        check("event: message_delta\ndata: [1]", damaged(Damage::NotAnObject));
        check("data: {\"choices\":[],\"error\":null}", damaged(Damage::NoType));
        check("event: message_delta\ndata: {\"type\":1}", damaged(Damage::NoType));
        check("event: message_delta\ndata: {\"type\":\"message_stop\"}", damaged(Damage::OtherType));
        check("event: message_delta\ndata: {\"type\":\"usage\"}", damaged(Damage::OtherType));
        let not_utf8 = SseEvent::from_block(b"data: {\"type\":\"ping\",\"a\":\"\xff\"}").unwrap();
        assert_eq!(decide(&not_utf8, true, UnknownEvents::Drop), damaged(Damage::NotJson));
    }

    #[test]
    fn the_start_of_a_large_event_is_identified_without_its_end() {
        #[track_caller]
        fn check(start: &str, expected: Decision) {
            let event = SseEvent::from_block(start.as_bytes()).unwrap();
            assert_eq!(decide(&event, false, UnknownEvents::Drop), expected, "{start}");
        }
        let delta = EventKind::ContentBlockDelta;
        check("event: content_block_delta\ndata: {\"padding\":\"xx", Decision::Forward(Some(delta)));
        check("data: {\"type\":\"content_block_delta\",\"padding\":\"xx", Decision::Rename(delta));
        check("event: odd\ndata: {\"padding\":\"xx", Decision::Drop);
        check("data: {\"padding\":\"xx", Decision::Damaged(Damage::TooLarge));
        check("event: message_stop\ndata: xx", Decision::Damaged(Damage::TooLarge));
    }
}
