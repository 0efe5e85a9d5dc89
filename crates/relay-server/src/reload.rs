//! A relay whose configuration can be replaced while it serves requests.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use relay_config::Config;
use tower::{BoxError, Service};

use crate::body::Body;
use crate::build_error::BuildError;
use crate::changes::Changes;
use crate::listener_rules::ListenerRules;
use crate::relay::Relay;
#[cfg(feature = "serve")]
use crate::serve::{PeerAddress, Served, Serving};
#[cfg(feature = "serve")]
use crate::stack::StackFuture;
use crate::stages;

/// A relay whose configuration can be replaced while it serves requests. Clones share the relay.
///
/// A request is served to its end by the relay that was in use when it arrived. The settings that the [`Builder`] made in
/// code, such as observers and layers, are kept.
///
/// ```
/// use http::Request;
/// use http_body_util::Full;
/// use relay_config::{Format, Loader};
/// use relay_server::{Relay, Reloadable};
/// use tower::ServiceExt;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let load = |text: &str| Loader::new().with_text("relay.yaml", Format::Yaml, text).load();
/// let first = load("providers: [{ name: a, type: mock }]")?.config;
/// let relay = Reloadable::new(Relay::builder(first).build()?);
///
/// let second = load("providers: [{ name: a, type: mock }, { name: b, type: mock }]")?.config;
/// let changes = relay.replace(second)?;
/// assert_eq!(changes.added[0].as_str(), "b");
///
/// let request = Request::get("/v1/providers").body(Full::from(""))?;
/// let response = relay.oneshot(request).await?;
/// assert_eq!(response.status(), 200);
/// # Ok(())
/// # })
/// # }
/// ```
///
/// [`Builder`]: crate::Builder
#[derive(Clone, Debug)]
pub struct Reloadable {
    current: Arc<Current>,
    /// The listener that this clone serves; `None` if it is called directly.
    listener: Option<ListenerRules>,
}

#[derive(Debug)]
struct Current {
    /// Locked for the time of a clone or of an assignment, never while a relay is built.
    relay: RwLock<Relay>,
    /// Held while the relay is replaced or drained, so that two replacements inherit one from the other.
    replacing: Mutex<()>,
}

impl Reloadable {
    /// Creates a service that `relay` serves at first.
    #[must_use]
    pub fn new(relay: Relay) -> Self {
        let relay = RwLock::new(relay);
        Self { current: Arc::new(Current { relay, replacing: Mutex::default() }), listener: None }
    }

    /// Returns the relay that serves requests now.
    #[must_use]
    pub fn relay(&self) -> Relay {
        self.current.relay.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Serves further requests by `config`, and returns the differences to the configuration in use.
    ///
    /// The new relay inherits sessions, circuits, cooldowns and limits, as
    /// [`inherit_state`](crate::Builder::inherit_state) describes. Providers whose settings and files have not changed are the
    /// same ones, with their connections and tokens. Requests in progress are not affected. It blocks for the time in which
    /// files are read and a relay is built, some milliseconds. If nothing comes into use, the relay stays the same one.
    ///
    /// The settings in [`Changes::not_applied`] keep their values: [`Relay::config`] always returns the configuration in use.
    ///
    /// # Errors
    /// [`BuildError`] if no relay can be built. The configuration before then stays in use.
    pub fn replace(&self, config: Config) -> Result<Changes, BuildError> {
        let _replacing = self.current.replacing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.relay();
        let mut changes = Changes::between(before.config(), &config);
        changes.files = before.providers().changed_files(&config);
        if changes.is_empty() {
            return Ok(changes);
        }
        let relay = stages::rebuild(config.with_process_settings_of(before.config()), &before)?;
        if before.is_draining() {
            relay.start_draining();
        }
        *self.current.relay.write().unwrap_or_else(PoisonError::into_inner) = relay;
        Ok(changes)
    }

    /// The lock that is held while the relay is replaced.
    pub(crate) fn replacing(&self) -> &Mutex<()> {
        &self.current.replacing
    }

    /// Makes `/readyz` answer 503 from now on, also after a further replacement. Requests are served as before.
    pub fn start_draining(&self) {
        let _replacing = self.current.replacing.lock().unwrap_or_else(PoisonError::into_inner);
        self.relay().start_draining();
    }
}

#[cfg(feature = "serve")]
impl Served for Reloadable {
    fn on_listener(mut self, listener: ListenerRules) -> Self {
        self.listener = Some(listener);
        self
    }

    fn serving(&self) -> Serving {
        self.relay().serving().clone()
    }

    fn start_draining(&self) {
        Self::start_draining(self);
    }

    fn respond<B>(&self, request: Request<B>, _: PeerAddress) -> StackFuture
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.relay().respond(request, self.listener)
    }
}

impl From<Relay> for Reloadable {
    fn from(relay: Relay) -> Self {
        Self::new(relay)
    }
}

impl<B> Service<Request<B>> for Reloadable
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // A relay is always ready: at its limit it answers with an error.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.relay().respond(request, self.listener)
    }
}
