//! Streams of Bedrock: the translator writes the same well-formed events for every way of chunking, and ends regularly only
//! after `message_stop` or an error. The frames are those of the input with repaired checksums, or are encoded around JSON
//! of the input.

use bytes::BytesMut;
use relay_stream::OnBreak;
use relay_stream::bedrock::{TranslateError, Translator, write_chunk, write_error, write_exception};
use relay_stream::frame::{HeaderValue, write_message};
use relay_stream::sse::SseParser;

use super::chunks::{cut, repair, sizes_and_stream};

fn translate<'a>(
    chunks: impl Iterator<Item = &'a [u8]>,
    on_break: OnBreak,
) -> (BytesMut, Result<(), TranslateError>) {
    let mut translator = Translator::new().with_on_break(on_break);
    let mut out = BytesMut::new();
    for chunk in chunks {
        if let Err(error) = translator.push(chunk, &mut out) {
            return (out, Err(error));
        }
    }
    let end = translator.finish(&mut out);
    (out, end)
}

/// Returns the names of the events in `out`, and asserts that it contains nothing else.
fn names(out: BytesMut) -> Vec<String> {
    let (mut parser, mut out, mut names) = (SseParser::new(), out.freeze(), Vec::new());
    while let Some(block) = parser.parse(&mut out).expect("smaller than the limit") {
        names.push(block.event().expect("every block is an event").name.into_owned());
    }
    assert!(parser.remaining().is_empty());
    names
}

/// Builds a stream of complete frames of every kind. Their text is that of the input.
fn build(input: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    for part in input.split(|&byte| byte == 0xff) {
        let (kind, body) = part.split_first().map_or((0, part), |(kind, body)| (*kind, body));
        let text = String::from_utf8_lossy(body);
        let name = text.get(..text.len().min(20)).unwrap_or_default();
        // A message that is too long for the format is skipped.
        let _ = match kind % 6 {
            0 | 1 => write_chunk(body, "abc", &mut out),
            2 => write_exception(name, &text, &mut out),
            3 => write_error(name, name, &mut out),
            4 => write_chunk(format!("{{\"type\":\"message_stop\",{text}}}").as_bytes(), &text, &mut out),
            _ => {
                let headers = [
                    (":message-type", HeaderValue::String("event")),
                    (":event-type", HeaderValue::String("chunk")),
                ];
                write_message(headers, body, &mut out)
            }
        };
    }
    out.to_vec()
}

/// Checks one input of the fuzzer.
///
/// # Panics
/// If a rule above does not hold.
pub fn check(input: &[u8]) {
    let (sizes, stream) = sizes_and_stream(input);
    let stream = if input.first().is_some_and(|byte| byte & 0x80 == 0) {
        build(stream)
    } else {
        let mut stream = stream.to_vec();
        repair(&mut stream);
        stream
    };
    let (out, end) = translate(std::iter::once(&stream[..]), OnBreak::Abort);
    assert_eq!(translate(cut(&stream, sizes), OnBreak::Abort), (out.clone(), end.clone()));
    let names_of_all = names(out.clone());
    let complete = names_of_all.iter().any(|name| name == "message_stop" || name == "error");
    assert!(complete || end.is_err());
    let (with_event, clean) = translate(cut(&stream, sizes), OnBreak::ErrorEvent);
    assert_eq!(clean, Ok(()));
    assert!(with_event.starts_with(&out));
    let last = names(with_event).pop();
    assert!(complete || last.as_deref() == Some("error"));
}
