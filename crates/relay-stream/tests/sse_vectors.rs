//! The stream of events agrees with an independent implementation of the standard, for every way of chunking.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use proptest::prelude::*;
use relay_stream::sse::{SseEventStream, SseParser};
use serde_json::Value;

/// The name, the data and the last event ID of one event.
type Event = (String, String, String);

/// Everything that a client reads from a stream: its events, the last event ID at the end, and the reconnection time.
#[derive(Debug, PartialEq)]
struct Reading {
    events: Vec<Event>,
    last_event_id: String,
    retry: Option<Duration>,
}

fn read<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Reading {
    let chunks: Vec<_> =
        chunks.into_iter().map(|chunk| Ok::<_, Infallible>(Bytes::copy_from_slice(chunk))).collect();
    tokio_test::block_on(async {
        let mut stream = pin!(SseEventStream::new(stream::iter(chunks), SseParser::new()));
        let mut events = Vec::new();
        while let Some(event) = stream.next().await {
            let event = event.expect("smaller than the limit");
            let id = stream.last_event_id().unwrap_or_default().to_owned();
            events.push((event.name.clone().into_owned(), event.text().into_owned(), id));
        }
        let last_event_id = stream.last_event_id().unwrap_or_default().to_owned();
        Reading { events, last_event_id, retry: stream.retry() }
    })
}

fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

/// Returns the name, the bytes and the expected reading of each vector; see `testdata/README.md`.
fn vectors() -> Vec<(String, Vec<u8>, Reading)> {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("../testdata/sse.json")).expect("valid JSON");
    let vector = |vector: Value| {
        let bytes = match vector["base64"].as_str() {
            Some(bytes) => base64_simd::STANDARD.decode_to_vec(bytes).expect("base64"),
            None => text(&vector["stream"]).into_bytes(),
        };
        let events = vector["events"].as_array().expect("an array").iter();
        let events =
            events.map(|event| (text(&event["name"]), text(&event["data"]), text(&event["last_event_id"])));
        let retry = vector["retry"].as_u64().map(Duration::from_millis);
        let last_event_id = text(&vector["last_event_id"]);
        (text(&vector["name"]), bytes, Reading { events: events.collect(), last_event_id, retry })
    };
    vectors.into_iter().map(vector).collect()
}

#[test]
fn every_vector_is_read_like_the_independent_implementation_at_every_cut() {
    for (name, bytes, expected) in vectors() {
        assert_eq!(read([&bytes[..]]), expected, "{name}");
        assert_eq!(read(bytes.chunks(1)), expected, "{name}, byte by byte");
        for cut in 1..bytes.len() {
            assert_eq!(read([&bytes[..cut], &bytes[cut..]]), expected, "{name}, cut at {cut}");
        }
    }
}

/// A later empty `event` field resets the name by the standard. The implementation that made the vectors ignores it.
#[test]
fn an_empty_event_field_resets_the_name() {
    let reading = read([&b"event: a\nevent:\ndata: x\n\n"[..]]);
    assert_eq!(reading.events, [("message".to_owned(), "x".to_owned(), String::new())]);
}

proptest! {
    #[test]
    fn every_way_of_chunking_gives_the_same_events(
        order in proptest::collection::vec(0..vectors().len(), 1..6),
        sizes in proptest::collection::vec(1_usize..30, 1..20),
    ) {
        let vectors = vectors();
        let stream = order.iter().map(|index| &vectors[*index].1[..]).collect::<Vec<_>>().concat();
        let mut rest = &stream[..];
        let chunks = sizes.iter().cycle().map_while(|size| {
            let (chunk, after) = rest.split_at((*size).min(rest.len()));
            rest = after;
            (!chunk.is_empty()).then_some(chunk)
        });
        prop_assert_eq!(read(chunks), read([&stream[..]]));
    }
}
