//! The lines of the log: the formats of tracing-subscriber, for fewer instructions, and the one for a person at a terminal.
//!
//! ```text
//! event ──TextLine, JsonLine, TerminalLine──▶ line of this thread ──one write──▶ LogQueue
//! ```
//! tracing-subscriber's own formats write each name, sign and value through several layers of `fmt`, and its JSON format
//! parses the fields of each span again for each event. The lines are the same, byte for byte, except that all control characters
//! are escaped in the text format.

mod columns;
mod escape;
mod json;
mod request_line;
mod terminal;
mod text;
mod time;

use std::fmt;

use tracing::field::Visit;
use tracing::span::Id;
use tracing::{Event, Metadata};

pub(super) use self::json::JsonLine;
pub(super) use self::terminal::TerminalLine;
pub(super) use self::text::TextLine;
use super::spans::{OpenSpan, Spans};

/// A format of the log.
pub(super) trait LineFormat: Send + Sync + 'static {
    /// Appends the line of an event. `metadata` is that of the event, or of the record of the `log` crate that it stands for.
    fn push_event(
        &self,
        line: &mut String,
        metadata: &Metadata<'_>,
        event: &Event<'_>,
        context: &Context<'_>,
    ) -> fmt::Result;

    /// Appends the fields of a span, which `record` hands to a visitor. They are formatted once.
    fn push_fields(&self, text: &mut String, record: &dyn Fn(&mut dyn Visit)) -> fmt::Result;

    /// Returns the fields of a span together with those that were recorded later; `None` if they cannot be united.
    fn add_fields(&self, known: &str, added: &str) -> Option<String>;
}

/// The spans of an event.
pub(super) struct Context<'a> {
    pub(super) spans: &'a Spans,
    /// The span that the thread has entered last.
    pub(super) current: Option<&'a Id>,
    /// The span of the event: the current one, unless the event names another one or none.
    pub(super) span: Option<&'a Id>,
}

impl Context<'_> {
    /// Calls `visit` with each span from the outermost one to `span`.
    fn outermost_first(&self, span: Option<&Id>, mut visit: impl FnMut(&OpenSpan)) {
        if let Some(span) = span {
            self.spans.outermost_first(span, &mut visit);
        }
    }
}

#[cfg(test)]
mod terminal_tests;
#[cfg(test)]
mod tests;
