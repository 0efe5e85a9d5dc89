//! The answer to a plain HTTP request on a TLS listener.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use relay_messages::{error_body, error_type};

use crate::request_id::RequestId;
use crate::serve::activity::Activity;
use crate::serve::client_io::ClientIo;
use crate::serve::timed_socket::TimedSocket;

const MESSAGE: &str =
    "this listener serves https only, and the request came by plain http: write https:// in the base URL";
/// The largest head that is read, in bytes.
const HEAD: usize = 16 * 1024;

/// Answers one request with an error, and closes the connection. The request does not reach the relay.
pub(in crate::serve) async fn refuse(socket: TimedSocket, activity: &Arc<Activity>) {
    // The body is not read. The client gets the answer all the same.
    activity.set_unread();
    let io = TokioIo::new(ClientIo::new(socket.into(), Arc::clone(activity)));
    let service = service_fn(|_| async { Ok::<_, Infallible>(answer()) });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).keep_alive(false).max_buf_size(HEAD);
    if let Err(error) = server.serve_connection(io, service).await {
        tracing::debug!(%error, "a connection without TLS ended");
    }
}

fn answer() -> Response<Full<Bytes>> {
    let (status, id) = (StatusCode::BAD_REQUEST, RequestId::random());
    let body = error_body(error_type(status), MESSAGE, Some(id.as_str()));
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        headers.insert("request-id", id);
    }
    response
}
