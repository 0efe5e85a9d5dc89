//! Streams of server-sent events: the parser, the watch, the normalizer and the editor give the same result for every way of
//! chunking. The editor changes nothing but a model name, and normalized events stay as they are.

use bytes::{Bytes, BytesMut};
use relay_stream::MessageStartEditor;
use relay_stream::events::{EventNormalizer, UnknownEvents};
use relay_stream::sse::{SseParser, write_event};
use relay_stream::thinking::Thinking;
use relay_stream::watch::{SseWatch, StreamReport};

use super::chunks::{cut, sizes_and_stream};

type Event = (String, Vec<u8>, Option<String>, Option<std::time::Duration>);

fn parse<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> (Vec<Event>, Vec<u8>) {
    let mut parser = SseParser::new();
    let (mut events, mut bytes) = (Vec::new(), Vec::new());
    for chunk in chunks {
        let mut chunk = Bytes::copy_from_slice(chunk);
        while let Some(block) = parser.parse(&mut chunk).expect("smaller than the limit") {
            bytes.extend_from_slice(block.raw());
            events.extend(block.event().map(|event| {
                let id = event.id.map(std::borrow::Cow::into_owned);
                (event.name.into_owned(), event.data.into_owned(), id, event.retry)
            }));
        }
    }
    bytes.extend_from_slice(parser.remaining());
    (events, bytes)
}

fn watch<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> (StreamReport, Vec<Thinking>) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let mut watch = SseWatch::new().with_on_thinking(move |thinking| {
        sender.send(thinking).expect("the receiver outlives the watch");
    });
    chunks.for_each(|chunk| watch.observe(chunk));
    watch.finish();
    let report = watch.into_report();
    (report, receiver.iter().collect())
}

fn normalize<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> (Vec<u8>, StreamReport, bool) {
    let mut events = EventNormalizer::new(UnknownEvents::Drop);
    let out = chunks.flat_map(|chunk| events.push(Bytes::copy_from_slice(chunk))).collect();
    (out, events.report().clone(), events.damaged().is_some())
}

fn edit<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut editor = MessageStartEditor::rename("m");
    let mut out: Vec<u8> = chunks.flat_map(|chunk| editor.push(Bytes::copy_from_slice(chunk))).collect();
    out.extend_from_slice(&editor.finish());
    out
}

/// Checks one input of the fuzzer.
///
/// # Panics
/// If a rule above does not hold.
pub fn check(input: &[u8]) {
    let (sizes, stream) = sizes_and_stream(input);
    let whole = || std::iter::once(stream);
    let (events, bytes) = parse(whole());
    assert_eq!(bytes, stream);
    assert_eq!(parse(cut(stream, sizes)), (events.clone(), bytes));
    assert_eq!(watch(cut(stream, sizes)), watch(whole()));
    let edited = edit(whole());
    assert_eq!(edit(cut(stream, sizes)), edited);
    if edited != stream {
        let before = edited.iter().zip(stream).take_while(|(a, b)| a == b).count();
        let after = edited.iter().rev().zip(stream.iter().rev()).take_while(|(a, b)| a == b).count();
        assert!(before + after + "\"m\"".len() >= edited.len());
    }
    let normalized = normalize(whole());
    assert_eq!(normalize(cut(stream, sizes)), normalized);
    let (again, report, damaged) = normalize(std::iter::once(&normalized.0[..]));
    assert_eq!((&again, &report, damaged), (&normalized.0, &normalized.1, false));
    for (name, data, ..) in events {
        let mut out = BytesMut::new();
        write_event(&name, &data, &mut out);
        let (again, _) = parse(std::iter::once(&out[..]));
        let joined = String::from_utf8_lossy(&data).replace("\r\n", "\n").replace('\r', "\n");
        assert_eq!(again.len(), 1);
        assert_eq!(again[0].0, name);
        assert_eq!(String::from_utf8_lossy(&again[0].1), joined);
    }
}
