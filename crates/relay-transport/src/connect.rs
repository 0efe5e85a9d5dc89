//! New connections: TCP, through a proxy where the environment says so, then TLS.

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
use rustls::ClientConfig;
use tower::{BoxError, Service};

use crate::tls::Untrusted;

type BoxFuture<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// Which proxies `https` upstreams are reached through: such as speak plain HTTP. Upstreams on plain `http` are local
/// ones and always reached directly.
#[derive(Debug, Clone, Default)]
pub struct Proxies(Option<Arc<Matcher>>);

impl Proxies {
    /// None.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// What `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` say, in either case, read as curl reads them.
    #[must_use]
    pub fn from_environment() -> Self {
        Self(Some(Arc::new(Matcher::from_env())))
    }
}

/// Connects within a time limit, name lookup, proxy and TLS included.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    https: HttpsConnector<ProxyConnector>,
    timeout: Duration,
}

/// A connection took too long to come about.
#[derive(Debug, thiserror::Error)]
#[error("no connection within {} ms", after.as_millis())]
struct ConnectTimeout {
    after: Duration,
}

/// To a proxy on `https` or `socks5` the tunnel's request would go in the clear, with the credential for the proxy.
#[derive(Debug, thiserror::Error)]
#[error("the environment names a proxy on {scheme}://, and only proxies on http:// are supported")]
struct UnsupportedProxy {
    scheme: Scheme,
}

/// Without the proxy's name its refusal would be taken for the upstream's. The innermost reason is part of the message:
/// whoever shows one cause alone shows this one.
#[derive(Debug, thiserror::Error)]
#[error("the proxy at {address}, which the environment names, gives no connection: {reason}")]
struct ProxyFailed {
    /// Host and port, without the credential.
    address: String,
    reason: String,
}

impl ProxyFailed {
    fn new(address: String, error: &(dyn Error + 'static)) -> Self {
        let mut reason = error;
        while let Some(source) = reason.source() {
            reason = source;
        }
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
