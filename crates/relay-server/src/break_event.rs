//! The `error` event at the end of a stream that breaks off, for clients that do not notice a broken connection.

use bytes::{Bytes, BytesMut};
use relay_messages::error_body;

use crate::record::RecordHandle;

const MESSAGE: &str = "The upstream's stream broke off before the message was complete.";

/// The event, and the place in the stream at which it would be inserted.
#[derive(Debug)]
pub(crate) struct BreakEvent {
    record: Option<RecordHandle>,
    /// The last two bytes of the stream. An empty line ends an event.
    last: [u8; 2],
}

impl BreakEvent {
    /// Creates the event for a stream at its start.
    pub(crate) fn new(record: Option<&RecordHandle>) -> Self {
        Self { record: record.cloned(), last: *b"\n\n" }
    }

    /// Takes in bytes of the stream.
    pub(crate) fn observe(&mut self, data: &[u8]) {
        match data {
            [] => {}
            [last] => self.last = [self.last[1], *last],
            [.., before, last] => self.last = [*before, *last],
        }
    }

    /// Returns the event. If the stream broke off within another event, an empty line ends that one first.
    pub(crate) fn into_bytes(self) -> Bytes {
        let id = self.record.as_ref().map(|record| record.id().as_str());
        let mut event = BytesMut::new();
        if self.last != *b"\n\n" {
            event.extend_from_slice(b"\n\n");
        }
        event.extend_from_slice(b"event: error\ndata: ");
        event.extend_from_slice(&error_body("api_error", MESSAGE, id));
        event.extend_from_slice(b"\n\n");
        event.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_event_begins_on_a_line_of_its_own() {
        #[track_caller]
        fn check(before: &[&str], expected_gap: &str) {
            let mut event = BreakEvent::new(None);
            before.iter().for_each(|data| event.observe(data.as_bytes()));
            let event = event.into_bytes();
            let start = format!("{expected_gap}event: error\ndata: {{\"type\":\"error\"");
            assert!(event.starts_with(start.as_bytes()), "{event:?}");
            assert!(event.ends_with(b"}\n\n"), "{event:?}");
        }
        check(&[], "");
        check(&["event: ping\ndata: {}\n\n"], "");
        check(&["event: ping\ndata: {}\n", "\n"], "");
        check(&["event: ping\ndata: {}\n"], "\n\n");
        check(&["event: ping\ndata: {\"ty"], "\n\n");
        check(&["x", ""], "\n\n");
    }
}
