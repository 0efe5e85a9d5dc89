//! The settings of the feature `serve`: listeners, and upstreams that are served in memory.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use relay_config::BaseUrl;
use relay_providers::Compatible;
use tower::{BoxError, Service};

use super::Builder;
use crate::custom::{Added, CustomProvider};
use crate::in_process;
use crate::layers::LayerBody;
use crate::serve::HeadTimeouts;

impl Builder {
    /// Closes a connection that brings no complete request head in time: within `first` of being accepted, and within
    /// `next` after the last open request on it. The defaults are 30 s and 120 s.
    ///
    /// Applies to the function `serve` only. The limit keeps idle and slow clients from using up sockets.
    #[must_use]
    pub fn with_head_timeouts(mut self, first: Duration, next: Duration) -> Self {
        self.options.listeners.head_timeouts = HeadTimeouts { first, next };
        self
    }

    /// Accepts at most `limit` connections at one time, over all listeners. At the limit, the connection that has been idle
    /// for longest is closed. If none is idle, further connections wait until one ends. The default is 10,000, or three
    /// quarters of the files that the process may open if that is less.
    ///
    /// Applies to the function `serve` only.
    #[must_use]
    pub fn with_connection_limit(mut self, limit: usize) -> Self {
        self.options.listeners.connections = limit;
        self
    }

    /// Sends the requests of the provider `settings` names to `service` in place of the network: another relay, a backend of
    /// the program, or a test double. `service` speaks the Messages API, as the upstream of that provider does.
    ///
    /// If the configuration has a provider of this name, its requests are made as it describes, credential included.
    /// Otherwise a provider is added as by [`with_provider`](Self::with_provider): with Anthropic's format and without a
    /// credential. Requests pass HTTP/1.1 in memory, so that time limits, cancellation and broken streams are those of a
    /// network. An error of the service breaks the connection.
    ///
    /// ```
    /// use std::convert::Infallible;
    ///
    /// use http::{Request, Response};
    /// use http_body_util::Full;
    /// use relay_config::Config;
    /// use relay_server::{LayerBody, Relay};
    /// use tower::{ServiceExt, service_fn};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let backend = service_fn(|_: Request<LayerBody>| async {
    ///     let message = r#"{"type":"message","role":"assistant","content":[],"model":"m","stop_reason":"end_turn"}"#;
    ///     Ok::<_, Infallible>(Response::new(Full::from(message)))
    /// });
    /// let relay = Relay::builder(Config::default()).with_upstream("backend", backend).build()?;
    /// let body = r#"{"model":"m","max_tokens":8,"messages":[{"role":"user","content":"Hello"}]}"#;
    /// let response = relay.oneshot(Request::post("/v1/messages").body(Full::from(body))?).await?;
    /// assert_eq!(response.status(), 200);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    #[must_use]
    pub fn with_upstream<S, B>(mut self, settings: impl Into<CustomProvider>, service: S) -> Self
    where
        S: Service<Request<LayerBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        // The host is never looked up.
        if let Ok(base_url) = BaseUrl::parse("http://in-process.invalid") {
            let added = Added::new(settings.into(), Compatible::without_key(base_url));
            self.options.connectors.push((added.config.name.clone(), in_process::connector(service)));
            self.options.providers.push(Added { is_fallback: true, ..added });
        }
        self
    }
}
