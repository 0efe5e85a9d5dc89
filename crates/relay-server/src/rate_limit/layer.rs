//! The layer that carries the limits.

use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{Extensions, HeaderMap, Request, Response};
use http_body::Body;
use relay_config::{ClientAuth, ClientLimits};
use relay_routing::RequestCost;
use tower::{BoxError, Layer, Service};

use super::body::LimitedBody;
use super::clients::Clients;
use super::future::RateLimitFuture;
use crate::auth::Client;
use crate::clock;

/// The clients without limits of their own that a layer knows at one time.
const CAPACITY: usize = 10_000;
/// The bytes of JSON text for each token, for the estimate of a request.
const BYTES_PER_TOKEN: u64 = 4;
/// The estimate for a body of unknown length.
const UNKNOWN_LENGTH: u64 = 1000;

/// The default way to name the client of a request: by the [`Client`] in its extensions.
pub type Identify = fn(&HeaderMap, &Extensions) -> Option<Arc<str>>;

/// Refuses the requests of a client beyond its limits with [`RateLimited`](super::RateLimited), and writes the limits into the
/// `anthropic-ratelimit-…` headers of every other response. An error of the inner service becomes a
/// [`LimitsError`](super::LimitsError), which has them too.
///
/// The services of one layer and of its clones share the state of the clients.
#[derive(Debug, Clone)]
pub struct RateLimitLayer<I = Identify> {
    clients: Arc<Clients>,
    identify: I,
    counts_tokens: bool,
}

impl RateLimitLayer {
    /// Creates a layer with these limits for each client. Clients without a name, and requests without a client, share one
    /// state.
    #[must_use]
    pub fn new(limits: ClientLimits) -> Self {
        let clients = Arc::new(Clients::new(limits, CAPACITY));
        Self { clients, identify: name_of_client, counts_tokens: true }
    }

    /// Creates a layer with the limits of the configured clients (`server.auth.api_keys[]`). Other clients have none.
    #[must_use]
    pub fn of_clients(auth: &ClientAuth) -> Self {
        auth.keys.iter().fold(Self::new(ClientLimits::default()), |layer, client| {
            layer.with_client(client.name.as_str(), client.limits)
        })
    }
}

impl<I> RateLimitLayer<I> {
    /// Sets the limits of one client, in the place of the general ones. To be called before the first request.
    #[must_use]
    pub fn with_client(mut self, name: impl Into<Arc<str>>, limits: ClientLimits) -> Self {
        self.clients_mut().insert(name.into(), limits);
        self
    }

    /// Keeps the state of at most `clients` clients at one time, beside those with limits of their own. Default 10,000. To be
    /// called before the first request.
    ///
    /// The state of a client is dropped once its limits are all full again. If none can be dropped, further clients share one
    /// state: the memory is bounded, and no client exceeds its limits.
    #[must_use]
    pub fn with_capacity(mut self, clients: usize) -> Self {
        self.clients = Arc::new(self.clients.with_capacity(clients));
        self
    }

    /// Names the client of a request by this function. A request without a name is not limited.
    ///
    /// ```
    /// use http::{Extensions, HeaderMap};
    /// use relay_server::rate_limit::{ClientLimits, RateLimitLayer};
    ///
    /// let by_tenant = |headers: &HeaderMap, _: &Extensions| Some(headers.get("x-tenant")?.to_str().ok()?.into());
    /// let layer = RateLimitLayer::new(ClientLimits::default().with_requests(60)).with_identify(by_tenant);
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn with_identify<F>(self, identify: F) -> RateLimitLayer<F>
    where
        F: Fn(&HeaderMap, &Extensions) -> Option<Arc<str>>,
    {
        RateLimitLayer { clients: self.clients, identify, counts_tokens: self.counts_tokens }
    }

    /// Returns a layer with the same state that counts requests, and not their tokens.
    #[must_use]
    pub fn without_tokens(mut self) -> Self {
        self.counts_tokens = false;
        self
    }

    /// Takes over the state of `before`, an earlier layer: the levels and the requests in flight of the clients that have
    /// limits of their own in both. To be called before the first request.
    #[must_use]
    pub fn inherit_state<J>(mut self, before: &RateLimitLayer<J>) -> Self {
        self.clients_mut().inherit_state(&before.clients);
        self
    }

    /// The clients of this layer alone: it shares no state with its clones any longer.
    fn clients_mut(&mut self) -> &mut Clients {
        if Arc::get_mut(&mut self.clients).is_none() {
            self.clients = Arc::new(self.clients.with_capacity(self.clients.capacity()));
        }
        Arc::get_mut(&mut self.clients).unwrap_or_else(|| unreachable!("the value is new"))
    }
}

/// Names the client of a request by the [`Client`] in its extensions. A client without a name is called "".
fn name_of_client(_: &HeaderMap, extensions: &Extensions) -> Option<Arc<str>> {
    static NAMELESS: LazyLock<Arc<str>> = LazyLock::new(|| "".into());
    Some(Arc::clone(extensions.get::<Client>().and_then(Client::shared_name).unwrap_or(&NAMELESS)))
}

impl<S, I: Clone> Layer<S> for RateLimitLayer<I> {
    type Service = RateLimit<S, I>;

    fn layer(&self, inner: S) -> RateLimit<S, I> {
        RateLimit { inner, layer: self.clone() }
    }
}

/// The service of [`RateLimitLayer`].
#[derive(Debug, Clone)]
pub struct RateLimit<S, I = Identify> {
    inner: S,
    layer: RateLimitLayer<I>,
}

impl<S, I, B, R> Service<Request<B>> for RateLimit<S, I>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    I: Fn(&HeaderMap, &Extensions) -> Option<Arc<str>>,
    B: Body,
    R: Body<Data = Bytes>,
{
    type Response = Response<LimitedBody<R>>;
    type Error = BoxError;
    type Future = RateLimitFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let now = clock::now();
        let name = (self.layer.identify)(request.headers(), request.extensions());
        let client = name.and_then(|name| self.layer.clients.find(name, now));
        let permit = match client.map(|client| client.enter(&self.layer.cost(&request), now)) {
            Some(Err(limited)) => return RateLimitFuture::refused(limited),
            Some(Ok(permit)) => Some(permit),
            None => None,
        };
        let record = request.extensions().get().cloned().filter(|_| permit.is_some());
        RateLimitFuture::admitted(self.inner.call(request), permit, record)
    }
}

impl<I> RateLimitLayer<I> {
    /// Estimates the tokens of a request by the length of its body.
    fn cost<B: Body>(&self, request: &Request<B>) -> RequestCost<'static> {
        if !self.counts_tokens {
            return RequestCost::without_tokens();
        }
        let announced =
            request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        let length = request.body().size_hint().exact().or(announced);
        RequestCost::of_tokens(length.map_or(UNKNOWN_LENGTH, |length| length / BYTES_PER_TOKEN))
    }
}
