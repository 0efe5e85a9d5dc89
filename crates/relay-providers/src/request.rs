//! The client's request, and one attempt to have it answered by an upstream.

use std::sync::Arc;
use std::time::Duration;

use http::{Extensions, HeaderMap, Uri};
use relay_config::ProviderName;
use relay_messages::trace_context::TraceContext;
use relay_messages::{Edits, MessagesBody, Payload, headers};
use relay_stream::OnBreak;
use tokio::time::Instant;

use crate::answer_stats::AnswerStats;
use crate::client_credential::ClientCredential;
#[cfg(feature = "fetch-images")]
use crate::fetch::FetchedImages;
use crate::upstream_address::UpstreamAddress;

/// The operations of the Messages API that are routed by model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Endpoint {
    /// `POST /v1/messages`.
    Messages,
    /// `POST /v1/messages/count_tokens`.
    CountTokens,
}

impl Endpoint {
    /// The path at Anthropic-format upstreams, relative to their base URL.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Messages => "/v1/messages",
            Self::CountTokens => "/v1/messages/count_tokens",
        }
    }
}

/// A request of an admitted client, read and checked. Cloning shares everything.
///
/// Its headers hold no credential: the server has removed them. A credential that may be sent upstream is kept as a
/// [`ClientCredential`], which only a pass-through upstream can write into a request.
#[derive(Debug, Clone)]
pub struct RelayRequest(Arc<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    id: Option<Arc<str>>,
    endpoint: Endpoint,
    query: Option<Box<str>>,
    headers: HeaderMap,
    body: MessagesBody,
    client: Option<ClientCredential>,
    keys_allowed: bool,
    deadline: Option<Deadline>,
    #[cfg(feature = "fetch-images")]
    images: tokio::sync::OnceCell<FetchedImages>,
    extensions: Extensions,
}

impl RelayRequest {
    /// Creates a request without a client's credential, which configured keys may serve.
    #[must_use]
    pub fn new(endpoint: Endpoint, query: Option<&str>, headers: HeaderMap, body: MessagesBody) -> Self {
        let query = query.map(Box::from);
        Self(Arc::new(Parts {
            id: None,
            endpoint,
            query,
            headers,
            body,
            client: None,
            keys_allowed: true,
            deadline: None,
            #[cfg(feature = "fetch-images")]
            images: tokio::sync::OnceCell::new(),
            extensions: Extensions::new(),
        }))
    }

    /// Sets the id of the request. An error without an id from an upstream has this one.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<Arc<str>>) -> Self {
        Arc::make_mut(&mut self.0).id = Some(id.into());
        self
    }

    /// Adds the client's own credential.
    #[must_use]
    pub fn with_client_credential(mut self, credential: Option<ClientCredential>) -> Self {
        Arc::make_mut(&mut self.0).client = credential;
        self
    }

    /// Sets whether configured keys may serve this request.
    #[must_use]
    pub fn with_keys_allowed(mut self, allowed: bool) -> Self {
        Arc::make_mut(&mut self.0).keys_allowed = allowed;
        self
    }

    /// Limits the whole time of the request up to its response head.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Option<Deadline>) -> Self {
        Arc::make_mut(&mut self.0).deadline = deadline;
        self
    }

    /// Adds a value that a layer above this crate finds again by its type, such as the log of the request's attempts.
    #[must_use]
    pub fn with_extension<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        Arc::make_mut(&mut self.0).extensions.insert(value);
        self
    }

    /// The id that the relay gave the request.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.0.id.as_deref()
    }

    /// The requested operation.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        self.0.endpoint
    }

    /// The query string as the client sent it, without its question mark.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.0.query.as_deref()
    }

    /// The client's headers without its credentials.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// The client's body.
    #[must_use]
    pub fn body(&self) -> &MessagesBody {
        &self.0.body
    }

    /// The values that were added with [`with_extension`](Self::with_extension).
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        &self.0.extensions
    }

    /// The slot for the images that the body names by URL. [`fetch`](crate::fetch) fills it once, for the first
    /// upstream that needs them.
    #[cfg(feature = "fetch-images")]
    pub(crate) fn images(&self) -> &tokio::sync::OnceCell<FetchedImages> {
        &self.0.images
    }

    /// The client's own credential, if it sent one that may go upstream.
    #[must_use]
    pub fn client_credential(&self) -> Option<&ClientCredential> {
        self.0.client.as_ref()
    }

    /// The time by which the response head must have arrived. `None` is no limit.
    #[must_use]
    pub fn deadline(&self) -> Option<Deadline> {
        self.0.deadline
    }

    /// Returns `true` if configured keys may serve this request (`server.auth.subscription_may_use_keys`).
    #[must_use]
    pub fn keys_allowed(&self) -> bool {
        self.0.keys_allowed
    }
}

