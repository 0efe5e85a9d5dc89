//! Connections to public addresses: one for each request, over TLS, without a proxy.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{HOST, HeaderValue};
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::ext::on_informational;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::target::Target;
use crate::http_client::Connections;
use crate::image_error::FetchError;
use crate::pool::{BytesReceived, CountedIo, InterimResponses};

type Lookup = dyn Fn(&str, u16) -> Addresses + Send + Sync;
type Addresses = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Connects to hosts that have a public address. Cloning shares the settings.
#[derive(Clone)]
pub(super) struct PublicHosts {
    tls: Arc<ClientConfig>,
    rules: Arc<Rules>,
}

/// The name lookup and the address check. Only tests replace them.
pub(super) struct Rules {
    pub(super) lookup: Box<Lookup>,
    pub(super) is_allowed: fn(IpAddr) -> bool,
}

impl Rules {
    /// The system's lookup, and `is_allowed` for its results.
    pub(super) fn new(is_allowed: fn(IpAddr) -> bool) -> Self {
        let lookup = |host: &str, port| -> Addresses {
            let host = host.to_owned();
            Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
        };
        Self { lookup: Box::new(lookup), is_allowed }
    }
}

impl fmt::Debug for PublicHosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicHosts")
    }
}

impl PublicHosts {
    pub(super) fn new(tls: ClientConfig, rules: Rules) -> Self {
        Self { tls: Arc::new(tls), rules: Arc::new(rules) }
    }

    /// Connects to a checked address of the target's host. The name is not looked up again.
    async fn connect(&self, target: &Target) -> Result<TlsStream<TcpStream>, FetchError> {
        let host = || target.host().to_owned();
        let found = (self.rules.lookup)(target.host(), target.port()).await;
        let found = found.map_err(|source| FetchError::Lookup { host: host(), source })?;
        let allowed: Vec<_> =
            found.into_iter().filter(|address| (self.rules.is_allowed)(address.ip())).collect();
        if allowed.is_empty() {
            return Err(FetchError::NotPublic { host: host() });
        }
        let failed = |source| FetchError::Connect { host: host(), source };
        let name = ServerName::try_from(host()).map_err(|_| FetchError::Url)?;
        let stream = TcpStream::connect(&*allowed).await.map_err(failed)?;
        TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await.map_err(failed)
    }
}

impl Connections for PublicHosts {
    type Body = ConnectedBody;
    type HeadError = FetchError;
    type BodyError = FetchError;

    async fn send(&self, request: Request<Bytes>) -> Result<Response<ConnectedBody>, FetchError> {
        let target = Target::of(request.uri())?;
        let broken = |source: hyper::Error| FetchError::Transport {
            host: target.host().to_owned(),
            source: source.into(),
        };
        let interim = InterimResponses::default();
        let stream = self.connect(&target).await?;
        let io = TokioIo::new(CountedIo::http1(stream, BytesReceived::default(), interim.clone()));
        let (mut sender, connection) = http1::handshake(io).await.map_err(broken)?;
        let mut task = JoinSet::new();
        task.spawn(async move {
            // The errors of the connection are also errors of the exchange.
            let _ = connection.await;
        });
        let mut request = origin_form(request, &target)?;
        on_informational(&mut request, move |_| interim.add());
        let response = sender.send_request(request).await.map_err(broken)?;
        let host = target.host().to_owned();
        Ok(response.map(|body| ConnectedBody { body, host, _connection: task }))
    }
}

/// Returns `request` in the form that HTTP/1.1 sends to an origin server: a path, and the host as the first header.
fn origin_form(request: Request<Bytes>, target: &Target) -> Result<Request<Full<Bytes>>, FetchError> {
    let (mut head, body) = request.into_parts();
    // Path and authority come from a parsed URI.
    head.uri = target.path().as_str().parse().map_err(|_| FetchError::Url)?;
    let host = HeaderValue::from_str(target.authority()).map_err(|_| FetchError::Url)?;
    let mut headers = HeaderMap::from_iter([(HOST, host)]);
    headers.extend(std::mem::take(&mut head.headers));
    head.headers = headers;
    Ok(Request::from_parts(head, Full::new(body)))
}

/// A body and the task of its connection, which is aborted when the body is dropped.
pub(super) struct ConnectedBody {
    body: Incoming,
    host: String,
    _connection: JoinSet<()>,
}

impl Body for ConnectedBody {
    type Data = Bytes;
    type Error = FetchError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, FetchError>>> {
        let this = self.get_mut();
        let broken =
            |source: hyper::Error| FetchError::Transport { host: this.host.clone(), source: source.into() };
        Pin::new(&mut this.body).poll_frame(cx).map_err(broken)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
