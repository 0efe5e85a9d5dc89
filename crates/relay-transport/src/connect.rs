//! New connections: TCP, through a proxy if the environment names one, then TLS.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use relay_config::{Fault, Proxy, proxy_exceptions};
use relay_messages::error_sources;
use rustls::ClientConfig;
use tower::{BoxError, Service, ServiceExt};

use crate::custom_connector::{AnyIo, CustomConnector};
use crate::open_files::is_about_open_files;
use crate::tls::Untrusted;

/// The silence on a connection after which the kernel sends the first keep-alive probe.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 3;
/// The time for which sent data may stay unacknowledged, and for which an upstream may accept no data.
#[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

type BoxFuture<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// The proxies for `https` upstreams. A proxy must speak plain HTTP. Upstreams on plain `http` are local and always
/// reached directly.
#[derive(Debug, Clone, Default)]
pub struct Proxies(Option<Arc<Environment>>);

/// The proxy of the environment, with the hosts that are reached directly.
#[derive(Debug)]
struct Environment {
    matcher: Matcher,
    /// The reason that connections fail instead of using the proxy.
    refusal: Option<ProxyRefused>,
}

impl Proxies {
    /// No proxy: every upstream is reached directly.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// The proxies in `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, in upper or lower case, read as curl reads them. If the
    /// proxy cannot be used, connections fail: a direct one would avoid a proxy that the operator requires.
    #[must_use]
    pub fn from_environment() -> Self {
        // A value that is not Unicode is refused as no URL, instead of being ignored.
        Self::from_variables(&|name| Some(std::env::var_os(name)?.to_string_lossy().into_owned()))
    }

    fn from_variables(variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let (url, refusal) = match Proxy::from_environment(variable) {
            Ok(None) => return Self::none(),
            Ok(Some(proxy)) if proxy.scheme == "http" => (proxy.url.expose().to_owned(), None),
            Ok(Some(Proxy { scheme, .. })) => {
                (Self::REFUSED.to_owned(), Some(ProxyRefused::Unsupported { scheme }))
            }
            Err((variable, fault)) => {
                (Self::REFUSED.to_owned(), Some(ProxyRefused::Invalid { variable, fault }))
            }
        };
        let matcher = Matcher::builder().https(url).no(proxy_exceptions(variable)).build();
        Self(Some(Arc::new(Environment { matcher, refusal })))
    }

    /// The URL in place of one that is refused. No connection to it is made.
    const REFUSED: &str = "http://refused.invalid";

    /// Returns the proxy for connections to `destination`. `None` if it is reached directly.
    ///
    /// # Errors
    /// The reason that the proxy is not used.
    fn intercept(&self, destination: &Uri) -> Result<Option<Intercept>, ProxyRefused> {
        let proxies = self.0.as_ref().filter(|_| destination.scheme() == Some(&Scheme::HTTPS));
        let Some(proxies) = proxies else { return Ok(None) };
        match (proxies.matcher.intercept(destination), &proxies.refusal) {
            (Some(_), Some(refusal)) => Err(refusal.clone()),
            (proxy, _) => Ok(proxy),
        }
    }
}

/// Returns the host of a proxy, and its port if it has one.
fn address_of(proxy: &Intercept) -> String {
    let port = proxy.uri().port_u16().map_or(String::new(), |port| format!(":{port}"));
    format!("{}{port}", proxy.uri().host().unwrap_or_default())
}

/// Connects within a time limit, which includes name lookup, proxy and TLS.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    tcp: ProxyConnector,
    https: HttpsConnector<ProxyConnector>,
    /// `https` without HTTP/2.
    http1: HttpsConnector<ProxyConnector>,
    /// The connector of a program that speaks no TLS.
    plain: Option<CustomConnector>,
    timeout: Duration,
}

/// A connection was not established within its time limit.
#[derive(Debug, thiserror::Error)]
#[error("no connection within {} ms", after.as_millis())]
struct ConnectTimeout {
    after: Duration,
}

/// The environment names a proxy that is not used.
#[derive(Debug, Clone, thiserror::Error)]
enum ProxyRefused {
    /// To a proxy on `https` or `socks5`, the `CONNECT` request and the credential would be sent without encryption.
    #[error("the environment names a proxy on {scheme}://, and only proxies on http:// are supported")]
    Unsupported { scheme: String },
    #[error("the environment names a proxy that cannot be used: {variable}: {fault}")]
    Invalid { variable: &'static str, fault: Fault },
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
    /// Returns the failure of the proxy at `address`, or `error` itself if the relay could not open the socket to it.
    fn or(address: String, error: impl Into<BoxError>) -> BoxError {
        let error = error.into();
        if is_about_open_files(&*error) {
            return error;
        }
        let reason = error_sources(&*error).last().unwrap_or(&*error).to_string();
        Self { address, reason }.into()
    }
}

impl Connector {
    /// Connects by `custom` in place of TCP and proxies, if it is given.
    pub(crate) fn new(
        tls: ClientConfig,
        proxies: Proxies,
        timeout: Duration,
        custom: Option<CustomConnector>,
    ) -> Self {
        let plain = custom.clone().filter(CustomConnector::is_plain);
        let tcp = ProxyConnector { custom, ..ProxyConnector::new(proxies, timeout) };
        let builder = |tls| HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        let https = builder(tls.clone()).enable_all_versions().wrap_connector(tcp.clone());
        let http1 = builder(tls).enable_http1().wrap_connector(tcp.clone());
        Self { tcp, https, http1, plain, timeout }
    }

    /// Returns a connector that offers only HTTP/1.1.
    pub(crate) fn http1_only(&self) -> Self {
        Self { https: self.http1.clone(), ..self.clone() }
    }

