//! Measures the translation of Event Stream into server-sent events, in time per event and in allocations,
//! and compares it with the peers and with copying the bytes.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use divan::counter::{BytesCount, ItemsCount};
use divan::{AllocProfiler, Bencher, black_box};
use http_body::{Body, Frame};
use relay_stream::bedrock::{SseBody, Translator};
use relay_stream::watch::SseWatch;
use relay_stream_benches::{Capture, SEGMENT, peer_borrowed, peer_value, text_capture, tool_capture};

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

fn ours(capture: &Capture) {
    let (mut translator, mut out) = (Translator::new(), BytesMut::with_capacity(64 << 10));
    for chunk in &capture.chunks {
        translator.push(chunk, &mut out).expect("a valid stream");
        black_box(&out[..]);
        out.clear();
    }
    translator.finish(&mut out).expect("a complete stream");
}

/// Translates as a body. Each frame is returned before the next is read.
fn ours_as_body(capture: &Capture) {
    let mut body = SseBody::new(Chunks(capture.chunks.iter()), Translator::new());
    let mut context = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(frame)) = Pin::new(&mut body).poll_frame(&mut context) {
        black_box(frame.expect("a valid stream"));
    }
    assert!(body.is_end_stream());
}

struct Chunks<'a>(std::slice::Iter<'a, Bytes>);

impl Body for Chunks<'_> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.next().map(|chunk| Ok(Frame::data(chunk.clone()))))
    }
}

/// Reads the usage of server-sent events in chunks.
fn watch(capture: &Capture) {
    let mut watch = SseWatch::new();
    for chunk in &capture.chunks {
        watch.observe(black_box(chunk));
    }
    assert!(watch.report().is_complete());
}

fn memcpy(capture: &Capture) {
    let mut out = BytesMut::with_capacity(64 << 10);
    for chunk in &capture.chunks {
        out.extend_from_slice(chunk);
        black_box(&out[..]);
        out.clear();
    }
}

fn run(bencher: Bencher<'_, '_>, capture: Capture, translate: impl Fn(&Capture) + Sync) {
    bencher
        .counter(ItemsCount::new(capture.events))
        .counter(BytesCount::new(capture.bytes))
        .bench(|| translate(black_box(&capture)));
}

macro_rules! against {
    ($name:ident, $capture:expr) => {
        mod $name {
            use super::*;

            #[divan::bench]
            fn a_relay_stream(bencher: Bencher<'_, '_>) {
                run(bencher, $capture, ours);
            }

            #[divan::bench]
            fn a_relay_stream_body(bencher: Bencher<'_, '_>) {
                run(bencher, $capture, ours_as_body);
            }

            #[divan::bench]
            fn b_smithy_borrowed(bencher: Bencher<'_, '_>) {
                run(bencher, $capture, |capture| {
                    peer_borrowed(&capture.chunks, |out| {
                        black_box(out);
                    })
                });
            }

            #[divan::bench]
            fn c_smithy_value(bencher: Bencher<'_, '_>) {
                run(bencher, $capture, |capture| {
                    peer_value(&capture.chunks, |out| {
                        black_box(out);
                    })
                });
            }

            #[divan::bench]
            fn d_memcpy(bencher: Bencher<'_, '_>) {
                run(bencher, $capture, memcpy);
            }
        }
    };
}

#[divan::bench]
fn watch_text_in_segments(bencher: Bencher<'_, '_>) {
    run(bencher, text_capture(2000, SEGMENT).into_sse(SEGMENT), watch);
}

#[divan::bench]
fn watch_tool_4k_in_segments(bencher: Bencher<'_, '_>) {
    run(bencher, tool_capture(200, 4 << 10, SEGMENT).into_sse(SEGMENT), watch);
}

against!(text_in_segments, text_capture(2000, SEGMENT));
against!(text_in_16k, text_capture(2000, 16 << 10));
against!(tool_4k_in_segments, tool_capture(200, 4 << 10, SEGMENT));
against!(tool_64k_in_16k, tool_capture(50, 64 << 10, 16 << 10));
