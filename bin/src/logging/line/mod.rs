//! The lines of the log: the formats of tracing-subscriber, for fewer instructions, and the one for a person at a terminal.
//!
//! ```text
//! event ──TextLine, JsonLine, TerminalLine──▶ line of this thread ──one write──▶ tracing-subscriber's `fmt` layer ──▶ LogQueue
//! ```
//! tracing-subscriber's own formats write each name, sign and value through several layers of `fmt`, and its JSON format
//! parses the fields of each span again for each event. The lines are the same, byte for byte, except that all control characters
//! are escaped in the text format. The library's formats remain in use for records of the `log` crate, which carry their
//! metadata in fields.

mod columns;
mod escape;
mod json;
mod request_line;
mod terminal;
mod text;
mod time;

use std::cell::Cell;
use std::fmt;

use tracing::Event;
use tracing_subscriber::fmt::format::Writer;

pub(super) use self::json::{JsonLine, SpanFields};
pub(super) use self::terminal::TerminalLine;
pub(super) use self::text::{TextFields, TextLine};

/// The largest buffer that a thread keeps for its next line.
const KEPT_CAPACITY: usize = 16 * 1024;

thread_local! {
    /// The buffer for the next line of this thread.
    static LINE: Cell<String> = const { Cell::new(String::new()) };
}

/// Passes what `format` appends to an empty string to `writer` with one call.
///
/// While `format` runs, the thread has another buffer: a value may itself log when it is formatted.
fn write_at_once(writer: &mut Writer<'_>, format: impl FnOnce(&mut String) -> fmt::Result) -> fmt::Result {
    let mut line = LINE.take();
    let formatted = format(&mut line).and_then(|()| writer.write_str(&line));
    if line.capacity() <= KEPT_CAPACITY {
        line.clear();
        LINE.set(line);
    }
    formatted
}

/// Returns `true` if `event` may be a record of the `log` crate. The target of an event of tracing is rarely the same.
fn is_of_log_crate(event: &Event<'_>) -> bool {
    event.metadata().target() == "log"
}

#[cfg(test)]
mod terminal_tests;
#[cfg(test)]
mod tests;
