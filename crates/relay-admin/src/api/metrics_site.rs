//! A listener that serves the metrics and nothing else.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware;
use axum::response::Response;
use relay_config::ServerConfig;
use relay_server::Reloadable;
use relay_server::site::Site;
use tower_http::compression::CompressionLayer;

use super::fallback::not_found;
use super::{metrics, problem};
use crate::metrics::Metrics;

/// The most connections at one time.
const CONNECTIONS: usize = 64;
/// The time that requests have to finish when the process stops.
const DRAIN: Duration = Duration::from_secs(2);

/// A service for the metrics alone, without a token. [`serve_metrics`](crate::serve::serve_metrics) serves it on a socket.
#[derive(Clone)]
pub struct MetricsSite {
    site: Site,
}

struct Parts {
    metrics: Metrics,
    path: String,
    relay: Reloadable,
}

impl MetricsSite {
    /// Creates the service for the metrics of `relay` on `path`. `server` has the accepted hosts and the limits of listeners.
    #[must_use]
    pub fn new(metrics: Metrics, path: impl Into<String>, relay: Reloadable, server: &ServerConfig) -> Self {
        let server = listener(server);
        let parts = Arc::new(Parts { metrics, path: path.into(), relay });
        let router = Router::new()
            .fallback(respond)
            .with_state(parts)
            .layer(CompressionLayer::new())
            .layer(middleware::from_fn(problem::write));
        Self { site: Site::new(router, &server).with_connection_limit(CONNECTIONS) }
    }

    /// Applies the accepted hosts and the limits of `server` from now on, on all clones.
    pub fn apply(&self, server: &ServerConfig) {
        self.site.apply(&listener(server));
    }

    pub(crate) fn site(&self) -> &Site {
        &self.site
    }
}

/// The settings of the listener, by those of the relay's own listeners.
fn listener(server: &ServerConfig) -> ServerConfig {
    let mut server = server.clone();
    (server.drain_timeout, server.drain_delay) = (DRAIN, Duration::ZERO);
    server
}

impl fmt::Debug for MetricsSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MetricsSite")
    }
}

async fn respond(State(parts): State<Arc<Parts>>, request: Request) -> Response {
    match request.uri().path() == parts.path {
        true => metrics::respond(&parts.metrics, &parts.relay, request).await,
        false => not_found(request).await,
    }
}
