//! The watches find signatures in streams and in JSON messages for every way of chunking.

use std::sync::mpsc::{self, Receiver};

use proptest::prelude::*;
use relay_stream::thinking::{Thinking, ThinkingId};
use relay_stream::watch::{JsonWatch, SseWatch, StreamReport};

const STREAM: &str = concat!(
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":",
    "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"thinking_delta\",",
    "\"thinking\":\"the \\\"signature\\\":\\\"x\\\" and a \\\\\"}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"signature_delta\",",
    "\"signature\" : \"EqQB/CgIYAg==\"}}\n\n",
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"content_block\":",
    "{\"type\":\"redacted_thinking\",\"data\":\"EmwK\\/A\"}}\n\n",
    "data: {\"type\":\"image\",\"data\":\"no thinking\",\"name\":\"signature\"}\n\n",
);

/// Returns a sink, and the receiver of all that it is called with.
fn sink() -> (impl FnMut(Thinking) + Send + 'static, Receiver<Thinking>) {
    let (sender, receiver) = mpsc::channel();
    let sink = move |thinking| sender.send(thinking).expect("the receiver outlives the watch");
    (sink, receiver)
}

fn in_events<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Thinking>, StreamReport) {
    let (on_thinking, seen) = sink();
    let mut watch = SseWatch::new().with_on_thinking(on_thinking);
    chunks.into_iter().for_each(|chunk| watch.observe(chunk));
    watch.finish();
    (seen.try_iter().collect(), watch.into_report())
}

fn in_json<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Thinking>, StreamReport) {
    let (on_thinking, seen) = sink();
    let mut watch = JsonWatch::new().with_on_thinking(on_thinking);
    chunks.into_iter().for_each(|chunk| watch.observe(chunk));
    watch.finish();
    (seen.try_iter().collect(), watch.report().clone())
}

fn signed(signature: &[u8]) -> Thinking {
    Thinking::Signed(ThinkingId::of(signature))
}

#[test]
fn signatures_are_found_wherever_the_stream_is_cut() {
    let expected = [signed(b"EqQB/CgIYAg=="), signed(b"EmwK/A")];
    assert_eq!(in_events([STREAM.as_bytes()]).0, expected);
    for cut in 0..STREAM.len() {
        let (a, b) = STREAM.as_bytes().split_at(cut);
        assert_eq!(in_events([a, b]).0, expected, "cut at {cut}");
    }
    assert_eq!(in_events(STREAM.as_bytes().chunks(1)).0, expected);
}

#[test]
fn signatures_are_found_in_every_line_ending() {
    for end in ["\r\n", "\r"] {
        let stream = STREAM.replace('\n', end);
        assert_eq!(in_events(stream.as_bytes().chunks(7)).0, in_events([STREAM.as_bytes()]).0);
    }
}

#[test]
fn signatures_are_found_in_a_json_message() {
    let message = r#"{"content":[{"signature":"a/b","thinking":"t","type":"thinking"},{"type":"redacted_thinking", "data":"c"}],"id":"m"}"#;
    let (seen, report) = in_json([message.as_bytes()]);
    assert_eq!(seen, [signed(br"a\/b"), signed(b"c")]);
    assert_eq!(report.id.as_deref(), Some("m"));
    assert!(report.is_complete());
}

#[test]
fn thinking_without_a_signature_is_reported_at_the_end() {
    #[track_caller]
    fn check(text: &str, expected: &[Thinking]) {
        assert_eq!(in_json([text.as_bytes()]).0, expected, "{text}");
        let event = format!("event: message_start\ndata: {text}\n\n");
        assert_eq!(in_events([event.as_bytes()]).0, expected, "{event}");
    }
    check(r#"{"type":"thinking","thinking":"t"}"#, &[Thinking::Unsigned]);
    check(r#"{"type":"thinking","thinking":"t","signature":""}"#, &[Thinking::Unsigned]);
    check(r#"{"type":"thinking","thinking":"t","signature":null,"x":"y"}"#, &[Thinking::Unsigned]);
    check(r#"{"type":"thinking","signature":"s"}"#, &[signed(b"s")]);
    check(r#"{"type":"text","text":"thinking about \"thinking\""}"#, &[]);
    check(r#"{"type":"text","text":"\"signature\":\"no\"","a\"signature":"no"}"#, &[]);
}

#[test]
fn text_and_tool_input_are_not_searched() {
    for delta in ["text_delta", "input_json_delta"] {
        let stream = format!(
            "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":\
             {{\"type\":\"{delta}\",\"x\":\"thinking\",\"signature\":\"s\"}}}}\n\n{STREAM}"
        );
        assert_eq!(in_events(stream.as_bytes().chunks(5)), {
            let (seen, mut report) = in_events([STREAM.as_bytes()]);
            report.deltas += 1;
            (seen, report)
        });
    }
}

#[test]
fn a_quote_in_one_event_does_not_hide_the_signatures_of_the_next() {
    let stream = format!(": a \" in a comment\n\ndata: {{\"signature\": \"cut\n\n{STREAM}");
    assert_eq!(in_events(stream.as_bytes().chunks(9)).0, in_events([STREAM.as_bytes()]).0);
}

proptest! {
    #[test]
    fn no_bytes_make_a_watch_panic_or_depend_on_the_cut(
        text in "(\"|\\\\|:|,|\\{|\\}| |\n|signature|data|redacted_thinking|thinking|text_delta|[a-z]{0,20}){0,30}",
        cut in 0_usize..200,
    ) {
        let (a, b) = text.as_bytes().split_at(cut.min(text.len()));
        prop_assert_eq!(in_events([a, b]), in_events([text.as_bytes()]));
        prop_assert_eq!(in_json([a, b]), in_json([text.as_bytes()]));
    }
}
