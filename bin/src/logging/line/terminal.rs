//! The format of lines on a terminal, for a person.

use std::fmt::{self, Write};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{Format, FormatEvent, FormatFields, Full, Writer};
use tracing_subscriber::registry::LookupSpan;

use super::request_line::RequestLine;
use super::text::{push_fields, push_spans};
use super::{is_of_log_crate, time, write_at_once};

/// The target of the events of the access log.
const ACCESS_LOG: &str = "relay_server::access_log";

/// The format of lines on a terminal. A request has one aligned line of at most 120 columns. Every other event has the line
/// `TIME LEVEL TARGET: MESSAGE FIELDS SPAN{FIELDS}:SPAN{FIELDS}:`. The time is that of the day, in UTC.
pub(in crate::logging) struct TerminalLine {
    has_colours: bool,
    shows_target: bool,
    library: Format<Full>,
}

impl TerminalLine {
    /// Creates the format, with or without colours and the targets of the events.
    pub(in crate::logging) fn new(has_colours: bool, shows_target: bool) -> Self {
        let library = tracing_subscriber::fmt::format().with_target(shows_target).with_ansi(has_colours);
        Self { has_colours, shows_target, library }
    }

    fn push<S, N>(&self, line: &mut String, context: &FmtContext<'_, S, N>, event: &Event<'_>) -> fmt::Result
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
        N: for<'a> FormatFields<'a> + 'static,
    {
        self.push_start(line, *event.metadata().level())?;
        if event.metadata().target() == ACCESS_LOG {
            let mut request = RequestLine::default();
            event.record(&mut request);
            request.push(line, self.has_colours);
        } else {
            if self.shows_target {
                line.push_str(event.metadata().target());
                line.push_str(": ");
            }
            push_fields(line, event)?;
            line.push(' ');
            push_spans(line, context);
            line.truncate(line.trim_end().len());
        }
        line.push('\n');
        Ok(())
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

impl<S, N> FormatEvent<S, N> for TerminalLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if is_of_log_crate(event) {
            return self.library.format_event(context, writer, event);
        }
        write_at_once(&mut writer, |line| self.push(line, context, event))
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
