//! A service of the program on a listener of its own, within the edge of a relay: an administration interface, metrics.
//!
//! ```text
//! request ─▶ request id ▸ catch panic ▸ linger ▸ framing ▸ browser ▸ respond ▸ the program's service
//! ```
//! The layers, the limits of connections, heads and writes, and the end of a connection are those of the relay's own listeners.
//! The rule for web pages is stricter: a [`Site`] serves its own pages, and refuses those of every other origin.

mod headers;

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use http_body_util::BodyExt;
use relay_config::ServerConfig;
use tower::{BoxError, Service, ServiceBuilder};

use self::headers::with_security_headers;
use crate::body::Body;
use crate::edge::{
    BrowserLayer, CatchPanicLayer, FramingLayer, SharedHosts, mark_request, mark_response, request_id_layer,
};
use crate::layers::{LayerBody, RequestService};
use crate::linger::LingerLayer;
use crate::listener_rules::ListenerRules;
use crate::record::RecordLayer;
use crate::request_body::RequestBody;
use crate::respond::RespondLayer;
use crate::serve::{Drained, Listener, ListenerOptions, PeerAddress, Served, Serving, Stop, serve_on};
use crate::stack::{Stack, StackFuture};

/// A service of the program with the edge of a relay around it.
///
/// - A request on a loopback listener names a loopback host, or one of `server.allowed_hosts`.
/// - A request of a web page comes from a page of the same origin. No preflight is granted.
/// - Every response has the headers that keep a browser from embedding, sniffing, caching and leaking it, unless the service
///   has set them.
/// - Every response has a `request-id`. An error of the service, and a panic, is answered in the form of Anthropic's API.
///
/// Its requests are not recorded: no [`RecordSubscriber`](crate::RecordSubscriber) receives them. [`Site::serve`] serves it on a
/// socket. It is also a tower service, for tests and for stacks of the program.
///
/// ```
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use relay_config::ServerConfig;
/// use relay_server::LayerBody;
/// use relay_server::site::Site;
/// use tower::{ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hello = service_fn(|_: Request<LayerBody>| async {
///     Ok::<_, std::io::Error>(Response::new(Full::<bytes::Bytes>::from("hello")))
/// });
/// let site = Site::new(hello, &ServerConfig::default());
///
/// let own = Request::get("/").header("host", "localhost:8788").header("origin", "http://localhost:8788");
/// assert_eq!(site.clone().oneshot(own.body(Full::<bytes::Bytes>::default())?).await?.status(), 200);
/// let foreign = Request::get("/").header("host", "localhost:8788").header("origin", "http://evil.example");
/// assert_eq!(site.oneshot(foreign.body(Full::<bytes::Bytes>::default())?).await?.status(), 403);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Site {
    stack: Arc<Stack>,
    hosts: SharedHosts,
    serving: Arc<RwLock<Serving>>,
    listener: Option<ListenerRules>,
}

/// The address of the client, among the extensions of each request that a [`Site`] has received over TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

