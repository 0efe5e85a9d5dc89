//! Why an image cannot be fetched, in words for the client that named it.

use std::io;
use std::time::Duration;

use http::StatusCode;

/// Why an image that a request names by its URL cannot be fetched. No more of the URL than its host is told: what is behind
/// it may be signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// It is no URL, or one of another scheme, or one with a credential.
    #[error("an image's URL is https://, with a host and without a user name")]
    Url,
    /// The name of the host is not known.
    #[error("the host `{host}` is not found")]
    Lookup {
        /// Its name.
        host: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The host is in a private network, or the relay itself, or a cloud's metadata service.
    #[error("the host `{host}` has no public address, and images are fetched from no other")]
    NotPublic {
        /// Its name.
        host: String,
    },
    /// The host cannot be connected to, or is not who it says.
    #[error("no connection to `{host}`")]
    Connect {
        /// Its name.
        host: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The connection failed.
    #[error("`{host}` broke off")]
    Transport {
        /// The host's name.
        host: String,
        /// Why.
        #[source]
        source: hyper::Error,
    },
    /// The host answers with something other than the image.
    #[error("`{host}` answers with status {status}")]
    Status {
        /// The host's name.
        host: String,
        /// The status.
        status: StatusCode,
    },
    /// Redirects lead on and on.
    #[error("more than {limit} redirects")]
    Redirects {
        /// How many are followed.
        limit: usize,
    },
    /// The image, or all of them together, are larger than upstreams take.
    #[error("more than {} MiB", limit / 1024 / 1024)]
    TooLarge {
        /// How large it may be.
        limit: usize,
    },
    /// The image did not come in time.
    #[error("not there within {} s", after.as_secs())]
    TooSlow {
        /// How long it had.
        after: Duration,
    },
    /// What came is none of the kinds of images that upstreams take.
    #[error("what `{host}` sends is no PNG, JPEG, GIF or WebP image")]
    NotAnImage {
        /// The host's name.
        host: String,
    },
    /// The request names too many images.
    #[error("more than {limit} images by URL")]
    TooMany {
        /// How many there may be.
        limit: usize,
    },
}
