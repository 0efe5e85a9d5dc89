//! The format of lines on a terminal, for a person.

use std::fmt::{self, Write};

use tracing::field::Visit;
use tracing::{Event, Level, Metadata};

use super::request_line::RequestLine;
use super::text::{join_fields, push_fields, push_spans};
use super::{Context, LineFormat, time};

/// The target of the events of the access log.
const ACCESS_LOG: &str = "relay_server::access_log";

/// The format of lines on a terminal. A request has one aligned line of at most 120 columns. Every other event has the line
/// `TIME LEVEL TARGET: MESSAGE FIELDS SPAN{FIELDS}:SPAN{FIELDS}:`. The time is that of the day, in UTC.
pub(in crate::logging) struct TerminalLine {
    has_colours: bool,
    shows_target: bool,
}

impl TerminalLine {
    /// Creates the format, with or without colours and the targets of the events.
    pub(in crate::logging) fn new(has_colours: bool, shows_target: bool) -> Self {
        Self { has_colours, shows_target }
    }

    /// Appends the time of the day and the level.
    fn push_start(&self, line: &mut String, level: Level) -> fmt::Result {
        let mut now = String::new();
        time::push_now(&mut now)?;
        // `2026-01-02T03:04:05.678901Z`, or a text of the library for a year beyond 9999.
        line.push_str(now.get(11..19).unwrap_or(&now));
        let (start, end) = if self.has_colours { (colour(level), "\x1b[0m") } else { ("", "") };
        write!(line, "Z {start}{level:<5}{end} ")
    }
}

impl LineFormat for TerminalLine {
    fn push_event(
        &self,
        line: &mut String,
        metadata: &Metadata<'_>,
        event: &Event<'_>,
        context: &Context<'_>,
    ) -> fmt::Result {
        self.push_start(line, *metadata.level())?;
        if metadata.target() == ACCESS_LOG {
            let mut request = RequestLine::default();
            event.record(&mut request);
            request.push(line, self.has_colours);
        } else {
            if self.shows_target {
                line.push_str(metadata.target());
                line.push_str(": ");
            }
            push_fields(line, &|visitor| event.record(visitor))?;
            line.push(' ');
            push_spans(line, context);
            line.truncate(line.trim_end().len());
        }
        line.push('\n');
        Ok(())
    }

    fn push_fields(&self, text: &mut String, record: &dyn Fn(&mut dyn Visit)) -> fmt::Result {
        push_fields(text, record)
    }

    fn add_fields(&self, known: &str, added: &str) -> Option<String> {
        Some(join_fields(known, added))
    }
}

/// Returns the escape sequence that begins the colour of a level.
fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG => "\x1b[34m",
        Level::TRACE => "\x1b[35m",
    }
}
