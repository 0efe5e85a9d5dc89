//! Why there is no token.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tower::BoxError;

use crate::provider::AuthorizeError;

/// Why a token could not be obtained. Nothing of a credential is ever in here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum TokenError {
    /// A file of the credentials cannot be read.
    #[error("{} cannot be read: {problem}", path.display())]
    File {
        path: PathBuf,
        /// In the system's words; not a source of its own, so that it is never told without the path.
        problem: io::Error,
    },
    /// It is larger than any file of credentials.
    #[error("{} is larger than {limit} bytes", path.display())]
    FileSize { path: PathBuf, limit: u64 },
    /// It is no JSON, or lacks a member, or has one of another type. The parser's own words could quote a secret.
    #[error("{} is not a credentials file of its type (line {line}, column {column})", path.display())]
    Shape { path: PathBuf, line: usize, column: usize },
    /// It is of a type that is not known here.
    #[error("{}: credentials of type `{found}` are not supported; use {supported}", path.display())]
    Type { path: PathBuf, found: String, supported: &'static str },
    /// It names a source of subject tokens that is not known here.
    #[error("{}: a credential_source with `{found}` is not supported; use `file` or `url`", path.display())]
    Source { path: PathBuf, found: &'static str },
    /// What should hold a subject token does not.
    #[error("{origin} holds no subject token")]
    Subject { origin: String },
    /// The private key cannot be used.
    #[error("{}: the private key is not an RSA key in PEM form", path.display())]
    Key { path: PathBuf },
    /// A URL of the credentials cannot be used.
    #[error("{found:?} is not the URL of a token endpoint")]
    Url { found: String },
    /// `IDENTITY_HEADER` cannot be sent back.
    #[error("IDENTITY_HEADER holds characters that an HTTP header cannot carry")]
    IdentityHeader,
    /// The configuration knows a kind of credential that this provider does not.
    #[error("this kind of credential is not supported")]
    Unknown,
    /// A request cannot be written.
    #[error("the request to the token endpoint cannot be written")]
    Request(#[source] http::Error),
    /// The endpoint gave no answer.
    #[error("no answer from the token endpoint {endpoint}")]
    Unreachable {
        endpoint: String,
        #[source]
        source: BoxError,
    },
    /// The endpoint said no.
    #[error("the token endpoint {endpoint} answered {status}{reason}")]
    Refused {
        endpoint: String,
        status: StatusCode,
        /// Empty, or a colon and what it says.
        reason: String,
    },
    /// The endpoint said yes, and gave no token.
    #[error("the answer of the token endpoint {endpoint} has no usable `{member}`")]
    Answer { endpoint: String, member: &'static str },
    /// Something else answered in the place of the metadata server.
    #[error("{endpoint} is not a metadata server of Google's")]
    NotMetadata { endpoint: String },
    /// A renewal takes too long.
    #[error("no token came within {} s", after.as_secs())]
    Timeout { after: Duration },
    /// The runtime is going down.
    #[error("the renewal of the token was abandoned")]
    Abandoned,
    /// There is a token, but nowhere to use it.
    #[error(
        "no Google Cloud project is known: set gcp_project_id or GOOGLE_CLOUD_PROJECT, or use credentials that name one"
    )]
    NoProject,
}

impl TokenError {
    /// Whether the same may succeed in a while, with nothing changed.
    fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::Abandoned => true,
            Self::Refused { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            _ => false,
        }
    }
}

impl From<Arc<TokenError>> for AuthorizeError {
    fn from(error: Arc<TokenError>) -> Self {
        match error.is_transient() {
            true => Self::Unavailable(error.into()),
            false => Self::Token(error.into()),
        }
    }
}

/// An error with all of its sources, in one line.
pub(crate) struct Chain<'a>(pub(crate) &'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        std::iter::successors(self.0.source(), |&error| error.source())
            .try_for_each(|error| write!(f, ": {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::AttemptError;

    #[test]
    fn who_gives_tokens_and_is_down_is_worth_another_try() {
        #[track_caller]
        fn check(error: TokenError, expected: bool) {
            let attempt = AttemptError::Authorize(Arc::new(error).into());
            assert_eq!(attempt.is_misconfigured(), !expected, "{attempt:?}");
        }
        let endpoint = || "https://oauth2.googleapis.com/token".to_owned();
        let refused = |status| TokenError::Refused { endpoint: endpoint(), status, reason: String::new() };
        check(TokenError::Unreachable { endpoint: endpoint(), source: "refused".into() }, true);
        check(TokenError::Timeout { after: Duration::from_secs(5) }, true);
        check(refused(StatusCode::SERVICE_UNAVAILABLE), true);
        check(refused(StatusCode::BAD_REQUEST), false);
        check(TokenError::NoProject, false);
    }
}