    /// Returns the time limit for a connection.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Returns `true` if a program connects in the place of TCP.
    pub(crate) fn is_custom(&self) -> bool {
        self.tcp.custom.is_some()
    }

    /// Returns the host and port of the proxy for `destination`, with the URI by which its host is looked up. `None` if
    /// `destination` is reached directly.
    ///
    /// # Errors
    /// The reason that the proxy of the environment is not used.
    pub(crate) fn proxy(&self, destination: &Uri) -> Result<Option<(String, Uri)>, BoxError> {
        let proxy = self.tcp.proxies.intercept(destination)?;
        Ok(proxy.map(|proxy| (address_of(&proxy), proxy.uri().clone())))
    }

    /// Connects to `destination` without TLS, through the proxy if there is one.
    pub(crate) async fn connect_tcp(&self, destination: Uri) -> Result<(), BoxError> {
        self.tcp.clone().oneshot(destination).await.map(drop)
    }

    /// Connects to `destination`, with TLS for `https`. The error is that of the TLS library.
    pub(crate) async fn connect_tls(
        &self,
        destination: Uri,
    ) -> Result<<HttpsConnector<ProxyConnector> as Service<Uri>>::Response, BoxError> {
        self.https.clone().oneshot(destination).await
    }

    /// Connects to `destination` with `tls` in the place of the connector's settings.
    pub(crate) async fn connect_with(&self, tls: ClientConfig, destination: Uri) -> Result<(), BoxError> {
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        builder.enable_http1().wrap_connector(self.tcp.clone()).oneshot(destination).await.map(drop)
    }
}

/// Sets the socket options that end a connection within 30 s if its peer or its network is lost silently. They apply
/// to the sockets to a proxy, too. Otherwise a request would wait for the whole of its time limit.
fn detect_loss(http: &mut HttpConnector) {
    // While no data is on its way, probes show the loss: 15 s + 3 × 5 s.
    http.set_keepalive(Some(KEEPALIVE_IDLE));
    http.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
    http.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
    // Sent data that is not acknowledged, for which the kernel sends no probes. Its own limit is about 15 minutes.
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    http.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
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
        let connecting = match &self.plain {
            None => self.https.call(destination),
            Some(plain) => {
                let connecting = plain.clone().connect(destination);
                Box::pin(async { connecting.await.map(MaybeHttpsStream::Http) })
            }
        };
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
    /// The connector of a program, which is used in place of the others.
    custom: Option<CustomConnector>,
}

impl ProxyConnector {
    fn new(proxies: Proxies, timeout: Duration) -> Self {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(timeout));
        detect_loss(&mut http);
        Self { http, proxies, custom: None }
    }
}

impl Service<Uri> for ProxyConnector {
    type Response = AnyIo;
    type Error = BoxError;
    type Future = BoxFuture<Self::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.http.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, destination: Uri) -> Self::Future {
        if let Some(custom) = self.custom.clone() {
            return Box::pin(custom.connect(destination));
        }
        let proxy = match self.proxies.intercept(&destination) {
            Ok(proxy) => proxy,
            Err(refusal) => return Box::pin(async { Err(refusal.into()) }),
        };
        match proxy {
            None => {
                let connecting = self.http.call(destination);
                Box::pin(async { connecting.await.map(AnyIo::Tcp).map_err(Into::into) })
            }
            Some(proxy) => {
                let address = address_of(&proxy);
                let mut tunnel = Tunnel::new(proxy.uri().clone(), self.http.clone());
                if let Some(credential) = proxy.basic_auth() {
                    tunnel = tunnel.with_auth(credential.clone());
                }
                let connecting = tunnel.call(destination);
                Box::pin(async {
                    let connected = connecting.await.map(AnyIo::Tcp);
                    connected.map_err(|error| ProxyFailed::or(address, error))
                })
            }
        }
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use socket2::SockRef;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// Connects to `uri` and checks the options of the socket.
    async fn check(proxies: Proxies, uri: String) {
        let connector = ProxyConnector::new(proxies, Duration::from_secs(9));
        let AnyIo::Tcp(stream) = connector.oneshot(uri.parse().unwrap()).await.unwrap() else {
            panic!("a connection without TCP");
        };
        let stream = stream.into_inner();
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap() && socket.tcp_nodelay().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE_IDLE);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), KEEPALIVE_INTERVAL);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), KEEPALIVE_RETRIES);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(UNACKNOWLEDGED));
    }

    #[test]
    fn a_lack_of_open_files_is_not_a_failure_of_the_proxy() {
        let failed = |code| ProxyFailed::or("proxy:3128".to_owned(), std::io::Error::from_raw_os_error(code));
        const EMFILE: i32 = 24;
        const ECONNREFUSED: i32 = 111;
        assert!(is_about_open_files(&*failed(EMFILE)));
        assert_eq!(
            failed(ECONNREFUSED).to_string(),
            "the proxy at proxy:3128, which the environment names, gives no connection: Connection refused (os error 111)"
        );
    }

    #[tokio::test]
    async fn a_vanished_network_is_detected_on_sockets_to_upstreams_and_to_proxies() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        check(Proxies::none(), format!("http://{address}/")).await;
        check(Proxies::none(), format!("https://{address}/")).await;

        let proxies =
            Proxies::from_variables(&|name| (name == "HTTPS_PROXY").then(|| format!(" http://{address}\n")));
        let through_proxy = check(proxies, "https://upstream.example/".to_owned());
        let proxy = async {
            for _ in 0..2 {
                listener.accept().await.unwrap();
            }
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut request).await.unwrap();
            }
            assert!(request.starts_with(b"CONNECT upstream.example:443 "));
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            stream
        };
        tokio::join!(through_proxy, proxy);
    }
}
