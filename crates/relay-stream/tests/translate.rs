//! A stream from an independent encoder becomes the expected events, byte for byte, for every way of
//! chunking. A part of it never ends like a complete stream.

use bytes::BytesMut;
use proptest::prelude::*;
use relay_stream::bedrock::{TranslateError, Translator};
use relay_stream::watch::SseWatch;

const CAPTURE: &[u8] = include_bytes!("../testdata/message.eventstream");
const EVENTS: &[u8] = include_bytes!("../testdata/message.sse");

fn translate<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (BytesMut, Result<(), TranslateError>) {
    let (mut translator, mut out) = (Translator::new(), BytesMut::new());
    let pushed = chunks.into_iter().try_for_each(|chunk| translator.push(chunk, &mut out));
    let result = pushed.and_then(|()| translator.finish(&mut out));
    (out, result)
}

#[test]
fn the_capture_becomes_the_expected_events() {
    assert_eq!(translate([CAPTURE]), (BytesMut::from(EVENTS), Ok(())));
    assert_eq!(translate(CAPTURE.chunks(1)), (BytesMut::from(EVENTS), Ok(())));
    assert_eq!(translate(CAPTURE.chunks(1400)), (BytesMut::from(EVENTS), Ok(())));
}

#[test]
fn the_usage_of_the_capture_is_read_from_the_events() {
    let mut watch = SseWatch::new();
    EVENTS.chunks(33).for_each(|chunk| watch.observe(chunk));
    let report = watch.report();
    let usage = report.usage;
    assert_eq!((usage.input_tokens, usage.output_tokens), (Some(27), Some(93)));
    assert_eq!(
        (usage.cache_creation_input_tokens, usage.cache_read_input_tokens),
        (Some(1200), Some(15_000))
    );
    assert_eq!((usage.ephemeral_5m_input_tokens, usage.ephemeral_1h_input_tokens), (Some(1000), Some(200)));
    assert_eq!(report.stop_reason.as_deref(), Some("tool_use"));
    assert!(report.is_complete() && report.error.is_none());
}

#[test]
fn a_part_of_the_capture_never_ends_regularly() {
    for len in (0..CAPTURE.len()).step_by(3) {
        let (out, result) = translate([&CAPTURE[..len]]);
        assert!(result.is_err(), "cut at {len}");
        assert!(EVENTS.starts_with(&out), "cut at {len}");
    }
}

#[test]
fn a_changed_byte_is_always_an_error() {
    let mut capture = CAPTURE.to_vec();
    for at in (0..CAPTURE.len()).step_by(7) {
        capture[at] ^= 0x10;
        let (out, result) = translate([&capture[..]]);
        assert!(matches!(result, Err(TranslateError::Frame(_))), "changed at {at}");
        assert!(EVENTS.starts_with(&out), "changed at {at}");
        capture[at] ^= 0x10;
    }
}

proptest! {
    #[test]
    fn every_way_of_chunking_gives_the_same_events(sizes in proptest::collection::vec(1_usize..3000, 1..40)) {
        let mut rest = CAPTURE;
        let chunks = sizes.iter().cycle().map_while(|size| {
            let (chunk, after) = rest.split_at((*size).min(rest.len()));
            rest = after;
            (!chunk.is_empty()).then_some(chunk)
        });
        prop_assert_eq!(translate(chunks), (BytesMut::from(EVENTS), Ok(())));
    }
}
