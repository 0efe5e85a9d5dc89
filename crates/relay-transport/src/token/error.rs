//! The reasons that there is no token.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use http::StatusCode;
use tower::BoxError;

/// The reason that a token could not be obtained. Holds nothing of a credential.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// A file of the credentials cannot be read.
    #[error("{} cannot be read: {problem}", path.display())]
    File {
        /// The path of the file.
        path: PathBuf,
        /// The system's reason. It is not the `source()`, so that it is always printed with the path.
        problem: io::Error,
    },
    /// A file is larger than any file of credentials.
    #[error("{} is larger than {limit} bytes", path.display())]
    FileSize {
        /// The path of the file.
        path: PathBuf,
        /// The largest size that is read, in bytes.
        limit: u64,
    },
    /// A URL of the credentials cannot be used.
    #[error("{found:?} is not the URL of a token endpoint")]
    Url {
        /// The URL without its query, which may hold a secret.
        found: String,
    },
    /// A request cannot be built.
    #[error("the request to the token endpoint cannot be written")]
    Request(#[source] http::Error),
    /// The endpoint returned no complete response.
    #[error("no answer from the token endpoint {endpoint}")]
    Unreachable {
        /// The endpoint's URL without its query.
        endpoint: String,
        /// The failure of the exchange.
        #[source]
        source: BoxError,
    },
    /// The endpoint returned a status that is no success.
    #[error("the token endpoint {endpoint} answered {status}{reason}")]
    Refused {
        /// The endpoint's URL without its query.
        endpoint: String,
        /// The status of the response.
        status: StatusCode,
        /// Empty, or a colon and the reason from the response body.
        reason: String,
    },
    /// The endpoint returned success without a usable token.
    #[error("the answer of the token endpoint {endpoint} has no usable `{member}`")]
    Answer {
        /// The endpoint's URL without its query.
        endpoint: String,
        /// The member of the JSON object that is missing or has another type.
        member: &'static str,
    },
    /// A renewal took too long.
    #[error("no token came within {} s", after.as_secs())]
    Timeout {
        /// The time limit of a renewal.
        after: Duration,
    },
    /// The runtime shut down during the renewal.
    #[error("the renewal of the token was abandoned")]
    Abandoned,
}

impl TokenError {
    /// Returns `true` if the same request may succeed later without any change to the configuration.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::Abandoned => true,
            Self::Refused { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            _ => false,
        }
    }
}