/// The end of a period that has begun. Cheap to copy.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    /// `None` if the end is later than an [`Instant`] can represent.
    at: Option<Instant>,
    limit: Duration,
}

impl Deadline {
    /// Creates the deadline that is `limit` from now.
    #[must_use]
    pub fn after(limit: Duration) -> Self {
        Self { at: Instant::now().checked_add(limit), limit }
    }

    /// The end. `None` is later than an [`Instant`] can represent.
    pub(crate) fn at(self) -> Option<Instant> {
        self.at
    }

    /// The whole time, from the beginning to the deadline.
    #[must_use]
    pub fn limit(self) -> Duration {
        self.limit
    }

    /// The time that remains; zero after the deadline.
    #[must_use]
    pub fn remaining(self) -> Duration {
        self.remaining_at(Instant::now().into_std())
    }

    /// The time that remains at `now`, a reading of the runtime's clock; zero after the deadline.
    #[must_use]
    pub fn remaining_at(self, now: std::time::Instant) -> Duration {
        self.at.map_or(Duration::MAX, |at| at.into_std().saturating_duration_since(now))
    }
}

/// One attempt at one upstream: the request, and the changes to it for this upstream alone.
#[derive(Debug, Clone)]
pub struct Attempt {
    request: RelayRequest,
    model: Arc<str>,
    edits: Edits,
    /// The betas of this attempt, if they differ from the client's.
    betas: Option<Vec<Box<str>>>,
    head_timeout: Option<Duration>,
    is_last: bool,
    has_fallback: bool,
    on_break: OnBreak,
    provider: Option<ProviderName>,
    /// The statistics of the first answer, for the record of the attempt.
    stats: Option<AnswerStats>,
    /// The trace of the request, and the number of this attempt.
    trace: Option<(Arc<TraceContext>, usize)>,
}

impl Attempt {
    /// Creates an attempt without changes and without a time limit, which counts as the last one.
    #[must_use]
    pub fn new(request: RelayRequest) -> Self {
        Self {
            model: request.body().model().clone(),
            request,
            edits: Edits::default(),
            betas: None,
            head_timeout: None,
            is_last: true,
            has_fallback: false,
            on_break: OnBreak::Abort,
            provider: None,
            stats: None,
            trace: None,
        }
    }

    /// Sets the statistics in which the facts of the answer are collected. They show them also if the attempt fails or is
    /// dropped before its answer is known: a stream that is held back may have been billed by then. By default, each answer
    /// has statistics of its own.
    #[must_use]
    pub fn with_stats(mut self, stats: AnswerStats) -> Self {
        self.stats = Some(stats);
        self
    }

    /// Notes the address that the request of this attempt is sent to.
    pub(crate) fn note_address(&self, uri: &Uri) {
        if let (Some(stats), Some(address)) = (&self.stats, UpstreamAddress::of(uri)) {
            stats.set_address(address);
        }
    }

    /// Returns the statistics for an answer to this attempt.
    pub(crate) fn take_stats(&self) -> AnswerStats {
        self.stats.as_ref().map(AnswerStats::take).unwrap_or_default()
    }

    /// Limits the time up to the response head.
    #[must_use]
    pub fn with_head_timeout(mut self, limit: Option<Duration>) -> Self {
        self.head_timeout = limit;
        self
    }

