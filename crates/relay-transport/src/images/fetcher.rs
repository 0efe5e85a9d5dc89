//! The download of one image.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, LOCATION, USER_AGENT};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::address::is_public;
use super::error::FetchError;
use super::target::Target;
use crate::tls::{TlsError, TrustRoots, client_config};

/// The largest image that the Messages API accepts, in bytes.
const MAX_IMAGE: usize = 5 * 1024 * 1024;
/// The time limit from the lookup of the first name to the image's last byte.
const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_REDIRECTS: usize = 3;
/// The image types that the Messages API accepts, with their first bytes. In a WebP, the length stands between two of them.
const KINDS: [(&str, &[u8]); 4] = [
    ("image/png", b"\x89PNG\r\n\x1a\n"),
    ("image/jpeg", b"\xff\xd8\xff"),
    ("image/gif", b"GIF8"),
    ("image/webp", b"RIFF"),
];
const WEBP: (usize, &[u8]) = (8, b"WEBP");

type Lookup = dyn Fn(&str, u16) -> Addresses + Send + Sync;
type Addresses = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// A client that fetches images from public addresses only. Cloning shares it.
#[derive(Clone)]
pub struct Fetcher {
    tls: Arc<ClientConfig>,
    rules: Arc<Rules>,
}

/// The name lookup and the address check. Only tests replace them.
pub(super) struct Rules {
    pub(super) lookup: Box<Lookup>,
    pub(super) is_allowed: fn(IpAddr) -> bool,
}

/// An image that has been fetched.
#[derive(Debug)]
pub struct Image {
    media_type: &'static str,
    data: Bytes,
}

impl Image {
    /// Recognises the format of an image by its first bytes: PNG, JPEG, GIF or WebP. Returns `None` for other data.
    #[must_use]
    pub fn read(data: Bytes) -> Option<Self> {
        let is_kind = |(media_type, start): &&(&str, &[u8])| {
            let is_webp = data.get(WEBP.0..).is_some_and(|rest| rest.starts_with(WEBP.1));
            data.starts_with(start) && (*media_type != "image/webp" || is_webp)
        };
        let (media_type, _) = KINDS.iter().find(is_kind)?;
        Some(Self { media_type, data })
    }

    /// Returns the media type, such as `image/png`.
    #[must_use]
    pub fn media_type(&self) -> &'static str {
        self.media_type
    }

    /// Returns the size of the image in bytes.
    pub(super) fn len(&self) -> usize {
        self.data.len()
    }

    /// Returns the JSON text of the `source` of an image block: the image in base64.
    #[must_use]
    pub fn base64_source(&self) -> Bytes {
        let mut source = format!(r#"{{"type":"base64","media_type":"{}","data":""#, self.media_type);
        base64_simd::STANDARD.encode_append(&self.data, &mut source);
        source.push_str("\"}");
        source.into()
    }
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fetcher")
    }
}

impl Fetcher {
    /// Creates a client that trusts the certificates in `roots`.
    ///
    /// # Errors
    /// [`TlsError`] if TLS cannot be set up.
    pub fn new(roots: &TrustRoots) -> Result<Self, TlsError> {
        let lookup = |host: &str, port| -> Addresses {
            let host = host.to_owned();
            Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
        };
        let rules = Rules { lookup: Box::new(lookup), is_allowed: is_public };
        Ok(Self::with_rules(client_config(roots, None)?, rules))
    }

    pub(super) fn with_rules(tls: ClientConfig, rules: Rules) -> Self {
        Self { tls: Arc::new(tls), rules: Arc::new(rules) }
    }

    /// Fetches the image at `url`.
    pub(super) async fn fetch(&self, url: &str) -> Result<Image, FetchError> {
        let late = |_| Err(FetchError::TooSlow { after: TIMEOUT });
        tokio::time::timeout(TIMEOUT, self.follow(url)).await.unwrap_or_else(late)
    }

    async fn follow(&self, url: &str) -> Result<Image, FetchError> {
        let mut target = Target::parse(url)?;
        for _ in 0..=MAX_REDIRECTS {
            match self.ask(&target).await? {
                Reply::Image(image) => return Ok(image),
                Reply::Elsewhere(location) => target = target.join(&location)?,
            }
        }
        Err(FetchError::Redirects { limit: MAX_REDIRECTS })
    }

    async fn ask(&self, target: &Target) -> Result<Reply, FetchError> {
        let host = || target.host().to_owned();
        let io = TokioIo::new(self.connect(target).await?);
        let broken = |source| FetchError::Transport { host: host(), source };
        let (mut sender, connection) = http1::handshake(io).await.map_err(broken)?;
        let request = Request::get(target.path().as_str())
            .header(HOST, target.authority())
            .header(USER_AGENT, concat!("cc-relay/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "image/png, image/jpeg, image/gif, image/webp")
            .body(Empty::<Bytes>::new())
            // Path and authority come from a parsed URI.
            .map_err(|_| FetchError::Url)?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(broken)?;
            read(response, target).await
        };
        // The connection ends with the exchange. Its errors are also errors of the exchange.
        let mut connection = pin!(connection);
        let mut exchange = pin!(exchange);
        tokio::select! {
            biased;
            reply = &mut exchange => return reply,
            _ = &mut connection => {}
        }
        exchange.await
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

enum Reply {
    Image(Image),
    /// A redirect to another target.
    Elsewhere(String),
}

async fn read(response: Response<Incoming>, target: &Target) -> Result<Reply, FetchError> {
    let host = || target.host().to_owned();
    let (head, body) = response.into_parts();
    let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
    if head.status.is_redirection()
        && let Some(location) = text(LOCATION)
    {
        return Ok(Reply::Elsewhere(location.to_owned()));
    }
    if head.status != StatusCode::OK {
        return Err(FetchError::Status { host: host(), status: head.status });
    }
    let media_type = text(CONTENT_TYPE).and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    if !KINDS.iter().any(|(known, _)| media_type.eq_ignore_ascii_case(known)) {
        return Err(FetchError::NotAnImage { host: host() });
    }
    let data = Limited::new(body, MAX_IMAGE).collect().await.map_err(|error| {
        match error.downcast::<hyper::Error>() {
            Ok(source) => FetchError::Transport { host: host(), source: *source },
            Err(other) => {
                debug_assert!(other.is::<LengthLimitError>());
                FetchError::TooLarge { limit: MAX_IMAGE }
            }
        }
    })?;
    Image::read(data.to_bytes()).map(Reply::Image).ok_or_else(|| FetchError::NotAnImage { host: host() })
}
