//! One request and its response, as the server sees them: the arrival of the request's body, and the pieces of the
//! response's body that the client has accepted.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use relay_providers::AnswerBodyError;
use relay_stream::body::Woken;

use super::activity::Activity;
use super::piece::{Holder, Piece};
use super::progress::Progress;
use crate::body::Body;

/// The largest piece of a response that is handed to an HTTP/2 stream at once, in bytes: the usual size of a frame. The
/// server polls for the next piece when the stream's window has room for it.
const HTTP2_PIECE: usize = 16 * 1024;
/// The largest piece that is handed to an HTTP/1.1 connection at once, in bytes. The server takes pieces until its buffer is
/// full, so a larger one would end the exchange long before the client has accepted the response.
const HTTP1_PIECE: usize = 64 * 1024;

/// An exchange of one connection. It counts as open until it is dropped.
#[derive(Debug)]
pub(super) struct OpenExchange {
    activity: Arc<Activity>,
    progress: Arc<Progress>,
}

impl OpenExchange {
    /// Opens an exchange on a connection, and hands its progress to the stream that is spawned for it.
    pub(super) fn new(activity: &Arc<Activity>, is_incomplete: bool, is_http2: bool) -> Self {
        activity.request_begins(is_incomplete, is_http2);
        let progress = Arc::new(Progress::new(is_incomplete, is_http2));
        if is_http2 {
            activity.set_next_stream(Arc::clone(&progress));
        }
        Self { activity: Arc::clone(activity), progress }
    }

    /// Watches the body of the request.
    pub(super) fn receive(&self, inner: Incoming) -> ReceivedBody {
        ReceivedBody { inner, activity: Arc::clone(&self.activity), progress: Arc::clone(&self.progress) }
    }

    /// Returns `true` if the connection ends after this exchange.
    pub(super) fn is_last(&self) -> bool {
        self.activity.is_last_request()
    }

    fn has_stalled(&self) -> bool {
        self.progress.has_stalled() || self.activity.has_stalled()
    }
}

impl Drop for OpenExchange {
    fn drop(&mut self) {
        if self.progress.body_ends() {
            self.activity.body_ends();
            self.activity.set_unread();
        }
        self.activity.request_ends();
    }
}

/// The body of a request, which notes its end.
#[derive(Debug)]
pub(super) struct ReceivedBody {
    inner: Incoming,
    activity: Arc<Activity>,
    progress: Arc<Progress>,
}

impl HttpBody for ReceivedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if (frame.is_none() || self.inner.is_end_stream()) && self.progress.body_ends() {
            self.activity.body_ends();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The body of a response, whose pieces note that they wait for the client.
///
/// Over HTTP/2 the body ends once the client has accepted all of it. Until then the task of the stream is alive, which can
/// reset the stream. Otherwise the last piece would stay in h2's buffer for as long as the client gives no room for it.
#[derive(Debug)]
pub(super) struct SentBody {
    // Dropped before the exchange ends. hyper polls it several times for each piece.
    inner: Woken<Body>,
    exchange: OpenExchange,
    /// The rest of a frame of which a piece has been handed out.
    rest: Bytes,
    is_http2: bool,
    /// True once `inner` has ended, as of its last frame: it consists of many layers, each of which would look at its own state.
    has_ended: bool,
    /// The bytes that are still to come, if their number is known.
    missing: Option<u64>,
    /// True for a client that takes the end of its connection for the end of the response.
    ends_with_connection: bool,
}

impl SentBody {
    /// `ends_with_connection` is true for a client of HTTP/1.0.
    pub(super) fn new(
        inner: Body,
        exchange: OpenExchange,
        is_http2: bool,
        ends_with_connection: bool,
    ) -> Self {
        let missing = inner.size_hint().exact();
        let has_ended = inner.is_end_stream();
        let ends_with_connection = ends_with_connection && !has_ended;
        exchange.activity.set_needs_reset(ends_with_connection);
        Self {
            inner: Woken::new(inner),
            exchange,
            rest: Bytes::new(),
            is_http2,
            has_ended,
            missing,
            ends_with_connection,
        }
    }

    /// Returns the next piece of `rest`, which then waits for the client.
    fn next_piece(&mut self) -> Frame<Piece> {
        let limit = if self.is_http2 { HTTP2_PIECE } else { HTTP1_PIECE };
        let piece = self.rest.split_to(self.rest.len().min(limit));
        self.missing = self.missing.map(|missing| missing.saturating_sub(piece.len() as u64));
        if self.missing == Some(0) || self.has_all() {
            self.complete();
        }
        let holder = match self.is_http2 {
            true => Holder::Stream(Arc::clone(&self.exchange.progress)),
            false => Holder::Connection(Arc::clone(&self.exchange.activity)),
        };
        Frame::data(Piece::new(piece, holder))
    }

    /// Returns `true` if no further piece is to come.
    fn has_all(&self) -> bool {
        self.rest.is_empty() && self.has_ended
    }

    /// Returns the end of the body, over HTTP/2 once the client has accepted all of it.
    fn poll_end<T>(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.complete();
        ready!(self.exchange.progress.poll_released(cx));
        Poll::Ready(None)
    }

    /// Notes that the server has the whole response.
    fn complete(&mut self) {
        if std::mem::take(&mut self.ends_with_connection) {
            self.exchange.activity.set_needs_reset(false);
        }
    }
}

impl HttpBody for SentBody {
    type Data = Piece;
    type Error = AnswerBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, AnswerBodyError>>> {
        let this = &mut *self;
        if this.has_all() {
            return this.poll_end(cx);
        }
        if this.rest.is_empty() {
            match ready!(Pin::new(&mut this.inner).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        this.rest = data;
                        this.has_ended = this.inner.is_end_stream();
                    }
                    Err(frame) => {
                        return Poll::Ready(frame.into_trailers().ok().map(|it| Ok(Frame::trailers(it))));
                    }
                },
                None => {
                    this.has_ended = true;
                    return this.poll_end(cx);
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            }
        }
        Poll::Ready(Some(Ok(this.next_piece())))
    }

    fn is_end_stream(&self) -> bool {
        self.has_all() && self.exchange.progress.is_released()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let inner = self.inner.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower().saturating_add(rest));
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}

impl Drop for SentBody {
    fn drop(&mut self) {
        if self.exchange.has_stalled() {
            self.inner.get_mut().stall();
        }
    }
}