    /// Sets whether this attempt is the last one, after which no other candidate can be tried.
    #[must_use]
    pub fn with_is_last(mut self, is_last: bool) -> Self {
        self.is_last = is_last;
        self
    }

    /// Sets whether another candidate can be tried if this attempt fails. The default is `false`.
    #[must_use]
    pub fn with_has_fallback(mut self, has_fallback: bool) -> Self {
        self.has_fallback = has_fallback;
        self
    }

    /// Sets how the client's stream ends if the upstream's stream breaks off. The default is [`OnBreak::Abort`].
    #[must_use]
    pub fn with_on_break(mut self, on_break: OnBreak) -> Self {
        self.on_break = on_break;
        self
    }

    /// Sets the name of the provider, for layers around the attempt.
    #[must_use]
    pub fn with_provider(mut self, name: ProviderName) -> Self {
        self.provider = Some(name);
        self
    }

    /// Sets the trace of the request, and the number of this attempt among those at the request, counted from 0. Without it,
    /// the upstream gets the trace headers of the client.
    #[must_use]
    pub fn with_trace(mut self, trace: Option<Arc<TraceContext>>, number: usize) -> Self {
        self.trace = trace.map(|trace| (trace, number));
        self
    }

    /// The name of the provider in the configuration, if it is known to this attempt.
    #[must_use]
    pub fn provider(&self) -> Option<&ProviderName> {
        self.provider.as_ref()
    }

    /// Replaces the client's model with `model` for this upstream.
    pub fn set_model(&mut self, model: Arc<str>) {
        self.edits.set_model(self.request.body(), &model);
        self.model = model;
    }

    /// The request as the client made it.
    #[must_use]
    pub fn request(&self) -> &RelayRequest {
        &self.request
    }

    /// The model's name at this upstream.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// The time limit up to the response head. `None` is no limit.
    #[must_use]
    pub fn head_timeout(&self) -> Option<Duration> {
        self.head_timeout
    }

    /// Returns `true` if no other candidate can be tried after this attempt, so that a stream need not be held back.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.is_last
    }

    /// Returns `true` if another candidate can be tried if this attempt fails.
    #[must_use]
    pub fn has_fallback(&self) -> bool {
        self.has_fallback
    }

    /// The way in which the client's stream ends if the upstream's stream breaks off.
    #[must_use]
    pub fn on_break(&self) -> OnBreak {
        self.on_break
    }

    /// The changes to the body made for this upstream so far.
    #[must_use]
    pub fn edits(&self) -> &Edits {
        &self.edits
    }

    /// The changes to the body for this upstream, for adding further ones.
    pub fn edits_mut(&mut self) -> &mut Edits {
        &mut self.edits
    }

    /// The betas for this upstream, each once. If none have been set, they are the client's, in the client's order.
    #[must_use]
    pub fn betas(&self) -> Vec<&str> {
        match &self.betas {
            Some(betas) => betas.iter().map(|beta| &**beta).collect(),
            None => headers::each_once(headers::betas(self.request.headers())),
        }
    }

    /// Sets the betas for this upstream, each once. If they equal the client's, the client's header stays as it is.
    pub fn set_betas<'a>(&mut self, betas: impl IntoIterator<Item = &'a str>) {
        let each = headers::each_once(betas);
        let is_clients = headers::betas(self.request.headers()).eq(each.iter().copied());
        self.betas = (!is_clients).then(|| each.into_iter().map(Box::from).collect());
    }

    /// The headers for this upstream, without those that the provider adds itself: those of the client that go to upstreams,
    /// with the betas of this attempt. No credential is among them.
    #[must_use]
    pub fn headers(&self) -> HeaderMap {
        let mut headers = headers::for_upstream(self.request.headers());
        if let Some(betas) = &self.betas {
            headers::set_betas(&mut headers, &betas.join(","));
        }
        if let Some((trace, number)) = &self.trace {
            trace.write_attempt(*number, &mut headers);
        }
        headers
    }

    /// The body for this upstream.
    #[must_use]
    pub fn payload(&self) -> Payload {
        self.edits.apply(self.request.body())
    }
}
