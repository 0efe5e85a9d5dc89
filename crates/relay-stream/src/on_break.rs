//! What a broken stream becomes.

use bytes::BytesMut;

use crate::sse::write_error_event;

/// What a client gets when its stream broke off: malformed bytes, a failed connection, an end before `message_stop`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnBreak {
    /// An error of the body, so that the server breaks its own connection off. Every client sees a failure, and
    /// Claude Code repeats the request unseen.
    #[default]
    Abort,
    /// An `error` event of type `api_error` and a clean end; only a clean end if the message was complete before.
    ErrorEvent,
}

/// Appends the event that stands in for the break.
pub(crate) fn write_break(out: &mut BytesMut) {
    write_error_event("api_error", "The upstream's stream broke off before the message was complete.", out);
}
