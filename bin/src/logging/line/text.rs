//! The text format.

use std::error::Error;
use std::fmt::{self, Debug, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::{Format, FormatEvent, FormatFields, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use super::escape::{Printable, push_number, push_quoted};
use super::{is_of_log_crate, time, write_at_once};

/// The text format of an event: `TIME LEVEL SPAN{FIELDS}:SPAN{FIELDS}: TARGET: MESSAGE FIELDS`.
pub(in crate::logging) struct TextLine {
    shows_target: bool,
    library: Format<Full>,
}

impl TextLine {
    /// Creates the format, with or without the targets of the events.
    pub(in crate::logging) fn new(shows_target: bool) -> Self {
        let library = tracing_subscriber::fmt::format().with_target(shows_target).with_ansi(false);
        Self { shows_target, library }
    }

    fn push<S, N>(&self, line: &mut String, context: &FmtContext<'_, S, N>, event: &Event<'_>) -> fmt::Result
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
        N: for<'a> FormatFields<'a> + 'static,
    {
        time::push_now(line)?;
        line.push_str(level(event.metadata().level()));
        if push_spans(line, context) {
            line.push(' ');
        }
        if self.shows_target {
            line.push_str(event.metadata().target());
            line.push_str(": ");
        }
        push_fields(line, event)?;
        line.push('\n');
        Ok(())
    }
}

impl<S, N> FormatEvent<S, N> for TextLine
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

/// Returns the level between spaces, aligned to the right.
fn level(level: &Level) -> &'static str {
    match *level {
        Level::ERROR => " ERROR ",
        Level::WARN => "  WARN ",
        Level::INFO => "  INFO ",
        Level::DEBUG => " DEBUG ",
        Level::TRACE => " TRACE ",
    }
}

/// Appends the spans around the event, the outermost first, each with a colon after it. Returns `true` if there are any.
pub(super) fn push_spans<S, N>(line: &mut String, context: &FmtContext<'_, S, N>) -> bool
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    let Some(spans) = context.event_scope() else { return false };
    for span in spans.from_root() {
        line.push_str(span.metadata().name());
        if let Some(fields) =
            span.extensions().get::<FormattedFields<N>>().filter(|fields| !fields.is_empty())
        {
            line.push('{');
            line.push_str(fields);
            line.push('}');
        }
        line.push(':');
    }
    true
}

/// The text format of the fields of a span, which are formatted once.
pub(in crate::logging) struct TextFields;

impl FormatFields<'_> for TextFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'_>, fields: R) -> fmt::Result {
        write_at_once(&mut writer, |line| push_fields(line, fields))
    }
}

/// Appends `fields` as `MESSAGE NAME=VALUE NAME=VALUE`.
pub(super) fn push_fields(line: &mut String, fields: impl RecordFields) -> fmt::Result {
    let mut visitor = Fields { line, is_first: true, result: Ok(()) };
    fields.record(&mut visitor);
    visitor.result
}

/// A visitor that appends fields to a line, until one of them cannot be formatted.
struct Fields<'a> {
    line: &'a mut String,
    is_first: bool,
    result: fmt::Result,
}

impl Fields<'_> {
    /// Appends the name of a field and then its value. A message has no name.
    fn push(&mut self, field: &Field, value: impl FnOnce(&mut String) -> fmt::Result) {
        let name = field.name();
        // tracing-log keeps the metadata of a record of the `log` crate in such fields.
        if self.result.is_err() || name.starts_with("log.") {
            return;
        }
        if !std::mem::take(&mut self.is_first) {
            self.line.push(' ');
        }
        if name != MESSAGE {
            self.line.push_str(name.strip_prefix("r#").unwrap_or(name));
            self.line.push('=');
        }
        self.result = value(self.line);
    }
}

/// The field with the text of an event.
const MESSAGE: &str = "message";

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field, |line| match field.name() {
            MESSAGE => Printable(line).write_str(value),
            _ => push_quoted(line, value),
        });
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push(field, |line| write!(line, "{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push(field, |line| {
            push_number(line, value, 1);
            Ok(())
        });
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push(field, |line| line.write_str(if value { "true" } else { "false" }));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.push(field, |line| {
            write!(Printable(line), "{value}")?;
            value.source().map_or(Ok(()), |source| push_sources(line, field.name(), source))
        });
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.push(field, |line| write!(Printable(line), "{value:?}"));
    }
}

/// Appends the causes of an error as ` NAME.sources=[CAUSE, CAUSE]`.
fn push_sources(line: &mut String, name: &str, source: &(dyn Error + 'static)) -> fmt::Result {
    write!(line, " {name}.sources=[")?;
    let mut separator = "";
    for source in std::iter::successors(Some(source), |&source| source.source()) {
        line.push_str(separator);
        write!(Printable(line), "{source}")?;
        separator = ", ";
    }
    line.write_char(']')
}
