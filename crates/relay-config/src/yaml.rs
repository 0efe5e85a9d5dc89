//! The YAML 1.2 parser: from text to a tree with places.
//!
//! Only the types of the core schema exist: `yes` and `on` are strings, `012` is a decimal number. Anchors and
//! aliases work within [`REPEATED_LIMIT`]. Merge keys, custom tags and several documents are refused.

use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use crate::error::{Fault, Place};
use crate::report::Report;
use crate::syntax::{Explained, Failure, explain_yaml, missing_blank, odd_character};
use crate::tree::{Entry, KeyPath, Node, Number, Value};

/// The largest number of values that the aliases of one file repeat. The values that a file contains itself are bounded by its
/// size: aliases of aliases are not.
const REPEATED_LIMIT: usize = 20_000;

/// The largest depth of nesting. The deepest setting is at level six.
pub(crate) const DEPTH_LIMIT: usize = 32;

const FORMAT: &str = "YAML";

/// Parses `text`. Returns `None` if it is not well-formed and the report has the problem. An empty file is an empty
/// map.
pub(crate) fn parse(name: &Arc<str>, text: &str, report: &mut Report) -> Option<Node> {
    let parser = Parser::new_from_str(text);
    let mut reader = Reader { name, text, parser, report, anchors: HashMap::new(), nodes: 0, repeated: 0 };
    match reader.stream() {
        Ok(root) => Some(root),
        Err(stop) => {
            let Stop { place, path, fault } = *stop;
            reader.report.problem(place, &path, fault);
            None
        }
    }
}

/// A problem that ends parsing at once.
struct Stop {
    place: Place,
    path: KeyPath,
    fault: Fault,
}

struct Reader<'a, 'r> {
    name: &'a Arc<str>,
    text: &'a str,
    parser: Parser<'a, StrInput<'a>>,
    report: &'r mut Report,
    /// The value of each anchor and its size. An anchor is absent while it is being read, so that it cannot contain
    /// itself.
    anchors: HashMap<usize, (Node, usize)>,
    /// The number of values so far, with those that aliases repeat.
    nodes: usize,
    /// The number of values that aliases have repeated so far.
    repeated: usize,
}

