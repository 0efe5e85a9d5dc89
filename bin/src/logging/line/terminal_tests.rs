//! The lines on a terminal.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use tracing::Level;

use super::columns::columns;
use super::*;
use crate::logging::subscriber::LineSubscriber;

#[derive(Clone, Default)]
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

/// Returns the line of what `log` logs, after a check of its time, which is replaced.
fn line(has_colours: bool, log: impl FnOnce()) -> String {
    let written = Written::default();
    let writer = written.clone();
    let format = Box::new(TerminalLine::new(has_colours, false));
    tracing::subscriber::with_default(LineSubscriber::new(format, move || writer.clone()), log);
    let line = String::from_utf8(std::mem::take(&mut *written.0.lock().unwrap())).unwrap();
    let (time, rest) = line.split_at(9);
    let form: String = time.chars().map(|char| if char.is_ascii_digit() { '0' } else { char }).collect();
    assert_eq!(form, "00:00:00Z");
    form + rest.strip_suffix('\n').unwrap()
}

/// The texts of a request.
#[derive(Debug, Clone, Default)]
struct Texts {
    id: String,
    upstream_id: Option<String>,
    method: String,
    path: String,
    model: Option<String>,
    provider: Option<String>,
    error: Option<String>,
    end: Option<String>,
}

/// The numbers of a request.
#[derive(Debug, Clone, Copy, Default)]
struct Numbers {
    status: Option<u16>,
    tries: Option<usize>,
    total_ms: u64,
    input: Option<u64>,
    cached: Option<u64>,
    output: Option<u64>,
    cost: Option<f64>,
    is_estimated: Option<bool>,
}

macro_rules! request {
    ($level:expr, $texts:expr, $numbers:expr) => {{
        let (texts, numbers) = ($texts, $numbers);
        tracing::event!(
            target: "relay_server::access_log",
            $level,
            request_id = texts.id,
            upstream_request_id = texts.upstream_id.as_deref(),
            method = texts.method,
            path = texts.path,
            status = numbers.status,
            model = texts.model.as_deref(),
            provider = texts.provider.as_deref(),
            tries = numbers.tries,
            error = texts.error.as_deref(),
            total_ms = numbers.total_ms,
            input_tokens = numbers.input,
            cache_read_tokens = numbers.cached,
            output_tokens = numbers.output,
            cost_usd = numbers.cost,
            estimated = numbers.is_estimated,
            end = texts.end.as_deref(),
            "request"
        );
    }};
}

fn text(value: &str) -> Option<String> {
    Some(value.to_owned())
}

fn answered() -> (Texts, Numbers) {
    let texts = Texts {
        id: "req_0123456789abcdef01234567".into(),
        upstream_id: text("req_011CSHoEeqs5C35K2UUqR7Fy"),
        method: "POST".into(),
        path: "/v1/messages".into(),
        model: text("claude-opus-5-5"),
        provider: text("anthropic"),
        error: None,
        end: text("complete"),
    };
    let numbers = Numbers {
        status: Some(200),
        tries: None,
        total_ms: 12_345,
        input: Some(300),
        cached: Some(12_000),
        output: Some(1234),
        cost: Some(0.1234),
        is_estimated: None,
    };
    (texts, numbers)
}

