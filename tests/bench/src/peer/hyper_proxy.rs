//! The floor: a reverse proxy of hyper and hyper-util that does nothing but forward.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use http::uri::{Authority, Scheme};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{Either, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::Result;
use crate::listen::listen;

type Connector = HttpsConnector<HttpConnector>;
type Upstreams = Client<Connector, Incoming>;

/// Idle connections that are kept. As many as there are clients, so that no request needs a new one.
const IDLE: usize = 16_384;
/// The receive window of an HTTP/2 stream, in bytes.
const STREAM_WINDOW: u32 = 1 << 20;
/// The client connections whose requests share an HTTP/2 connection: as many as streams of cc-relay do. The client of
/// hyper-util has one connection to a host, on which requests wait for a free stream.
const STREAMS: u32 = 100;

/// Forwards every request that arrives at `address` to `upstream`. Runs until the process is killed.
/// # Errors
/// If the address is in use, or if the certificate cannot be read.
pub(crate) async fn serve(address: SocketAddr, upstream: Uri, ca_file: &Path, http2: bool) -> Result<()> {
    let mut clients =
        Clients::new(connector(ca_file, http2)?, if http2 { STREAMS as usize } else { usize::MAX });
    let scheme = upstream.scheme().cloned().ok_or("the upstream has no scheme")?;
    let authority = upstream.authority().cloned().ok_or("the upstream has no host")?;
    let listener = listen(address)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (client, scheme, authority) = (clients.of_next_connection(), scheme.clone(), authority.clone());
        let service = service_fn(move |request| {
            forward(Upstreams::clone(&client), scheme.clone(), authority.clone(), request)
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

/// The clients of the upstream. Each has its own pool, so that there is more than one HTTP/2 connection.
struct Clients {
    connector: Connector,
    /// The largest number of client connections for each client of the upstream.
    share: usize,
    /// A client is shared with the connections that use it.
    all: Vec<Arc<Upstreams>>,
}

impl Clients {
    fn new(connector: Connector, share: usize) -> Self {
        Self { connector, share, all: Vec::new() }
    }

    /// Returns the first client that has room for a further connection, or a new one.
    fn of_next_connection(&mut self) -> Arc<Upstreams> {
        let has_room = |client: &&Arc<Upstreams>| Arc::strong_count(client) <= self.share;
        if let Some(client) = self.all.iter().find(has_room) {
            return Arc::clone(client);
        }
        // The window of a connection is that of all of its streams: one that is not read does not stop the others.
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(IDLE)
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_initial_connection_window_size(STREAMS * STREAM_WINDOW)
            .build(self.connector.clone());
        let client = Arc::new(client);
        self.all.push(Arc::clone(&client));
        client
    }
}

async fn forward(
    client: Upstreams,
    scheme: Scheme,
    authority: Authority,
    mut request: Request<Incoming>,
) -> Result<Response<Either<Incoming, Empty<Bytes>>>, http::Error> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build()?;
    match client.request(request).await {
        Ok(response) => Ok(response.map(Either::Left)),
        Err(_) => Response::builder().status(StatusCode::BAD_GATEWAY).body(Either::Right(Empty::new())),
    }
}

fn connector(ca_file: &Path, http2: bool) -> Result<Connector> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca_file)?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let tls = tls.with_root_certificates(roots).with_no_client_auth();
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    tcp.enforce_http(false);
    let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
    Ok(if http2 {
        builder.enable_http2().wrap_connector(tcp)
    } else {
        builder.enable_http1().wrap_connector(tcp)
    })
}
