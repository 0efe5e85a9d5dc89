//! The download of one image.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{Request, StatusCode, Uri, response};
use rustls::ClientConfig;

use super::address::is_public;
use super::image::{self, Image};
use super::public_hosts::{PublicHosts, Rules};
use super::target::{self, Target};
use crate::http_client::{HttpClient, HttpError, HttpLimits, Redirects};
use crate::image_error::FetchError;
use crate::roots::TrustRoots;
use crate::tls::{TlsError, client_config};

const LIMITS: HttpLimits = HttpLimits {
    // The largest image that the Messages API accepts.
    size: 5 * 1024 * 1024,
    // From the lookup of the first name to the image's last byte.
    time: Some(TIMEOUT),
    redirects: Redirects::Follow { limit: 3, resolve: target::redirect },
};
const TIMEOUT: Duration = Duration::from_secs(10);

/// A client that fetches images from public addresses only. Cloning shares it.
///
/// ```no_run
/// use relay_transport::{Fetcher, TrustRoots};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let fetcher = Fetcher::new(&TrustRoots::load())?;
/// let urls = ["https://example.com/cat.png".to_owned(), "http://127.0.0.1/dog.png".to_owned()];
/// for (url, result) in urls.iter().zip(fetcher.fetch_each(&urls).await) {
///     match result {
///         Ok(image) => println!("{url}: {}", image.media_type()),
///         // An address that is not public is refused before a connection is opened.
///         Err(error) => println!("{url}: {error}"),
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Fetcher {
    http: HttpClient<PublicHosts>,
}

impl Fetcher {
    /// Creates a client that trusts the certificates in `roots`.
    ///
    /// # Errors
    /// [`TlsError`] if TLS cannot be set up.
    pub fn new(roots: &TrustRoots) -> Result<Self, TlsError> {
        Ok(Self::with_rules(client_config(roots, None)?, Rules::new(is_public)))
    }

    pub(super) fn with_rules(tls: ClientConfig, rules: Rules) -> Self {
        Self { http: HttpClient::new(PublicHosts::new(tls, rules), LIMITS) }
    }

    /// Fetches the image at `url`.
    pub(super) async fn fetch(&self, url: &str) -> Result<Image, FetchError> {
        let request = Request::get(Target::parse(url)?.uri())
            .header(USER_AGENT, concat!("cc-relay/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "image/png, image/jpeg, image/gif, image/webp")
            .body(Bytes::new())
            .map_err(|_| FetchError::Url)?;
        let (uri, response) = self.http.call_if(request, may_be_image).await.map_err(error)?;
        Image::read(response.into_body()).ok_or_else(|| FetchError::NotAnImage { host: host(&uri) })
    }
}

/// Refuses a response that cannot be an image before its body is read.
fn may_be_image(uri: &Uri, head: &response::Parts) -> Result<(), FetchError> {
    if head.status != StatusCode::OK {
        return Err(FetchError::Status { host: host(uri), status: head.status });
    }
    let media_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = media_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    match image::is_accepted(media_type) {
        true => Ok(()),
        false => Err(FetchError::NotAnImage { host: host(uri) }),
    }
}

fn error(error: HttpError<FetchError, FetchError>) -> FetchError {
    match error {
        HttpError::Head(error) | HttpError::Body(error) => error,
        HttpError::TooLarge => FetchError::TooLarge { limit: LIMITS.size },
        HttpError::Timeout(_) => FetchError::TooSlow { after: TIMEOUT },
        HttpError::Redirects { limit } => FetchError::Redirects { limit },
        HttpError::Location => FetchError::Url,
    }
}

fn host(uri: &Uri) -> String {
    target::host(uri).to_owned()
}
