//! One exchange of a small request for a response that is read whole, within limits of size, time and redirects.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::header::LOCATION;
use http::{Request, Response, Uri, response};
use http_body::Body;
use http_body_util::{BodyExt, Limited};
use tokio::time::error::Elapsed;

use crate::pool::{ReceiveError, ReceivedBody, SendError};
use crate::request_body::RequestBody;
use crate::transport::Transport;

/// A client for token endpoints, metadata services and images: everything except the Messages API itself. Cloning shares
/// the connections.
#[derive(Debug, Clone)]
pub(crate) struct HttpClient<C = Transport> {
    connections: C,
    limits: HttpLimits,
}

/// The limits on one call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HttpLimits {
    /// The largest body of a response, in bytes.
    pub(crate) size: usize,
    /// The time from the request to the last byte of the response, redirects included. `None` is no limit.
    pub(crate) time: Option<Duration>,
    pub(crate) redirects: Redirects,
}

/// The rule for redirects.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Redirects {
    /// A redirect is returned like any other response.
    Return,
    /// A redirect is followed with the same method and headers.
    #[cfg_attr(not(feature = "fetch-images"), allow(dead_code))]
    Follow {
        /// The number of redirects that are followed.
        limit: usize,
        /// Resolves `location` against the URL that returned it. `None` refuses the redirect.
        resolve: fn(&Uri, &str) -> Option<Uri>,
    },
}

/// The connections of an [`HttpClient`].
pub(crate) trait Connections {
    type Body: Body<Data = Bytes, Error = Self::BodyError> + Send;
    /// The reason that there is no response head.
    type HeadError: Send;
    /// The reason that the body of a response ended early.
    type BodyError: Error + Send + Sync + 'static;

    /// Sends a request with an absolute URL and returns the head of the response. Dropping the future or the body cancels
    /// the exchange.
    fn send(
        &self,
        request: Request<Bytes>,
    ) -> impl Future<Output = Result<Response<Self::Body>, Self::HeadError>> + Send;
}

impl Connections for Transport {
    type Body = ReceivedBody;
    type HeadError = SendError;
    type BodyError = ReceiveError;

    async fn send(&self, request: Request<Bytes>) -> Result<Response<ReceivedBody>, SendError> {
        Transport::send(self, request.map(|body| RequestBody::Payload(body.into()))).await
    }
}

/// The reason that a call returned no complete response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError<H, B> {
    /// There is no response head, or the caller refused it.
    #[error(transparent)]
    Head(H),
    /// The connection failed within the body.
    #[error(transparent)]
    Body(B),
    /// The body is larger than the limit.
    #[error("length limit exceeded")]
    TooLarge,
    /// The time limit passed.
    #[error(transparent)]
    Timeout(Elapsed),
    /// There were more redirects than the limit.
    #[error("more than {limit} redirects")]
    Redirects { limit: usize },
    /// The rule for redirects refused a `location`.
    #[error("a redirect to a URL that is not allowed")]
    Location,
}

type CallError<C> = HttpError<<C as Connections>::HeadError, <C as Connections>::BodyError>;

impl<C: Connections + Sync> HttpClient<C> {
    pub(crate) fn new(connections: C, limits: HttpLimits) -> Self {
        Self { connections, limits }
    }

    /// Sends `request` and returns the response with its body.
    pub(crate) async fn call(&self, request: Request<Bytes>) -> Result<Response<Bytes>, CallError<C>> {
        let (_, response) = self.call_if(request, |_, _| Ok(())).await?;
        Ok(response)
    }

    /// Sends `request` and returns the response with its body, after the URL that it came from. The body is read only if
    /// `accept` returns `Ok` for the URL and the head.
    pub(crate) async fn call_if(
        &self,
        request: Request<Bytes>,
        accept: impl Fn(&Uri, &response::Parts) -> Result<(), C::HeadError> + Send,
    ) -> Result<(Uri, Response<Bytes>), CallError<C>> {
        let exchange = self.follow(request, accept);
        match self.limits.time {
            Some(limit) => tokio::time::timeout(limit, exchange).await.map_err(HttpError::Timeout)?,
            None => exchange.await,
        }
    }

    async fn follow(
        &self,
        mut request: Request<Bytes>,
        accept: impl Fn(&Uri, &response::Parts) -> Result<(), C::HeadError> + Send,
    ) -> Result<(Uri, Response<Bytes>), CallError<C>> {
        let mut redirects = 0;
        loop {
            let uri = request.uri().clone();
            let response = self.connections.send(request.clone()).await.map_err(HttpError::Head)?;
            let (head, body) = response.into_parts();
            let next = match self.limits.redirects {
                Redirects::Return => None,
                Redirects::Follow { limit, resolve } => {
                    location(&head).map(|location| (limit, resolve(&uri, location)))
                }
            };
            let Some((limit, next)) = next else { return self.read(uri, head, body, accept).await };
            if redirects == limit {
                return Err(HttpError::Redirects { limit });
            }
            redirects += 1;
            *request.uri_mut() = next.ok_or(HttpError::Location)?;
        }
    }

