//! New connections: TCP, through a proxy if the environment names one, then TLS.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;
use relay_messages::error_sources;
use rustls::ClientConfig;
use tower::{BoxError, Service};

use crate::tls::Untrusted;

type BoxFuture<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// The proxies for `https` upstreams. A proxy must speak plain HTTP. Upstreams on plain `http` are local and always
/// reached directly.
#[derive(Debug, Clone, Default)]
pub struct Proxies(Option<Arc<Matcher>>);

impl Proxies {
    /// No proxy: every upstream is reached directly.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// The proxies in `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, in upper or lower case, read as curl reads them.
    #[must_use]
    pub fn from_environment() -> Self {
        Self(Some(Arc::new(Matcher::from_env())))
    }
}

/// Connects within a time limit, which includes name lookup, proxy and TLS.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    https: HttpsConnector<ProxyConnector>,
    timeout: Duration,
}

/// A connection was not established within its time limit.
#[derive(Debug, thiserror::Error)]
#[error("no connection within {} ms", after.as_millis())]
struct ConnectTimeout {
    after: Duration,
}

/// The environment names a proxy of another scheme. To one on `https` or `socks5`, the `CONNECT` request and the proxy's
/// credential would be sent without encryption.
#[derive(Debug, thiserror::Error)]
#[error("the environment names a proxy on {scheme}://, and only proxies on http:// are supported")]
struct UnsupportedProxy {
    scheme: Scheme,
}

/// The proxy refused or failed. The message names the proxy, so that its refusal is not taken for the upstream's. It
/// includes the innermost reason, for callers that print one cause only.
#[derive(Debug, thiserror::Error)]
#[error("the proxy at {address}, which the environment names, gives no connection: {reason}")]
struct ProxyFailed {
    /// The proxy's host and port, without its credential.
    address: String,
    reason: String,
}

impl ProxyFailed {
    fn new(address: String, error: &(dyn Error + 'static)) -> Self {
        let reason = error_sources(error).last().unwrap_or(error);
        Self { address, reason: reason.to_string() }
    }
}

impl Connector {
    pub(crate) fn new(tls: ClientConfig, proxies: Proxies, timeout: Duration) -> Self {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_keepalive(Some(Duration::from_secs(60)));
        http.set_connect_timeout(Some(timeout));
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(ProxyConnector { http, proxies });
        Self { https, timeout }
    }
}

impl Service<Uri> for Connector {
    type Response = <HttpsConnector<ProxyConnector> as Service<Uri>>::Response;
    type Error = BoxError;
    type Future = BoxFuture<Self::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(cx)
    }

    fn call(&mut self, destination: Uri) -> Self::Future {
        let after = self.timeout;
        let connecting = self.https.call(destination);
        Box::pin(async move {
            match tokio::time::timeout(after, connecting).await {
                Ok(connected) => connected.map_err(Untrusted::or),
                Err(_) => Err(ConnectTimeout { after }.into()),
            }
        })
    }
}

#[derive(Debug, Clone)]
pub(crate) struct ProxyConnector {
    http: HttpConnector,
    proxies: Proxies,
}

impl Service<Uri> for ProxyConnector {
    type Response = <HttpConnector as Service<Uri>>::Response;
    type Error = BoxError;
    type Future = BoxFuture<Self::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.http.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, destination: Uri) -> Self::Future {
        let proxy = match &self.proxies.0 {
            Some(matcher) if destination.scheme() == Some(&Scheme::HTTPS) => matcher.intercept(&destination),
            _ => None,
        };
        match proxy {
            None => {
                let connecting = self.http.call(destination);
                Box::pin(async { connecting.await.map_err(Into::into) })
            }
            Some(proxy) => {
                if let Some(scheme) = proxy.uri().scheme()
                    && *scheme != Scheme::HTTP
                {
                    let error = UnsupportedProxy { scheme: scheme.clone() };
                    return Box::pin(async { Err(error.into()) });
                }
                let port = proxy.uri().port_u16().map_or(String::new(), |port| format!(":{port}"));
                let address = format!("{}{port}", proxy.uri().host().unwrap_or_default());
                let mut tunnel = Tunnel::new(proxy.uri().clone(), self.http.clone());
                if let Some(credential) = proxy.basic_auth() {
                    tunnel = tunnel.with_auth(credential.clone());
                }
                let connecting = tunnel.call(destination);
                Box::pin(async { connecting.await.map_err(|error| ProxyFailed::new(address, &error).into()) })
            }
        }
    }
}
