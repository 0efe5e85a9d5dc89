//! The SSE parser returns the same events for every way of chunking and loses no byte.

use std::borrow::Cow;

use bytes::Bytes;
use proptest::prelude::*;
use relay_stream::sse::SseParser;

type Event = (String, Vec<u8>, Option<String>, Option<std::time::Duration>);

/// Returns the events of a stream that arrives in `chunks`, and all bytes of its blocks.
fn parse<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Event>, Vec<u8>) {
    let mut parser = SseParser::new();
    let (mut events, mut bytes) = (Vec::new(), Vec::new());
    for chunk in chunks {
        let mut chunk = Bytes::copy_from_slice(chunk);
        while let Some(block) = parser.parse(&mut chunk).expect("smaller than the limit") {
            bytes.extend_from_slice(block.raw());
            events.extend(block.event().map(|event| {
                let id = event.id.map(Cow::into_owned);
                (event.name.into_owned(), event.data.into_owned(), id, event.retry)
            }));
        }
        assert!(chunk.is_empty());
    }
    bytes.extend_from_slice(parser.remaining());
    (events, bytes)
}

/// Generates streams of valid and invalid lines.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        "(event|data|id|retry|other|): ?[a-z0-9: ]{0,12}".prop_map(String::into_bytes),
        Just(b"data".to_vec()),
        Just(Vec::new()),
        proptest::collection::vec(any::<u8>(), 0..8),
    ];
    let end = prop::sample::select(vec!["\n", "\r\n", "\r"]);
    let bom = prop::sample::select(vec!["", "\u{feff}"]);
    (bom, proptest::collection::vec((line, end), 0..30)).prop_map(|(bom, lines)| {
        let lines = lines.into_iter().flat_map(|(line, end)| [line, end.into()]).flatten();
        bom.bytes().chain(lines).collect()
    })
}

proptest! {
    #[test]
    fn every_way_of_chunking_gives_the_same_events_and_bytes(stream in stream(), sizes in proptest::collection::vec(1_usize..20, 1..40)) {
        let (events, bytes) = parse([&stream[..]]);
        prop_assert_eq!(&bytes, &stream);
        let mut rest = &stream[..];
        let chunks = sizes.iter().cycle().map_while(|size| {
            let (chunk, after) = rest.split_at((*size).min(rest.len()));
            rest = after;
            (!chunk.is_empty()).then_some(chunk)
        });
        prop_assert_eq!(parse(chunks), (events, bytes));
    }
}

#[test]
fn a_byte_order_mark_in_several_chunks_is_removed() {
    let (events, _) = parse("\u{feff}data: 1\n\n".as_bytes().chunks(1));
    assert_eq!(events, [("message".into(), b"1".to_vec(), None, None)]);
}

#[test]
fn an_event_of_many_small_chunks_is_parsed_in_linear_time() {
    let mut parser = SseParser::new();
    let mut count = 0;
    for _ in 0..2_000_000 {
        count += usize::from(parser.parse(&mut Bytes::from_static(b"data: x")).unwrap().is_some());
    }
    assert_eq!((count, parser.remaining().len()), (0, 14_000_000));
}
