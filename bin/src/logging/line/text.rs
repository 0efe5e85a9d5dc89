//! The text format.

use std::error::Error;
use std::fmt::{self, Debug, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata};

use super::escape::{Printable, push_number, push_quoted};
use super::{Context, LineFormat, time};

/// The text format of an event: `TIME LEVEL SPAN{FIELDS}:SPAN{FIELDS}: TARGET: MESSAGE FIELDS`.
pub(in crate::logging) struct TextLine {
    shows_target: bool,
}

impl TextLine {
    /// Creates the format, with or without the targets of the events.
    pub(in crate::logging) fn new(shows_target: bool) -> Self {
        Self { shows_target }
    }
}

impl LineFormat for TextLine {
    fn push_event(
        &self,
        line: &mut String,
        metadata: &Metadata<'_>,
        event: &Event<'_>,
        context: &Context<'_>,
    ) -> fmt::Result {
        time::push_now(line)?;
        line.push_str(level(metadata.level()));
        if push_spans(line, context) {
            line.push(' ');
        }
        if self.shows_target {
            line.push_str(metadata.target());
            line.push_str(": ");
        }
        push_fields(line, &|visitor| event.record(visitor))?;
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
pub(super) fn push_spans(line: &mut String, context: &Context<'_>) -> bool {
    let before = line.len();
    context.outermost_first(context.span, |span| {
        line.push_str(span.metadata.name());
        if !span.fields.is_empty() {
            line.push('{');
            line.push_str(&span.fields);
            line.push('}');
        }
        line.push(':');
    });
    line.len() > before
}

/// Appends fields as `MESSAGE NAME=VALUE NAME=VALUE`.
pub(super) fn push_fields(line: &mut String, record: &dyn Fn(&mut dyn Visit)) -> fmt::Result {
    let mut visitor = Fields { line, is_first: true, result: Ok(()) };
    record(&mut visitor);
    visitor.result
}

/// Returns the fields of a span together with those that were recorded later.
pub(super) fn join_fields(known: &str, added: &str) -> String {
    [known, if known.is_empty() { "" } else { " " }, added].concat()
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
