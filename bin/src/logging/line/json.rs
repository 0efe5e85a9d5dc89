//! The JSON format.

use std::collections::BTreeMap;
use std::fmt::{self, Debug, Write};

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata};

use super::escape::{InJson, push_number};
use super::{Context, LineFormat, time};
use crate::logging::spans::OpenSpan;

/// The JSON format of an event: one object with the fields of the event, its `span`, and all `spans` around it.
pub(in crate::logging) struct JsonLine;

impl LineFormat for JsonLine {
    fn push_event(
        &self,
        line: &mut String,
        metadata: &Metadata<'_>,
        event: &Event<'_>,
        context: &Context<'_>,
    ) -> fmt::Result {
        line.push_str("{\"timestamp\":\"");
        time::push_now(line)?;
        line.push_str("\",\"level\":\"");
        line.push_str(metadata.level().as_str());
        line.push('"');
        let mut fields = Fields { line, result: Ok(()) };
        event.record(&mut fields);
        fields.result?;
        push_text(line, "target", metadata.target())?;
        push_spans(line, event, context)?;
        line.push_str("}\n");
        Ok(())
    }

    /// Appends an object, whose members are in the order of their names.
    fn push_fields(&self, text: &mut String, record: &dyn Fn(&mut dyn Visit)) -> fmt::Result {
        push_object(text, record)
    }

    /// Few spans get fields later, so that the known ones are parsed.
    fn add_fields(&self, known: &str, added: &str) -> Option<String> {
        let mut all: BTreeMap<String, Value> = serde_json::from_str(known).ok()?;
        all.extend(serde_json::from_str::<BTreeMap<String, Value>>(added).ok()?);
        serde_json::to_string(&all).ok()
    }
}

/// Appends `span`, the span of the event, and `spans`, those around the current point of the program.
fn push_spans(line: &mut String, event: &Event<'_>, context: &Context<'_>) -> fmt::Result {
    let Some(span) = event.parent().or(context.current) else { return Ok(()) };
    let mut result = push_key(line, "span");
    context.spans.with(span, |span| result = result.and_then(|()| push_span(line, span)));
    result?;
    push_key(line, "spans")?;
    line.push('[');
    let mut separator = "";
    let mut result = Ok(());
    context.outermost_first(context.current, |span| {
        line.push_str(separator);
        separator = ",";
        result = result.and_then(|()| push_span(line, span));
    });
    line.push(']');
    result
}

/// Appends a span: the object of its fields, with its name as the last one.
fn push_span(line: &mut String, span: &OpenSpan) -> fmt::Result {
    line.push_str(span.fields.strip_suffix('}').unwrap_or("{"));
    line.push_str(if line.ends_with('{') { "\"name\":\"" } else { ",\"name\":\"" });
    InJson(line).write_str(span.metadata.name())?;
    line.push_str("\"}");
    Ok(())
}

fn push_key(line: &mut String, name: &str) -> fmt::Result {
    line.push_str(",\"");
    InJson(line).write_str(name)?;
    line.push_str("\":");
    Ok(())
}

fn push_text(line: &mut String, name: &str, value: &str) -> fmt::Result {
    push_key(line, name)?;
    line.push('"');
    InJson(line).write_str(value)?;
    line.push('"');
    Ok(())
}

/// Appends fields as an object. Of fields with the same name, the last one counts.
fn push_object(line: &mut String, record: &dyn Fn(&mut dyn Visit)) -> fmt::Result {
    let start = line.len();
    let mut visitor = Members { fields: Fields { line, result: Ok(()) }, starts: Vec::new() };
    record(&mut visitor);
    let Members { fields: Fields { line, result }, starts } = visitor;
    result?;
    let text = line.split_off(start);
    let ends = starts.iter().skip(1).map(|(_, start)| *start).chain([start + text.len()]);
    let mut members: Vec<_> = starts.iter().zip(ends).map(|((name, from), to)| (*name, *from, to)).collect();
    members.sort_by_key(|(name, ..)| *name);
    line.push('{');
    for (index, (name, from, to)) in members.iter().enumerate() {
        if members.get(index + 1).is_none_or(|(next, ..)| next != name) {
            // Each member begins with a comma.
            let comma = usize::from(line.len() == start + 1);
            line.push_str(&text[from - start + comma..to - start]);
        }
    }
    line.push('}');
    Ok(())
}

/// A visitor that appends the fields of a span, and notes where each of them starts.
struct Members<'a> {
    fields: Fields<'a>,
    starts: Vec<(&'static str, usize)>,
}

impl<'a> Members<'a> {
    /// Notes that the member `name` starts. Returns the visitor that appends it.
    fn member(&mut self, name: &'static str) -> &mut Fields<'a> {
        self.starts.push((name, self.fields.line.len()));
        &mut self.fields
    }
}

impl Visit for Members<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.member(field.name()).record_f64(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field.name()).record_i64(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field.name()).record_u64(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field.name()).record_bool(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.member(field.name()).record_str(field, value);
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.member(field.name()).push_bare(field, serde_json::Value::from(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // tracing-log keeps the metadata of a record of the `log` crate in such fields.
        if !field.name().starts_with("log.") {
            let name = field.name().strip_prefix("r#").unwrap_or(field.name());
            self.member(name).push_debug(name, value);
        }
    }
}

/// A visitor that appends fields to an object, until one of them cannot be formatted.
struct Fields<'a> {
    line: &'a mut String,
    result: fmt::Result,
}

impl Fields<'_> {
    fn push(&mut self, push: impl FnOnce(&mut String) -> fmt::Result) {
        if self.result.is_ok() {
            self.result = push(self.line);
        }
    }

    /// Appends a value that is written without quotes.
    fn push_bare(&mut self, field: &Field, value: impl fmt::Display) {
        self.push(|line| {
            push_key(line, field.name())?;
            write!(line, "{value}")
        });
    }

    /// Appends the text of a value.
    fn push_debug(&mut self, name: &str, value: &dyn Debug) {
        self.push(|line| {
            push_key(line, name)?;
            line.push('"');
            write!(InJson(line), "{value:?}")?;
            line.push('"');
            Ok(())
        });
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        // serde_json writes a value without a JSON form as `null`.
        self.push_bare(field, serde_json::Value::from(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push_bare(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push(|line| {
            push_key(line, field.name())?;
            push_number(line, value, 1);
            Ok(())
        });
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push_bare(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(|line| push_text(line, field.name(), value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.push_debug(field.name(), value);
    }
}
