//! Connections in memory, for a library that accepts no HTTP client but hyper-util's.
//!
//! ```text
//! library ─▶ hyper-util's client ─▶ Connector ─ a pipe ─▶ Connections::serve ─▶ a function of the relay
//! ```
//! No byte of the library reaches a socket. The function sends the requests over the provider's own transport, with its
//! certificates, proxies and limits, and decides which responses the library gets to see.

use std::future::{Ready, pending, ready};
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tower::Service;

/// The bytes that a pipe holds in each direction. Credentials have a few thousand.
const PIPE_SIZE: usize = 16 * 1024;

/// The connector of hyper-util's client. It opens pipes to [`Connections`].
#[derive(Clone)]
pub(super) struct Connector(mpsc::Sender<DuplexStream>);

/// The other ends of the pipes of a [`Connector`].
pub(super) struct Connections(mpsc::Receiver<DuplexStream>);

/// A request was not answered. The client sees a connection that closes.
#[derive(Debug, thiserror::Error)]
#[error("no answer")]
struct NoAnswer;

/// Returns a client, and the connections on which its requests arrive.
pub(super) fn pair() -> (Client<Connector, String>, Connections) {
    let (opened, accepted) = mpsc::channel(1);
    let client = Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(0)
        .retry_canceled_requests(false)
        .build(Connector(opened));
    (client, Connections(accepted))
}

impl Connections {
    /// Serves the client's requests, one after the other, each on its own connection. Returns only if `answer` fails,
    /// with its error. Dropping the future drops the request that is under way.
    pub(super) async fn serve<E, F>(mut self, answer: impl Fn(Request<Bytes>) -> F) -> E
    where
        F: Future<Output = Result<Bytes, E>>,
    {
        let failure = Mutex::new(None);
        let (failed, answer) = (&failure, &answer);
        let mut server = http1::Builder::new();
        server.keep_alive(false);
        while let Some(stream) = self.0.recv().await {
            let service = service_fn(move |request: Request<Incoming>| async move {
                let (head, body) = request.into_parts();
                // The body was written by the library, and is in memory already.
                let body = body.collect().await.map_err(|_| NoAnswer)?.to_bytes();
                let answer = answer(Request::from_parts(head, body)).await;
                answer.map(|body| Response::new(Full::new(body))).map_err(|error| {
                    *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    NoAnswer
                })
            });
            // An error means that `answer` has failed, or that the client has gone.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
            if let Some(error) = failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return error;
            }
        }
        pending().await
    }
}

impl Service<Uri> for Connector {
    type Response = Pipe;
    type Error = mpsc::error::TrySendError<DuplexStream>;
    type Future = Ready<Result<Pipe, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let (near, far) = tokio::io::duplex(PIPE_SIZE);
        ready(self.0.try_send(far).map(|()| Pipe(TokioIo::new(near))))
    }
}

/// The client's end of a connection.
pub(super) struct Pipe(TokioIo<DuplexStream>);

impl Connection for Pipe {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl Write for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn post(body: &str) -> Request<String> {
        Request::post("https://nowhere.invalid/path").body(body.to_owned()).unwrap()
    }

    #[tokio::test]
    async fn requests_are_served_one_after_the_other() {
        let (client, connections) = pair();
        let served = AtomicUsize::new(0);
        let serving = connections.serve(async |request: Request<Bytes>| {
            let number = served.fetch_add(1, Ordering::Relaxed);
            assert_eq!((request.uri().path(), request.body().len()), ("/path", 100_000));
            Ok::<_, &str>(Bytes::from(number.to_string()))
        });
        let calling = async {
            for number in 0..3 {
                let response = client.request(post(&"x".repeat(100_000))).await.unwrap();
                let body = response.into_body().collect().await.unwrap().to_bytes();
                assert_eq!(body, number.to_string());
            }
        };
        tokio::select! {
            error = serving => panic!("{error}"),
            () = calling => {}
        }
    }

    #[tokio::test]
    async fn the_error_of_an_answer_ends_the_service() {
        let (client, connections) = pair();
        let serving = connections.serve(async |_: Request<Bytes>| Err("refused"));
        tokio::select! {
            biased;
            error = serving => assert_eq!(error, "refused"),
            response = client.request(post("")) => panic!("{response:?}"),
        }
    }

    #[tokio::test]
    async fn a_request_without_a_server_fails() {
        let (client, connections) = pair();
        drop(connections);
        assert!(client.request(post("")).await.is_err());
    }
}
