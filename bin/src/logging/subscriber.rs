//! The subscriber that turns events and spans into lines.

use std::cell::Cell;
use std::fmt::Write as _;
use std::io::Write as _;

use tracing::field::Visit;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_log::NormalizeEvent;
use tracing_subscriber::fmt::MakeWriter;

use super::line::{Context, LineFormat};
use super::spans::{self, Spans};

/// The largest buffer that a thread keeps for its next line.
const KEPT_CAPACITY: usize = 16 * 1024;

thread_local! {
    /// The buffer for the next line of this thread.
    static LINE: Cell<String> = const { Cell::new(String::new()) };
}

/// Writes each event as a line, and keeps the open spans for the events within them. It has no filter.
pub(super) struct LineSubscriber<W> {
    format: Box<dyn LineFormat>,
    writer: W,
    spans: Spans,
}

impl<W> LineSubscriber<W> {
    /// Creates the subscriber. `writer` gets each line with one call.
    pub(super) fn new(format: Box<dyn LineFormat>, writer: W) -> Self {
        Self { format, writer, spans: Spans::default() }
    }

    /// Returns the text of the fields of a span. A field that cannot be formatted ends it.
    fn fields(&self, record: &dyn Fn(&mut dyn Visit)) -> Box<str> {
        with_line(|line| {
            let _ = self.format.push_fields(line, record);
            (&**line).into()
        })
    }
}

impl<W: for<'a> MakeWriter<'a> + 'static> Subscriber for LineSubscriber<W> {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let fields = self.fields(&|visitor| span.record(visitor));
        let current = if span.is_contextual() { spans::current() } else { None };
        self.spans.open(span.metadata(), span.parent().or(current.as_ref()), fields)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let added = self.fields(&|visitor| values.record(visitor));
        self.spans.with(span, |span| {
            if let Some(all) = self.format.add_fields(&span.fields, &added) {
                span.fields = all.into();
            }
        });
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        // The target of a record of the `log` crate. The target of an event of tracing is rarely the same.
        let is_of_log_crate = event.metadata().target() == "log";
        let normalized = if is_of_log_crate { event.normalized_metadata() } else { None };
        let metadata = normalized.as_ref().unwrap_or(event.metadata());
        let current = spans::current();
        let span = if event.is_contextual() { current.as_ref() } else { event.parent() };
        let context = Context { spans: &self.spans, current: current.as_ref(), span };
        with_line(|line| {
            if self.format.push_event(line, metadata, event, &context).is_err() {
                let _ = writeln!(line, " (a value of this record cannot be formatted)");
            }
            // The queue of the log takes every line.
            let _ = self.writer.make_writer().write_all(line.as_bytes());
        });
    }

    fn enter(&self, span: &Id) {
        spans::enter(span);
    }

    fn exit(&self, span: &Id) {
        spans::exit(span);
    }

    fn clone_span(&self, id: &Id) -> Id {
        self.spans.retain(id);
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        self.spans.release(&id)
    }
}

/// Calls `format` with an empty string, whose memory the thread keeps.
///
/// While `format` runs, the thread has another buffer: a value may itself log when it is formatted.
fn with_line<R>(format: impl FnOnce(&mut String) -> R) -> R {
    let mut line = LINE.take();
    let result = format(&mut line);
    if line.capacity() <= KEPT_CAPACITY {
        line.clear();
        LINE.set(line);
    }
    result
}
