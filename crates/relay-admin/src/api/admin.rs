//! The admin API as a service.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use relay_config::{Secret, ServerConfig};
use relay_server::Body;
use relay_server::site::Site;
use tower::{BoxError, Service};

use super::app::App;
use super::parts::AdminParts;
use super::router;

/// The most connections at one time. Browsers open six for each page.
const CONNECTIONS: usize = 256;
/// The time in which the first request head of a connection has to arrive.
const FIRST_HEAD: Duration = Duration::from_secs(10);
/// The time in which a further request head has to arrive, the pause since the request before included.
const NEXT_HEAD: Duration = Duration::from_secs(120);
/// The longest time for which a client may accept nothing of its response: events are dropped for it long before.
const WRITE: Duration = Duration::from_secs(30);
/// The time that requests have to finish when the process stops. Event streams end at once.
const DRAIN: Duration = Duration::from_secs(5);

/// The admin API as a tower service. Clones share it. [`serve`](crate::serve::serve) serves it on a socket.
#[derive(Clone)]
pub struct Admin {
    app: Arc<App>,
    site: Site,
}

impl Admin {
    /// Creates the API of these parts.
    #[must_use]
    pub fn new(parts: AdminParts) -> Self {
        let server = listener(&parts.server);
        let app = Arc::new(App::new(parts));
        let site = Site::new(router::router(&app), &server)
            .with_connection_limit(CONNECTIONS)
            .with_head_timeouts(FIRST_HEAD, NEXT_HEAD);
        Self { app, site }
    }

    /// Applies the settings of a configuration that was read again, on all clones. `token` is for further requests, and so are the
    /// accepted hosts of `server`. Its other settings are for further connections.
    ///
    /// An event stream that has begun is not affected.
    pub fn apply(&self, server: &ServerConfig, token: Option<&Secret>) {
        self.app.token.replace(token);
        self.site.apply(&listener(server));
    }

    /// The description of the API in OpenAPI 3.1, as JSON.
    #[must_use]
    pub fn description() -> String {
        router::description()
    }

    pub(crate) fn site(&self) -> &Site {
        &self.site
    }

    /// Adds events for changes of the state and for complete points, until it is dropped. [`serve`](crate::serve::serve) polls it.
    pub(crate) async fn add_events(&self) -> Infallible {
        super::live::add_events(&self.app).await
    }

    /// Ends all event streams.
    pub(crate) fn close_events(&self) {
        self.app.parts.events.close();
    }
}

/// The settings of the listener, by those of the relay's own listeners.
fn listener(server: &ServerConfig) -> ServerConfig {
    let mut server = server.clone();
    server.write_timeout = Some(server.write_timeout.map_or(WRITE, |limit| limit.min(WRITE)));
    server.drain_timeout = DRAIN;
    server.drain_delay = Duration::ZERO;
    server
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("parts", &self.app.parts).finish_non_exhaustive()
    }
}

impl<B> Service<Request<B>> for Admin
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
        self.site.call(request)
    }
}
