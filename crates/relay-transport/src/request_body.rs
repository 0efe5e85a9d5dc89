//! The body of a request to an upstream.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use relay_messages::Payload;
use tower::BoxError;

/// The body of an upstream request.
#[derive(Debug)]
#[non_exhaustive]
pub enum RequestBody {
    /// A complete body, which can be sent again by another attempt.
    Payload(Payload),
    /// A body that is forwarded as it arrives, and cannot be sent again once a part of it has been read.
    Stream(RequestStream),
}

/// A body that is forwarded to an upstream as it arrives.
#[derive(Debug)]
pub struct RequestStream(UnsyncBoxBody<Bytes, BoxError>);

impl RequestStream {
    /// Boxes `body`.
    pub fn new<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(body.map_err(Into::into).boxed_unsync())
    }
}

impl Body for RequestStream {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.get_mut().0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

impl From<Payload> for RequestBody {
    fn from(payload: Payload) -> Self {
        Self::Payload(payload)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Payload(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Self::Stream(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Payload(body) => body.is_end_stream(),
            Self::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Payload(body) => body.size_hint(),
            Self::Stream(body) => body.size_hint(),
        }
    }
}
