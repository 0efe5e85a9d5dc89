//! The handling of a broken stream.

use bytes::BytesMut;

use crate::sse::write_error_event;

/// The end that a client receives after a break of its stream: malformed bytes, a failed connection, or an
/// end before `message_stop`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnBreak {
    /// The body fails, so the server aborts its own connection or stream. Every client notices this failure,
    /// and Claude Code repeats the request on its own.
    #[default]
    Abort,
    /// The body ends regularly after an `error` event of type `api_error`. If the message was already
    /// complete, the event is omitted.
    ErrorEvent,
}

/// The message of the error that replaces a break.
pub(crate) const BREAK: &str = "The upstream's stream broke off before the message was complete.";

/// Appends the `error` event for a break.
pub(crate) fn write_break(out: &mut BytesMut) {
    write_error_event("api_error", BREAK, out);
}
