//! The errors of fetching an image, worded for the client that named it.

use std::io;
use std::time::Duration;

use http::StatusCode;
use tower::BoxError;

/// An error while fetching an image by its URL. Of the URL it contains only the host, since the path and the query may
/// be signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The text is not a URL, or the URL has another scheme or contains a credential.
    #[error("an image's URL is https://, with a host and without a user name")]
    Url,
    /// The name of the host cannot be resolved.
    #[error("the host `{host}` is not found")]
    Lookup {
        /// The host's name.
        host: String,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The host is in a private network, on the relay's own machine, or a cloud's metadata service.
    #[error("the host `{host}` has no public address, and images are fetched from no other")]
    NotPublic {
        /// The host's name.
        host: String,
    },
    /// No connection to the host can be made, or its certificate is not trusted.
    #[error("no connection to `{host}`")]
    Connect {
        /// The host's name.
        host: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The connection failed.
    #[error("`{host}` broke off")]
    Transport {
        /// The host's name.
        host: String,
        /// The cause.
        #[source]
        source: BoxError,
    },
    /// The host returned a status other than 200.
    #[error("`{host}` answers with status {status}")]
    Status {
        /// The host's name.
        host: String,
        /// The status of the response.
        status: StatusCode,
    },
    /// There were too many redirects.
    #[error("more than {limit} redirects")]
    Redirects {
        /// The number of redirects that are followed.
        limit: usize,
    },
    /// The image, or all images together, are larger than upstreams accept.
    #[error("more than {} MiB", limit / 1024 / 1024)]
    TooLarge {
        /// The largest size, in bytes.
        limit: usize,
    },
    /// The image did not arrive in time.
    #[error("not there within {} s", after.as_secs())]
    TooSlow {
        /// The time limit.
        after: Duration,
    },
    /// The data is not an image of a type that upstreams accept.
    #[error("what `{host}` sends is no PNG, JPEG, GIF or WebP image")]
    NotAnImage {
        /// The host's name.
        host: String,
    },
    /// The request names too many images.
    #[error("more than {limit} images by URL")]
    TooMany {
        /// The largest number of images.
        limit: usize,
    },
}