impl Site {
    /// Surrounds `service` with the edge of a relay. `server` has the accepted hosts, the time limit of writes, HTTP/2, and the
    /// drain timeout; its other settings are not read.
    pub fn new<S, B>(service: S, server: &ServerConfig) -> Self
    where
        S: Service<Request<LayerBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let hosts = SharedHosts::new(server.allowed_hosts.clone());
        let stack = ServiceBuilder::new()
            .map_response(with_security_headers) // of every response, errors included
            .map_request(mark_request) // no layer prints a credential
            .map_response(mark_response)
            .layer(request_id_layer()) // an error can be found in the log
            .map_response(|response: Response<_>| response.map(Body::new)) // listeners serve this type
            .layer(RecordLayer::new()) // the record of a request names it, and has no subscriber
            .layer(CatchPanicLayer) // answers with an error
            .layer(LingerLayer::new()) // no error is lost to a body that was not read
            .layer(FramingLayer) // the length is that of the body
            .layer(BrowserLayer::for_own_pages(hosts.clone())) // no other web page gets any further
            .layer(RespondLayer::new()) // from here on outwards there are no errors
            .map_request(|request: Request<_>| request.map(LayerBody::new))
            .service(RequestService::new(service));
        let serving = Arc::new(RwLock::new(Serving::new(server, &ListenerOptions::default())));
        Self { stack: Arc::new(Stack::new(stack)), hosts, serving, listener: None }
    }

    /// Applies the accepted hosts of `server` to further requests, and its other settings to further connections, on all
    /// clones of the site.
    ///
    /// ```
    /// use http::{Request, Response};
    /// use http_body_util::Full;
    /// use relay_config::{HostName, ServerConfig};
    /// use relay_server::LayerBody;
    /// use relay_server::site::Site;
    /// use tower::{ServiceExt, service_fn};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let hello = service_fn(|_: Request<LayerBody>| async {
    ///     Ok::<_, std::io::Error>(Response::new(Full::<bytes::Bytes>::from("hello")))
    /// });
    /// let hosts = |name| ServerConfig::default().with_allowed_hosts(HostName::parse(name));
    /// let site = Site::new(hello, &hosts("a.example"));
    /// let request = |host| Request::get("/").header("host", host).body(Full::<bytes::Bytes>::default());
    /// assert_eq!(site.clone().oneshot(request("b.example")?).await?.status(), 403);
    ///
    /// site.apply(&hosts("b.example"));
    /// assert_eq!(site.oneshot(request("b.example")?).await?.status(), 200);
    /// # Ok(())
    /// # }
    /// ```
    pub fn apply(&self, server: &ServerConfig) {
        self.hosts.replace(server.allowed_hosts.clone());
        self.serving.write().unwrap_or_else(PoisonError::into_inner).apply(server);
    }

    /// Accepts at most `limit` connections at one time, over all listeners of the site. At the limit, the connection that has
    /// been idle for longest is closed. The default is that of a relay.
    #[must_use]
    pub fn with_connection_limit(mut self, limit: usize) -> Self {
        self.serving = Arc::new(RwLock::new(self.serving().with_connection_limit(limit)));
        self
    }

    /// Closes a connection that brings no complete request head within `first` of being accepted, or within `next` after the last
    /// request on it.
    #[must_use]
    pub fn with_head_timeouts(mut self, first: Duration, next: Duration) -> Self {
        self.serving = Arc::new(RwLock::new(self.serving().with_head_timeouts(first, next)));
        self
    }

    /// Serves the site on `listener` until `shutdown` completes. Open requests may then finish within
    /// `server.drain_timeout_ms`; the remaining connections are cut.
    pub async fn serve(self, listener: impl Into<Listener>, shutdown: impl Future<Output = ()>) -> Drained {
        let stop = async {
            shutdown.await;
            Stop::Close
        };
        serve_on(listener.into(), self, stop).await
    }

    fn call_stack<B>(&self, mut request: Request<B>) -> StackFuture
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if let Some(listener) = self.listener {
            request.extensions_mut().insert(listener);
        }
        self.stack.call(request.map(|body| -> RequestBody { body.map_err(Into::into).boxed_unsync() }))
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("serving", &self.serving).finish_non_exhaustive()
    }
}

impl Served for Site {
    fn on_listener(mut self, listener: ListenerRules) -> Self {
        self.listener = Some(listener);
        self
    }

    fn serving(&self) -> Serving {
        self.serving.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn start_draining(&self) {}

    fn respond<B>(&self, mut request: Request<B>, peer: PeerAddress) -> StackFuture
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if let Some(address) = peer.tcp() {
            request.extensions_mut().insert(Peer(address));
        }
        self.call_stack(request)
    }
}

impl<B> Service<Request<B>> for Site
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.call_stack(request)
    }
}