impl<'a> Reader<'a, '_> {
    fn stream(&mut self) -> Result<Node, Box<Stop>> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => {
                    let empty = || Node::new(self.place(&span.start), Value::Map(Vec::new()));
                    return Ok(root.unwrap_or_else(empty));
                }
                Event::DocumentStart(_) if root.is_some() => {
                    return Err(self.unsupported(
                        &span,
                        &KeyPath::default(),
                        "several documents are",
                        "remove everything from the second `---` on",
                    ));
                }
                Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
                event => {
                    let node = self.node(event, &span, &KeyPath::default(), 0)?;
                    root = Some(match node.value {
                        Value::Null => Node::new(node.at, Value::Map(Vec::new())),
                        _ => node,
                    });
                }
            }
        }
    }

    fn node(
        &mut self,
        event: Event<'a>,
        span: &Span,
        path: &KeyPath,
        depth: usize,
    ) -> Result<Node, Box<Stop>> {
        self.nodes += 1;
        if depth > DEPTH_LIMIT {
            let path = KeyPath::default();
            return Err(self.unsupported(span, &path, "nesting this deep is", "no setting needs it"));
        }
        let at = self.place(&span.start);
        let before = self.nodes;
        let (anchor, value) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                (anchor, self.scalar(text.into_owned(), style, tag.as_deref(), span, path)?)
            }
            Event::SequenceStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), "seq", span, path)?;
                (anchor, self.list(path, depth)?)
            }
            Event::MappingStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), "map", span, path)?;
                (anchor, self.map(path, depth)?)
            }
            Event::Alias(id) => {
                let Some((node, size)) = self.anchors.get(&id).cloned() else {
                    return Err(self.unsupported(
                        span,
                        path,
                        "an alias inside of its own anchor is",
                        "write it out",
                    ));
                };
                self.repeat(size, span, path)?;
                return Ok(node);
            }
            _ => return Err(self.syntax(&span.start, "a value was expected")),
        };
        let node = Node::new(at, value);
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), self.nodes - before));
        }
        Ok(node)
    }

    fn list(&mut self, path: &KeyPath, depth: usize) -> Result<Value, Box<Stop>> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::List(items)),
                (event, span) => items.push(self.node(event, &span, &path.index(items.len()), depth + 1)?),
            }
        }
    }

    fn map(&mut self, path: &KeyPath, depth: usize) -> Result<Value, Box<Stop>> {
        let mut entries: Vec<Entry> = Vec::new();
        // The line of each key.
        let mut lines: HashMap<String, usize> = HashMap::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(Value::Map(entries));
            }
            let (at, line) = (self.place(&span.start), span.start.line().max(1));
            let key = self.map_key(event, &span, path)?;
            let below = path.key(&key);
            let (event, span) = self.next()?;
            let node = self.node(event, &span, &below, depth + 1)?;
            if let Some((at_value, name)) = missing_blank(&key).filter(|_| matches!(node.value, Value::Null))
            {
                self.missing_blank(&at, at_value, &path.key(name));
                continue;
            }
            match lines.get(&key) {
                Some(&first) => self.report.problem(at, &below, Fault::DuplicateKey { first }),
                None => {
                    lines.insert(key.clone(), line);
                    entries.push(Entry { key, at, node });
                }
            }
        }
    }

    /// Reports a key without a value that contains `key:value`. The value may be a secret, so it is not shown.
    fn missing_blank(&mut self, key: &Place, at_value: usize, path: &KeyPath) {
        if let Place::File { name, line, column } = key {
            let place = Place::File { name: name.clone(), line: *line, column: column + at_value };
            let message = "a space is missing after the colon of the key".to_owned();
            self.report.problem(place, path, Fault::Syntax { format: FORMAT, message });
        }
    }

    fn map_key(&mut self, event: Event<'a>, span: &Span, path: &KeyPath) -> Result<String, Box<Stop>> {
        match event {
            Event::Scalar(text, ScalarStyle::Plain, 0, None) if text == "<<" => Err(self.unsupported(
                span,
                path,
                "a merge key (`<<`) is",
                "write the keys out, or use an alias",
            )),
            Event::Scalar(text, style, 0, None) => {
                if let Some(odd) = odd_character(&text).filter(|_| style == ScalarStyle::Plain) {
                    let fault = Fault::Syntax { format: FORMAT, message: odd.message() };
                    return Err(self.stop(span.start.line(), span.start.col() + odd.at + 1, fault));
                }
                Ok(text.into_owned())
            }
            _ => Err(self.unsupported(span, path, "a key that is not plain text is", "write a name")),
        }
    }

    fn scalar(
        &self,
        text: String,
        style: ScalarStyle,
        tag: Option<&Tag>,
        span: &Span,
        path: &KeyPath,
    ) -> Result<Value, Box<Stop>> {
        match tag {
            None if style == ScalarStyle::Plain => Ok(plain(text)),
            None => Ok(Value::Text(text)),
            Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => Ok(Value::Text(text)),
            Some(_) => Err(self.unsupported(
                span,
                path,
                "a tag other than !!str is",
                "remove it, since the setting determines the type",
            )),
        }
    }

    fn check_tag(&self, tag: Option<&Tag>, own: &str, span: &Span, path: &KeyPath) -> Result<(), Box<Stop>> {
        match tag {
            Some(tag) if !(tag.is_yaml_core_schema() && tag.suffix == own) => Err(self.unsupported(
                span,
                path,
                "a tag other than !!str is",
                "remove it, since the setting determines the type",
            )),
            _ => Ok(()),
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Box<Stop>> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(self.scan_error(&error)),
            None => Err(self.syntax(&Marker::default(), "unexpected end of the text")),
        }
    }

    /// Counts the values that an alias repeats.
    fn repeat(&mut self, nodes: usize, span: &Span, path: &KeyPath) -> Result<(), Box<Stop>> {
        self.nodes += nodes;
        self.repeated += nodes;
        if self.repeated > REPEATED_LIMIT {
            let what = "aliases that repeat more than 20000 values are";
            return Err(self.unsupported(span, path, what, "use fewer aliases"));
        }
        Ok(())
    }

    fn scan_error(&self, error: &ScanError) -> Box<Stop> {
        self.syntax(error.marker(), error.info())
    }

    fn syntax(&self, at: &Marker, words: &str) -> Box<Stop> {
        let failure = Failure { line: at.line().max(1), column: at.col() + 1, words };
        let Explained { line, column, message } = explain_yaml(self.text, failure);
        self.stop(line, column, Fault::Syntax { format: FORMAT, message })
    }

    fn stop(&self, line: usize, column: usize, fault: Fault) -> Box<Stop> {
        let place = Place::File { name: self.name.clone(), line, column };
        Box::new(Stop { place, path: KeyPath::default(), fault })
    }

    fn unsupported(
        &self,
        span: &Span,
        path: &KeyPath,
        what: &'static str,
        instead: &'static str,
    ) -> Box<Stop> {
        let fault = Fault::Unsupported { what, instead };
        Box::new(Stop { place: self.place(&span.start), path: path.clone(), fault })
    }

    fn place(&self, marker: &Marker) -> Place {
        Place::File { name: self.name.clone(), line: marker.line().max(1), column: marker.col() + 1 }
    }
}

/// Returns the value of a plain scalar.
/// # Source
/// YAML 1.2, section 10.3.2, core schema.
fn plain(text: String) -> Value {
    match text.as_str() {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => match number(&text) {
            Some(whole) => Value::Number(Number { text, whole }),
            None => Value::Text(text),
        },
    }
}

/// Returns `Some(Some(_))` for an integer, `Some(None)` for any other number, and `None` if `text` is not a number.
fn number(text: &str) -> Option<Option<i128>> {
    let radix = |prefix: &str, radix| {
        text.strip_prefix(prefix)
            .filter(|d| !d.starts_with('+'))
            .and_then(|d| i128::from_str_radix(d, radix).ok())
    };
    if let Some(whole) = radix("0x", 16).or_else(|| radix("0o", 8)) {
        return Some(Some(whole));
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Some(None);
    }
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    match text.parse::<i128>() {
        Ok(whole) => Some(Some(whole)),
        Err(_) => text.parse::<f64>().ok().map(|_| None),
    }
}
