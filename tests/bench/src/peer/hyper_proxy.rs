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

type Upstreams = Client<HttpsConnector<HttpConnector>, Incoming>;

/// Idle connections that are kept. As many as there are clients, so that no request needs a new one.
const IDLE: usize = 16_384;

/// Forwards every request that arrives at `address` to `upstream`. Runs until the process is killed.
/// # Errors
/// If the address is in use, or if the certificate cannot be read.
pub(crate) async fn serve(address: SocketAddr, upstream: Uri, ca_file: &Path, http2: bool) -> Result<()> {
    let client = Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(IDLE)
        .http2_initial_stream_window_size(1 << 20)
        .http2_initial_connection_window_size(16 << 20)
        .build(connector(ca_file, http2)?);
    let scheme = upstream.scheme().cloned().ok_or("the upstream has no scheme")?;
    let authority = upstream.authority().cloned().ok_or("the upstream has no host")?;
    let listener = listen(address)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (client, scheme, authority) = (client.clone(), scheme.clone(), authority.clone());
        let service =
            service_fn(move |request| forward(client.clone(), scheme.clone(), authority.clone(), request));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
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

fn connector(ca_file: &Path, http2: bool) -> Result<HttpsConnector<HttpConnector>> {
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