#[test]
fn the_columns_of_requests_are_aligned() {
    let (texts, numbers) = answered();
    let plain = |texts: &Texts, numbers: Numbers| line(false, || request!(Level::INFO, texts, numbers));
    let expected = [
        "00:00:00Z INFO  200 claude-opus-5-5      anthropic      12.3k/1.2k $0.1234  12.3s           req_011CSHoEeqs5C35K2UUqR7Fy",
        "00:00:00Z INFO  200 claude-opus-5-5      anthropic      12.3k/1.2k $0.1234  12.3s 2 tries   req_011CSHoEeqs5C35K2UUqR7Fy",
        "00:00:00Z INFO  200 claude-opus-5-5      anthropic     12.3k/~1.2k $0.1234  12.3s abandoned req_011CSHoEeqs5C35K2UUqR7Fy",
        "00:00:00Z INFO  401 POST /v1/messages    -            no credential: send…   12ms           req_0123456789abcdef01234567",
        "00:00:00Z INFO  200 anthropic.claude-so… bedrock               -/-       -  12.3s   0f9b3a52-8f0e-4f7c-9d52-1c2f2d1f3e4a",
    ];
    let found = [
        plain(&texts, numbers),
        plain(&texts, Numbers { tries: Some(2), ..numbers }),
        plain(
            &Texts { end: text("abandoned"), ..texts.clone() },
            Numbers { is_estimated: Some(true), ..numbers },
        ),
        plain(
            &Texts {
                model: None,
                provider: None,
                upstream_id: None,
                error: text("no credential: send one as x-api-key"),
                ..texts.clone()
            },
            Numbers { status: Some(401), total_ms: 12, ..Numbers::default() },
        ),
        plain(
            &Texts {
                model: text("anthropic.claude-sonnet-5-5-v1:0"),
                provider: text("bedrock"),
                upstream_id: text("0f9b3a52-8f0e-4f7c-9d52-1c2f2d1f3e4a"),
                ..texts
            },
            Numbers { status: Some(200), total_ms: 12_345, ..Numbers::default() },
        ),
    ];
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected);
        assert_eq!(columns(found), 120);
    }
}

#[test]
fn colours_add_no_columns() {
    let (texts, numbers) = answered();
    let coloured = line(true, || request!(Level::WARN, &texts, numbers));
    let plain = line(false, || request!(Level::WARN, &texts, numbers));
    assert!(coloured.contains("\x1b[33mWARN \x1b[0m \x1b[32m200\x1b[0m"), "{coloured:?}");
    let mut stripped = coloured;
    for code in ["\x1b[33m", "\x1b[32m", "\x1b[2m", "\x1b[0m"] {
        stripped = stripped.replace(code, "");
    }
    assert_eq!(stripped, plain);
}

#[test]
fn another_event_has_its_message_first_and_its_spans_last() {
    let found = line(false, || {
        let _span = tracing::error_span!("request", request_id = "req_1").entered();
        tracing::warn!(provider = "zai", "circuit");
    });
    assert_eq!(found, "00:00:00Z WARN  circuit provider=\"zai\" request{request_id=\"req_1\"}:");
    assert_eq!(line(false, || tracing::info!("stopped")), "00:00:00Z INFO  stopped");
}

fn any_text() -> impl Strategy<Value = String> {
    let char = prop_oneof![any::<char>(), prop::char::range('\0', '\u{a0}'), prop::char::range(' ', '~')];
    prop::collection::vec(char, 0..60).prop_map(String::from_iter)
}

proptest! {
    #[test]
    fn every_request_has_one_line_of_at_most_120_columns_with_the_id_of_the_client(
        (path, method, model) in (any_text(), any_text(), prop::option::of(any_text())),
        (provider, error, end) in (prop::option::of(any_text()), prop::option::of(any_text()), prop::option::of(any_text())),
        id in "[!-~]{1,55}",
        upstream_id in prop::option::of("[!-~]{1,55}"),
        (status, tries, total_ms) in (prop::option::of(any::<u16>()), prop::option::of(any::<usize>()), any::<u64>()),
        (input, cached, output) in (prop::option::of(any::<u64>()), prop::option::of(any::<u64>()), prop::option::of(any::<u64>())),
        (cost, is_estimated) in (prop::option::of(any::<f64>()), prop::option::of(any::<bool>())),
    ) {
        let texts = Texts { id, upstream_id, method, path, model, provider, error, end };
        let numbers = Numbers { status, tries, total_ms, input, cached, output, cost, is_estimated };
        let found = line(false, || request!(Level::INFO, &texts, numbers));
        prop_assert!(columns(&found) <= 120, "{} columns: {found:?}", columns(&found));
        prop_assert!(!found.contains(char::is_control), "{found:?}");
        prop_assert!(found.ends_with(texts.upstream_id.as_ref().unwrap_or(&texts.id)), "{found:?}");
    }

    #[test]
    fn an_id_of_any_length_leaves_the_line_within_120_columns(id in any_text().prop_map(|id| id.repeat(4))) {
        let (texts, numbers) = answered();
        let texts = Texts { upstream_id: Some(id), ..texts };
        let found = line(false, || request!(Level::INFO, &texts, numbers));
        prop_assert!(columns(&found) <= 120 && !found.contains(char::is_control), "{found:?}");
    }
}