    async fn read(
        &self,
        uri: Uri,
        head: response::Parts,
        body: C::Body,
        accept: impl Fn(&Uri, &response::Parts) -> Result<(), C::HeadError> + Send,
    ) -> Result<(Uri, Response<Bytes>), CallError<C>> {
        accept(&uri, &head).map_err(HttpError::Head)?;
        let body = Box::pin(Limited::new(body, self.limits.size)).collect().await;
        match body {
            Ok(body) => Ok((uri, Response::from_parts(head, body.to_bytes()))),
            Err(error) => Err(match error.downcast() {
                Ok(error) => HttpError::Body(*error),
                // `Limited` has no other error.
                Err(_) => HttpError::TooLarge,
            }),
        }
    }
}

/// Returns the URL that a redirect leads to, as the server wrote it.
fn location(head: &response::Parts) -> Option<&str> {
    head.headers.get(LOCATION).filter(|_| head.status.is_redirection())?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http::StatusCode;
    use http_body_util::Full;

    use super::*;

    type Failed = HttpError<&'static str, Infallible>;

    /// A server that returns `body` for the path `/0`, and a redirect to the number before for any other.
    #[derive(Clone, Default)]
    struct Server {
        sent: Arc<AtomicUsize>,
        is_silent: bool,
    }

    impl Connections for Server {
        type Body = Full<Bytes>;
        type HeadError = &'static str;
        type BodyError = Infallible;

        async fn send(&self, request: Request<Bytes>) -> Result<Response<Full<Bytes>>, &'static str> {
            self.sent.fetch_add(1, Ordering::Relaxed);
            if self.is_silent {
                std::future::pending::<()>().await;
            }
            let number: usize = request.uri().path()[1..].parse().map_err(|_| "no number")?;
            let mut response = Response::new(Full::new(Bytes::from_static(b"body")));
            if let Some(next) = number.checked_sub(1) {
                *response.status_mut() = StatusCode::FOUND;
                response.headers_mut().insert(LOCATION, format!("/{next}").parse().unwrap());
            }
            Ok(response)
        }
    }

    const FOLLOW: Redirects = Redirects::Follow { limit: 2, resolve: |_, location| location.parse().ok() };

    fn limits(redirects: Redirects) -> HttpLimits {
        HttpLimits { size: 4, time: Some(Duration::from_secs(1)), redirects }
    }

    fn get(path: &str) -> Request<Bytes> {
        Request::get(path).body(Bytes::new()).unwrap()
    }

    #[tokio::test]
    async fn a_redirect_is_returned_unless_the_rule_is_to_follow_it() {
        let client = HttpClient::new(Server::default(), limits(Redirects::Return));
        assert_eq!(client.call(get("/1")).await.unwrap().status(), StatusCode::FOUND);
        let client = HttpClient::new(Server::default(), limits(FOLLOW));
        let (uri, response) = client.call_if(get("/2"), |_, _| Ok(())).await.unwrap();
        assert_eq!(
            (uri.path(), response.status(), &response.body()[..]),
            ("/0", StatusCode::OK, &b"body"[..])
        );
    }

    #[tokio::test]
    async fn redirects_are_limited_in_number_and_by_the_rule() {
        let server = Server::default();
        let client = HttpClient::new(server.clone(), limits(FOLLOW));
        assert!(matches!(client.call(get("/3")).await, Err(Failed::Redirects { limit: 2 })));
        assert_eq!(server.sent.load(Ordering::Relaxed), 3);
        let refusing = Redirects::Follow { limit: 2, resolve: |_, _| None };
        let client = HttpClient::new(Server::default(), limits(refusing));
        assert!(matches!(client.call(get("/1")).await, Err(Failed::Location)));
    }

    #[tokio::test]
    async fn a_body_above_the_size_limit_is_refused() {
        let client = HttpClient::new(Server::default(), HttpLimits { size: 3, ..limits(FOLLOW) });
        assert!(matches!(client.call(get("/0")).await, Err(Failed::TooLarge)));
    }

    #[tokio::test]
    async fn the_caller_may_refuse_a_head() {
        let client = HttpClient::new(Server::default(), HttpLimits { size: 0, ..limits(FOLLOW) });
        let refused = client.call_if(get("/0"), |_, _| Err("refused")).await;
        assert!(matches!(refused, Err(Failed::Head("refused"))), "the body is not read");
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_ends_at_its_time_limit() {
        let server = Server { is_silent: true, ..Server::default() };
        let client = HttpClient::new(server, limits(FOLLOW));
        assert!(matches!(client.call(get("/0")).await, Err(Failed::Timeout(_))));
    }
}
