//! Gives each response the framing that fits its body, whatever its upstream announced.
//!
//! The server below frames a body by `content-length` if the header is there. A wrong one puts the connection to the client
//! out of step: the client takes the rest of one response for the start of the next.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body::Body;
use pin_project_lite::pin_project;
use relay_messages::media_type;
use tower::{Layer, Service};

use super::framed_body::FramedBody;
use crate::record::RecordHandle;

/// Sets `content-length` to the length of the body if that is known, and removes it otherwise. A response that has no
/// body, such as one to HEAD, is sent without one. The version of the upstream's connection does not reach the client.
///
/// A stream for a client of HTTP/1.0 ends with an `error` event if it breaks off: without chunks, the end of the connection
/// is also the end of the stream, so the client could not see the break.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FramingLayer;

impl<S> Layer<S> for FramingLayer {
    type Service = Framing<S>;

    fn layer(&self, inner: S) -> Framing<S> {
        Framing { inner }
    }
}

/// The service of [`FramingLayer`].
#[derive(Debug, Clone)]
pub(crate) struct Framing<S> {
    inner: S,
}

impl<S, B, R> Service<Request<B>> for Framing<S>
where
    S: Service<Request<B>, Response = Response<R>, Error = Infallible>,
    R: Body<Data = Bytes>,
{
    type Response = Response<FramedBody<R>>;
    type Error = Infallible;
    type Future = FramingFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let is_head = *request.method() == Method::HEAD;
        let is_http10 = request.version() <= Version::HTTP_10;
        let record = request.extensions().get().filter(|_| is_http10).cloned();
        FramingFuture { inner: self.inner.call(request), is_head, is_http10, record }
    }
}

pin_project! {
    /// The future of [`Framing`].
    pub(crate) struct FramingFuture<F> {
        #[pin]
        inner: F,
        is_head: bool,
        is_http10: bool,
        // The record of a request of HTTP/1.0.
        record: Option<RecordHandle>,
    }
}

impl<F, R> Future for FramingFuture<F>
where
    F: Future<Output = Result<Response<R>, Infallible>>,
    R: Body<Data = Bytes>,
{
    type Output = Result<Response<FramedBody<R>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = frame(ready!(this.inner.poll(cx))?, *this.is_head);
        Poll::Ready(Ok(match *this.is_http10 && media_type::is(response.headers(), media_type::EVENTS) {
            true => response.map(|body| body.with_break_event(this.record.as_ref())),
            false => response,
        }))
    }
}

/// Makes the head of `response` fit its body.
///
/// # Source
/// RFC 9110 sections 8.6, 9.3.2, 15.3.5 and 15.4.5; RFC 9112 section 6.3.
fn frame<R: Body<Data = Bytes>>(mut response: Response<R>, is_head: bool) -> Response<FramedBody<R>> {
    // The version of the upstream's connection. The server writes that of the client's.
    *response.version_mut() = Version::default();
    response.headers_mut().remove(TRANSFER_ENCODING);
    match response.status() {
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT => {
            response.headers_mut().remove(CONTENT_LENGTH);
            response.map(|_| FramedBody::empty())
        }
        status if is_head || status == StatusCode::NOT_MODIFIED => {
            keep_announced_length(&mut response);
            response.map(|_| FramedBody::empty())
        }
        _ => {
            set_length(&mut response);
            response.map(FramedBody::new)
        }
    }
}

/// Sets `content-length` to the exact length of the body, or removes it.
fn set_length(response: &mut Response<impl Body>) {
    let length = response.body().size_hint().exact();
    let headers = response.headers_mut();
    match length {
        // The usual one. A replacement could make the map grow.
        Some(length) if announces(headers, length) => {}
        Some(length) => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        None => {
            headers.remove(CONTENT_LENGTH);
        }
    }
}

/// Returns `true` if `headers` have exactly one length, and it is `length` as the relay would write it.
fn announces(headers: &HeaderMap, length: u64) -> bool {
    let mut digits = itoa::Buffer::new();
    headers.get_all(CONTENT_LENGTH).iter().eq([digits.format(length)])
}

/// Keeps a `content-length` that describes the response to GET. An own response announces the length of its body.
fn keep_announced_length(response: &mut Response<impl Body>) {
    let mut announced = response.headers().get_all(CONTENT_LENGTH).iter();
    let length = announced.next().and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    match (length, response.body().is_end_stream()) {
        (Some(length), _) => {
            response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        (None, true) => {
            response.headers_mut().remove(CONTENT_LENGTH);
        }
        (None, false) => set_length(response),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(announced: &[&'static str], expected: bool) {
        let mut headers = HeaderMap::new();
        for value in announced {
            headers.append(CONTENT_LENGTH, HeaderValue::from_static(value));
        }
        assert_eq!(announces(&headers, 120), expected, "{announced:?}");
    }

    #[test]
    fn only_one_length_in_plain_digits_is_kept() {
        check(&["120"], true);
        for other in
            [&[][..], &["120", "120"], &["0120"], &["+120"], &["120 "], &["12"], &["1200"], &["0"], &[""]]
        {
            check(other, false);
        }
        let longest = HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from(u64::MAX))]);
        assert!(announces(&longest, u64::MAX) && !announces(&longest, 5));
        let none = HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from_static("0"))]);
        assert!(announces(&none, 0));
        let empty = HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from_static(""))]);
        assert!(!announces(&empty, 0));
    }
}
