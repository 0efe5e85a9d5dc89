//! The lines are compared with those of tracing-subscriber's own formats.

use std::error::Error;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use tracing::field::Empty;
use tracing::{Level, Span, Subscriber};
use tracing_subscriber::fmt::MakeWriter;

use super::*;
use crate::logging::subscriber::LineSubscriber;

/// The lines that a layer has written.
#[derive(Debug, Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Written {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Returns the lines that a subscriber writes for what `log` logs.
fn lines<S>(subscriber: impl FnOnce(Written) -> S, log: &dyn Fn()) -> String
where
    S: Subscriber + Send + Sync,
{
    let written = Written::default();
    tracing::subscriber::with_default(subscriber(written.clone()), log);
    let bytes = std::mem::take(&mut *written.0.lock().unwrap());
    String::from_utf8(bytes).unwrap()
}

/// Returns the lines in one of our formats.
fn ours(format: impl LineFormat, log: &dyn Fn()) -> String {
    lines(|written| LineSubscriber::new(Box::new(format), written), log)
}

/// Removes the time of the first line, after a check of its form.
#[track_caller]
fn without_time(mut lines: String, time: Range<usize>) -> String {
    let form: String =
        lines[time.clone()].chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(form, "0000-00-00T00:00:00.000000Z");
    lines.replace_range(time, "");
    lines
}

/// Asserts that both formats write the event that `log` logs as tracing-subscriber does.
#[track_caller]
fn check(log: &dyn Fn()) {
    let subscriber = |written| {
        tracing_subscriber::fmt().with_max_level(Level::TRACE).with_writer(written).with_ansi(false)
    };
    for has_target in [false, true] {
        let theirs = lines(|written| subscriber(written).with_target(has_target).finish(), log);
        let [ours, theirs] =
            [ours(TextLine::new(has_target), log), theirs].map(|lines| without_time(lines, 0..27));
        assert_eq!(ours, theirs);
    }
    let theirs = lines(|written| subscriber(written).json().flatten_event(true).finish(), log);
    let [ours, theirs] = [ours(JsonLine, log), theirs].map(|lines| without_time(lines, 14..41));
    assert_eq!(ours, theirs);
}

/// An error with its causes.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{text}")]
struct Failure {
    text: String,
    source: Option<Box<Failure>>,
}

/// The values of the fields of a span or an event.
#[derive(Debug, Clone)]
struct Values {
    text: Option<String>,
    shown: Option<String>,
    unsigned: Option<u64>,
    signed: Option<i64>,
    wide: Option<i128>,
    float: Option<f64>,
    flag: Option<bool>,
    bytes: Option<Vec<u8>>,
    failure: Option<Failure>,
}

