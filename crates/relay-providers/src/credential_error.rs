//! The reasons that a cloud's credentials give no token.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use relay_messages::error_sources;
use relay_transport::TokenError;

use crate::provider::AuthorizeError;

/// The reason that the credentials of a cloud gave no usable token. Holds nothing of a credential.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CredentialError {
    /// A file cannot be read, or a token endpoint returned no token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// A file of the credentials is no JSON, or lacks a member, or has a member of another type. The parser's own message
    /// could quote a secret.
    #[error("{} is not a credentials file of its type (line {line}, column {column})", path.display())]
    Shape { path: PathBuf, line: usize, column: usize },
    /// The credentials of a file gave no token. The message contains the reason, which is not the `source()`, so that callers
    /// that print one cause only print both.
    #[error("the credentials in {} gave no token: {}", path.display(), with_cause(reason))]
    File { path: PathBuf, reason: Box<CredentialError> },
    /// A URL in a file of the credentials cannot be used.
    #[error(
        "{}: `{member}` is {found:?}; expected an http:// or https:// URL without a user name, such as \
         \"https://oauth2.googleapis.com/token\"",
        path.display()
    )]
    Url { path: PathBuf, member: &'static str, found: String },
    /// A header in a file of the credentials cannot be sent.
    #[error(
        "{}: the header `{name}` of credential_source cannot be sent: its name or its value has characters that HTTP \
         does not allow",
        path.display()
    )]
    Header { path: PathBuf, name: String },
    /// The library of Google's flows failed, although each of its requests was answered.
    #[error("{}: the flow of these credentials failed", path.display())]
    Flow { path: PathBuf },
    /// A file of the credentials has an unknown type.
    #[error("{}: credentials of type `{found}` are not supported; use {supported}", path.display())]
    Type { path: PathBuf, found: String, supported: &'static str },
    /// The credentials name an unknown source of subject tokens.
    #[error("{}: a credential_source with `{found}` is not supported; use `file` or `url`", path.display())]
    Source { path: PathBuf, found: &'static str },
    /// The source of subject tokens returned none.
    #[error("{origin} holds no subject token")]
    Subject { origin: String },
    /// The private key cannot be used.
    #[error("{}: the private key is not an RSA key in PEM form", path.display())]
    Key { path: PathBuf },
    /// No HTTP header can carry `IDENTITY_HEADER`.
    #[error("IDENTITY_HEADER holds characters that an HTTP header cannot carry")]
    IdentityHeader,
    /// The configuration has a kind of credential that this provider does not support.
    #[error("this kind of credential is not supported")]
    Unknown,
    /// Another server responded at the address of the metadata server.
    #[error("{endpoint} is not a metadata server of Google's")]
    NotMetadata { endpoint: String },
    /// The universe domain of the metadata server cannot be part of a host name.
    #[error(
        "{found:?}, which the metadata server reports, is no universe domain; set GOOGLE_CLOUD_UNIVERSE_DOMAIN"
    )]
    Universe { found: String },
    /// Neither the configuration nor the credentials name a project.
    #[error(
        "no Google Cloud project is known: set gcp_project_id or GOOGLE_CLOUD_PROJECT, or use credentials that name one"
    )]
    NoProject,
}

impl CredentialError {
    /// Adds the path of the credentials file to an error that does not name it.
    pub(crate) fn of_file(self, path: &Path) -> Self {
        match self {
            Self::Token(_) | Self::Subject { .. } => {
                Self::File { path: path.to_owned(), reason: Box::new(self) }
            }
            other => other,
        }
    }

    /// Returns `true` if the same credentials may give a token later.
    fn is_transient(&self) -> bool {
        match self {
            Self::Token(token) => token.is_transient(),
            Self::File { reason, .. } => reason.is_transient(),
            _ => false,
        }
    }
}

/// Returns the message of `error` and its innermost cause. The layers of libraries between them do not help.
fn with_cause(error: &CredentialError) -> String {
    let cause = error_sources(error).last();
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

impl From<Arc<CredentialError>> for AuthorizeError {
    fn from(error: Arc<CredentialError>) -> Self {
        match error.is_transient() {
            true => Self::Unavailable(error.into()),
            false => Self::Token(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::StatusCode;

    use super::*;
    use crate::answer::AttemptError;

    #[test]
    fn a_token_endpoint_that_is_down_may_succeed_later() {
        #[track_caller]
        fn check(error: impl Into<CredentialError>, expected: bool) {
            let attempt = AttemptError::Authorize(Arc::new(error.into()).into());
            assert_eq!(attempt.is_misconfigured(), !expected, "{attempt:?}");
        }
        let endpoint = || "https://oauth2.googleapis.com/token".to_owned();
        let refused = |status| TokenError::Refused { endpoint: endpoint(), status, reason: String::new() };
        check(TokenError::Unreachable { endpoint: endpoint(), source: "refused".into() }, true);
        check(TokenError::Timeout { after: Duration::from_secs(5) }, true);
        check(refused(StatusCode::SERVICE_UNAVAILABLE), true);
        check(refused(StatusCode::BAD_REQUEST), false);
        check(CredentialError::NoProject, false);
        let of_file = |error: TokenError| CredentialError::from(error).of_file(Path::new("/c.json"));
        check(of_file(refused(StatusCode::SERVICE_UNAVAILABLE)), true);
        check(of_file(refused(StatusCode::BAD_REQUEST)), false);
    }

    #[test]
    fn the_error_of_a_file_names_the_file_the_endpoint_and_the_cause() {
        let endpoint = "https://oauth2.googleapis.com/token".to_owned();
        let error = TokenError::Unreachable { endpoint, source: "connection refused".into() };
        let error: AuthorizeError =
            Arc::new(CredentialError::from(error).of_file(Path::new("/c.json"))).into();
        assert_eq!(
            AttemptError::Authorize(error).in_one_line(),
            "no credential is valid for this upstream: the credentials in /c.json gave no token: no answer from the token \
             endpoint https://oauth2.googleapis.com/token: connection refused"
        );
    }
}
