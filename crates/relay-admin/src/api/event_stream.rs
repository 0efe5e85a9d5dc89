//! `GET /admin/v1/events`.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use http_body::Frame;
use tokio::time::timeout;

use super::app::App;
use super::problem::Problem;
use crate::events::Reader;
use crate::model::ErrorBody;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// The silence after which a comment is sent, so that proxies keep the stream and a client that has left is noticed.
const SILENCE: Duration = Duration::from_secs(15);
/// The text that ends such a silence.
const COMMENT: Bytes = Bytes::from_static(b": still here\n\n");

/// Streams events: `request` at the start and at the end of each request, `state` when it changes, `point` every ten seconds.
///
/// With `Last-Event-ID`, the stream continues after that event. An event `resync` means that events are missing: the client
/// has to fetch everything again. A client that reads too slowly loses the stream. At most 32 clients are served.
#[utoipa::path(
    get,
    path = "/admin/v1/events",
    tag = "events",
    params(("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that the client has received.")),
    responses(
        (status = 200, body = String, content_type = "text/event-stream"),
        (status = 401, body = ErrorBody),
        (status = 503, body = ErrorBody, description = "Too many clients read events.")
    )
)]
pub(super) async fn events(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Problem> {
    // A value that is not text names no event.
    let last = headers.get(LAST_EVENT_ID).map(|id| id.to_str().unwrap_or_default());
    let Some(reader) = app.parts.events.reader(last) else {
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "as many clients read events as may be: close another dashboard or terminal view",
        ));
    };
    let state = serde_json::to_string(&app.state()).unwrap_or_default();
    let first = Bytes::from(format!("retry: 2000\nevent: state\ndata: {state}\n\n"));
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store, no-transform")),
        (ACCEL_BUFFERING, HeaderValue::from_static("no")),
    ];
    Ok((headers, Body::new(EventBody::new(first, reader))).into_response())
}

type Step = Pin<Box<dyn Future<Output = (Reader, Option<Bytes>)> + Send>>;

/// The text of the events of a reader. It ends if the reader does.
struct EventBody {
    first: Option<Bytes>,
    /// The wait for the next events; `None` after the end.
    next: Option<Step>,
}

impl EventBody {
    fn new(first: Bytes, reader: Reader) -> Self {
        Self { first: Some(first), next: Some(step(reader)) }
    }
}

/// Waits for further events, or for the end of a silence.
fn step(mut reader: Reader) -> Step {
    Box::pin(async move {
        let text = timeout(SILENCE, reader.next()).await.unwrap_or(Some(COMMENT));
        (reader, text)
    })
}

impl http_body::Body for EventBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let Some(next) = &mut self.next else { return Poll::Ready(None) };
        let (reader, text) = ready!(next.as_mut().poll(cx));
        self.next = text.is_some().then(|| step(reader));
        Poll::Ready(text.map(|text| Ok(Frame::data(text))))
    }
}