impl Values {
    fn error(&self) -> Option<&(dyn Error + 'static)> {
        self.failure.as_ref().map(|failure| failure as &(dyn Error + 'static))
    }
}

/// Calls a macro of tracing with the values as fields.
macro_rules! with_fields {
    ($macro:ident($($first:tt)*), $values:ident, ($($last:tt)*)) => {
        tracing::$macro!(
            $($first)*
            text = $values.text.as_deref(),
            shown = $values.shown.as_deref().map(display),
            quoted = $values.shown.as_deref().map(debug),
            unsigned = $values.unsigned,
            signed = $values.signed,
            wide = $values.wide,
            float = $values.float,
            flag = $values.flag,
            bytes = $values.bytes.as_deref(),
            r#type = $values.text.as_deref(),
            r#where = $values.shown.as_deref().map(display),
            error = $values.error(),
            $($last)*
        )
    };
}

fn event(level: usize, values: &Values, message: &str) {
    match level {
        0 => with_fields!(event(Level::ERROR,), values, ("{message}")),
        1 => with_fields!(event(Level::WARN,), values, ("{message}")),
        2 => with_fields!(event(Level::INFO,), values, (message)),
        3 => with_fields!(event(target: "relay_\"server\"", Level::DEBUG,), values, ()),
        _ => with_fields!(event(Level::TRACE,), values, (message = values.error())),
    }
}

/// Opens a span with an empty field, which is recorded afterwards if there is a value for it.
fn span(values: &Values) -> Span {
    let span = with_fields!(error_span("request",), values, (later = Empty, name = Empty));
    if let Some(flag) = values.flag {
        span.record("later", values.text.as_deref());
        span.record("name", flag);
        span.record("later", values.unsigned);
    }
    span
}

/// Texts without control and invisible characters, which the library does not escape everywhere.
fn text() -> impl Strategy<Value = String> {
    let char = prop_oneof![any::<char>(), prop::char::range(' ', '\u{100}'), prop::char::range(' ', '~')];
    let char = char.prop_filter("a control or an invisible character", |char| !is_harmful(*char));
    prop::collection::vec(char, 0..12).prop_map(String::from_iter)
}

fn is_harmful(char: char) -> bool {
    char.is_control() || relay_config::is_invisible(char)
}

fn failure() -> impl Strategy<Value = Option<Failure>> {
    prop::collection::vec(text(), 0..4).prop_map(|texts| {
        let chain = |source: Option<Failure>, text| Some(Failure { text, source: source.map(Box::new) });
        texts.into_iter().fold(None, chain)
    })
}

fn values(float: impl Strategy<Value = f64>) -> impl Strategy<Value = Values> {
    use prop::option::of;
    let numbers = (of(any::<u64>()), of(any::<i64>()), of(any::<i128>()), of(float));
    let others = (of(any::<bool>()), of(prop::collection::vec(any::<u8>(), 0..4)), failure());
    (of(text()), of(text()), numbers, others).prop_map(|(text, shown, numbers, others)| {
        let ((unsigned, signed, wide, float), (flag, bytes, failure)) = (numbers, others);
        Values { text, shown, unsigned, signed, wide, float, flag, bytes, failure }
    })
}

proptest! {
    #[test]
    fn each_line_is_the_one_of_tracing_subscriber(
        // The library reads a float of a span again, and may be off by its last digit.
        spans in prop::collection::vec(values(any::<i32>().prop_map(|number| f64::from(number) / 8.0)), 0..4),
        event_values in values(any::<f64>()),
        level in 0..5_usize,
        message in text(),
    ) {
        check(&|| {
            let entered: Vec<_> = spans.iter().map(|values| span(values).entered()).collect();
            event(level, &event_values, &message);
            entered.into_iter().rev().for_each(drop);
        });
    }
}

#[test]
fn no_control_or_invisible_character_of_a_value_or_a_message_is_in_a_line() {
    let invisible = "\u{61c}\u{200b}\u{200d}\u{202e}\u{2066}\u{2069}\u{ad}\u{feff}\u{fe0f}\u{e0041}\u{e0100}";
    let text = String::from_iter('\0'..='\u{a0}') + invisible;
    let failure =
        Failure { text: text.clone(), source: Some(Box::new(Failure { text: text.clone(), source: None })) };
    let shown = (Some(text.clone()), Some(text.clone()), Some(failure));
    let values = Values {
        text: shown.0,
        shown: shown.1,
        unsigned: None,
        signed: None,
        wide: None,
        float: None,
        flag: Some(true),
        bytes: None,
        failure: shown.2,
    };
    for level in 0..5 {
        let log = || {
            let _span = span(&values).entered();
            event(level, &values, &text);
        };
        for line in [ours(TextLine::new(true), &log), ours(TerminalLine::new(false, true), &log)] {
            let line = line.strip_suffix('\n').unwrap();
            assert!(!line.contains(is_harmful), "{line:?}");
        }
    }
}

#[test]
fn events_of_other_spans_than_the_current_one_have_the_same_lines() {
    for is_within in [false, true] {
        check(&|| {
            let other = tracing::error_span!("other", number = 1);
            let _current = is_within.then(|| tracing::error_span!("current").entered());
            tracing::info!(parent: &other, "text");
        });
        check(&|| {
            let _current = is_within.then(|| tracing::error_span!("current").entered());
            tracing::info!(parent: None, "text");
        });
    }
}

#[test]
fn records_of_the_log_crate_have_the_same_lines() {
    check(&|| {
        let _span = tracing::error_span!("request", path = "/").entered();
        tracing::warn!(target: "log", { path = "/", "log.target" = "rustls::conn", "log.line" = 7 }, "text");
    });
}

#[test]
fn a_value_that_logs_while_it_is_formatted_gets_its_own_line() {
    struct Logs;
    impl fmt::Display for Logs {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let _span = tracing::error_span!("inner_span", number = 1).entered();
            tracing::info!("inner");
            f.write_str("outer")
        }
    }
    let lines = ours(TextLine::new(false), &|| {
        let span = tracing::error_span!("request", path = "/", later = Empty).entered();
        // What the values of a new span and of an event log reaches only the subscriber of a whole process.
        span.record("later", tracing::field::display(Logs));
        tracing::info!("text");
    });
    let texts: Vec<_> = lines.lines().map(|line| &line[34..]).collect();
    let expected =
        ["request{path=\"/\"}:inner_span{number=1}: inner", "request{path=\"/\" later=outer}: text"];
    assert_eq!(texts, expected);
}

#[test]
fn an_event_with_a_value_that_cannot_be_formatted_has_a_line() {
    struct Fails;
    impl fmt::Display for Fails {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            Err(fmt::Error)
        }
    }
    let lines = ours(TextLine::new(false), &|| {
        let _span = tracing::error_span!("request", path = "/", value = %Fails, later = 1).entered();
        tracing::info!(value = %Fails, later = 1, "text");
        tracing::info!("next");
    });
    let texts: Vec<_> = lines.lines().map(|line| &line[34..]).collect();
    let span = "request{path=\"/\" value=}:";
    let cut = "text value= (a value of this record cannot be formatted)";
    assert_eq!(texts, [format!("{span} {cut}"), format!("{span} next")]);
}
