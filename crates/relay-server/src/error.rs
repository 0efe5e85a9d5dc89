//! Errors that the relay answers with itself, and their statuses, messages and headers.

use std::time::{Duration, SystemTime};

use http::header::{ALLOW, HeaderName, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Method, StatusCode};
use relay_config::ProviderName;
use relay_messages::{BodyError, cut, error_type};
use relay_providers::{AttemptError, GuardrailConflict};
use relay_routing::{PlanError, RouteError, RouteErrorKind};

use crate::auth::{Denied, ModelDenied};
use crate::concurrency::Busy;
use crate::encodings;
use crate::rate_limit::RateLimited;
use crate::spending::BudgetSpent;

const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
const ACCEPT_ENCODING: HeaderName = http::header::ACCEPT_ENCODING;

/// The `retry-after` of a refusal for too many requests in flight, or for too many bytes of their bodies.
const BUSY_RETRY: Duration = Duration::from_secs(1);
/// The `retry-after` of an overload without a time of its own.
const OVERLOAD_RETRY: Duration = Duration::from_secs(5);
/// The longest `retry-after` of an overload. Claude Code waits for one of 45 s, and gives up at one of 61 s.
const OVERLOAD_RETRY_MAX: Duration = Duration::from_secs(30);
/// The longest `retry-after` while a provider is failing. Claude Code gives up at a longer one.
const FAILING_RETRY_MAX: Duration = Duration::from_secs(60);

/// The reason for which the relay answers a request itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The client is not admitted.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The client may not use the model.
    #[error(transparent)]
    ModelDenied(#[from] Box<ModelDenied>),
    /// The relay does not read the models of this operation, and the client may use some models only.
    #[error(
        "{} is not served to a client with server.auth.api_keys[].models: the relay cannot check the models of this operation",
        cut(path)
    )]
    OperationDenied {
        /// The path.
        path: String,
    },
    /// `server.max_concurrent` requests are in flight.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The client is at one of its own limits.
    #[error(transparent)]
    RateLimited(Box<RateLimited>),
    /// The client has spent its budget.
    #[error(transparent)]
    BudgetSpent(Box<BudgetSpent>),
    /// The bodies of all requests together would exceed `server.max_buffered_bytes`.
    #[error(
        "the relay holds as many bytes of request bodies as it may ({limit}, server.max_buffered_bytes); \
         try again shortly"
    )]
    BuffersFull {
        /// `server.max_buffered_bytes`.
        limit: usize,
    },
    /// The request does not name exactly one host.
    #[error("{problem}: it must name the relay's host once")]
    HostHeader {
        /// The fault.
        problem: &'static str,
    },
    /// The request names a host that the listener does not serve.
    #[error(
        "the relay does not serve the host `{}` on this listener, since a web page could have chosen it: \
         use a loopback address, or add the host to server.allowed_hosts",
        cut(host)
    )]
    HostNotAllowed {
        /// The host that the request names.
        host: String,
    },
    /// A web page of an origin that is not listed caused the request.
    #[error(
        "the relay does not serve web pages of `{}`: add the origin to server.cors.allowed_origins",
        cut(origin)
    )]
    OriginNotAllowed {
        /// The value of `origin`.
        origin: String,
    },
    /// A web page of another origin caused the request, on a listener that serves only its own pages.
    #[error("this listener serves its own pages only, and no web page of `{}`", cut(origin))]
    ForeignOrigin {
        /// The value of `origin`.
        origin: String,
    },
    /// A web page of another site caused the request, as the browser reports in `sec-fetch-site`.
    #[error("the relay does not serve web pages of other sites (`sec-fetch-site`)")]
    CrossSite,
    /// `anthropic-beta` names too many betas.
    #[error("anthropic-beta: more than {limit} betas")]
    TooManyBetas {
        /// The most betas that one request may name.
        limit: usize,
    },
    /// The lines of `anthropic-beta` are too long together.
    #[error("anthropic-beta: more than {limit} bytes")]
    BetasTooLong {
        /// The most bytes of all lines together.
        limit: usize,
    },
    /// The body's `content-type` is not JSON.
    #[error("content-type `{}` is not supported: send application/json", cut(found))]
    ContentType {
        /// The value of the header.
        found: String,
    },
    /// The body exceeds `server.max_body_bytes`, before or after decoding.
    #[error("the request body is larger than the limit of {limit} bytes (server.max_body_bytes)")]
    BodyTooLarge {
        /// `server.max_body_bytes`.
        limit: usize,
    },
    /// The body's `content-encoding` is not supported.
    #[error("content-encoding `{}` is not supported: {}", cut(found), encodings::advice())]
    UnsupportedEncoding {
        /// The value of the header.
        found: String,
    },
    /// The body cannot be decoded by its `content-encoding`.
    #[error("the request body is not valid {encoding}")]
    MalformedEncoding {
        /// The encoding.
        encoding: &'static str,
    },
    /// The body consists of far more gzip members or zstd frames than its size explains.
    #[error("the request body has too many {encoding} members or frames for its size: compress it as one")]
    TooManyMembers {
        /// The encoding.
        encoding: &'static str,
    },
    /// No bytes of the body arrived for some time.
    #[error("nothing more of the request body came for {} s", after.as_secs())]
    BodyStalled {
        /// The time that the relay waited.
        after: Duration,
    },
    /// The body did not end within the time of the request.
    #[error("the request body took longer than {} ms (server.timeout_ms)", limit.as_millis())]
    BodyTooSlow {
        /// `server.timeout_ms`.
        limit: Duration,
    },
    /// The connection failed while the body was read. The client rarely sees this error.
    #[error("the request body could not be read")]
    BodyUnreadable,
    /// The body is not a request of the Messages API.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The path is unknown.
    #[error(
        "there is nothing at {}: the relay serves /v1/messages and the rest of Anthropic's API under /v1{hint}",
        cut(path)
    )]
    NotFound {
        /// The path.
        path: String,
        /// A hint at the likely mistake; may be empty.
        hint: &'static str,
    },
    /// The path does not support the method.
    #[error("{} does not take {}: use {}", cut(path), cut(method.as_str()), allowed.join(" or "))]
    MethodNotAllowed {
        /// The method.
        method: Method,
        /// The path.
        path: String,
        /// The supported methods.
        allowed: &'static [&'static str],
    },
    /// Only Anthropic has the operation, and no `anthropic` provider is configured.
    #[error(
        "{} is served by Anthropic alone, and no provider of type `anthropic` can be used for this request",
        cut(path)
    )]
    NoAnthropicProvider {
        /// The path.
        path: String,
    },
    /// An operator has paused the only provider of an operation, or drains its key.
    #[error(
        "the operator of the relay has paused provider `{provider}` or its key, and no other one can serve this request"
    )]
    Withheld {
        /// The provider.
        provider: String,
    },
    /// The client requests a guardrail for an operation that runs without one.
    #[error("{path} applies no guardrail: only /v1/messages at a provider of type `bedrock` does")]
    NoGuardrail {
        /// The path.
        path: String,
    },
    /// The list of models does not contain the model.
    #[error("model: there is no `{}` in the list of this relay's models (GET /v1/models)", cut(id))]
    UnknownModel {
        /// The id in the request.
        id: String,
    },
    /// The operation needs the client's own credential, and the client sent none.
    #[error(
        "no credential: send one as `x-api-key` or `authorization: Bearer`, or configure a key for a provider"
    )]
    NoCredential,
    /// A query parameter is invalid.
    #[error("{name}: {problem}")]
    Parameter {
        /// The parameter's name.
        name: &'static str,
        /// The fault, and the accepted values.
        problem: String,
    },
    /// A part of the relay panicked: a defect, logged with the request's id.
    #[error("the relay failed while it served this request; its log names the defect under this request id")]
    Panicked,
    /// Routing has no answer of an upstream.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// The only upstream for the operation did not answer.
    #[error("provider `{provider}`: {source}")]
    Upstream {
        /// The provider's name.
        provider: String,
        /// The cause.
        #[source]
        source: AttemptError,
    },
}

impl From<ModelDenied> for Error {
    fn from(denied: ModelDenied) -> Self {
        Self::ModelDenied(Box::new(denied))
    }
}

impl From<RateLimited> for Error {
    fn from(limited: RateLimited) -> Self {
        Self::RateLimited(Box::new(limited))
    }
}

impl From<BudgetSpent> for Error {
    fn from(spent: BudgetSpent) -> Self {
        Self::BudgetSpent(Box::new(spent))
    }
}

impl Error {
    /// The status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Denied(_) | Self::NoCredential => StatusCode::UNAUTHORIZED,
            Self::Busy(_) | Self::BuffersFull { .. } | Self::Withheld { .. } => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::RateLimited(_) | Self::BudgetSpent(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedEncoding { .. } | Self::ContentType { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BodyStalled { .. } | Self::BodyTooSlow { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::MalformedEncoding { .. }
            | Self::TooManyMembers { .. }
            | Self::HostHeader { .. }
            | Self::TooManyBetas { .. }
            | Self::BetasTooLong { .. }
            | Self::BodyUnreadable
            | Self::Body(_)
            | Self::NoGuardrail { .. }
            | Self::Parameter { .. } => StatusCode::BAD_REQUEST,
            Self::NotFound { .. } | Self::NoAnthropicProvider { .. } | Self::UnknownModel { .. } => {
                StatusCode::NOT_FOUND
            }
            Self::ModelDenied(_)
            | Self::OperationDenied { .. }
            | Self::HostNotAllowed { .. }
            | Self::OriginNotAllowed { .. }
            | Self::ForeignOrigin { .. }
            | Self::CrossSite => StatusCode::FORBIDDEN,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Route(error) => route_status(&error.kind),
            Self::Upstream { source, .. } => attempt_status(source),
        }
    }

    /// The `error.type` of the response.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            // A configuration without providers is not an overload.
            Self::Route(RouteError { kind: RouteErrorKind::Plan(PlanError::NoProvider), .. }) => "api_error",
            _ => error_type(self.status()),
        }
    }

    /// The `error.message` of the response: the fault, and the remedy if there is one.
    #[must_use]
    pub fn message(&self) -> String {
        let message = self.to_string();
        match self {
            Self::Route(RouteError { kind: RouteErrorKind::Attempt { source, .. }, .. })
            | Self::Upstream { source, .. } => message + &source.causes(),
            _ => message,
        }
    }

    /// Adds the headers of the response: `retry-after`, `x-should-retry`, `allow`, `accept-encoding`, and the limits of the client.
    pub(crate) fn write_headers(&self, headers: &mut HeaderMap) {
        let retry_after = match self {
            Self::Busy(_)
            | Self::BuffersFull { .. }
            | Self::Upstream { source: AttemptError::Saturated(_), .. } => Some(BUSY_RETRY),
            Self::RateLimited(limited) => Some(Duration::from_secs(limited.retry_seconds())),
            Self::Withheld { .. } => Some(OVERLOAD_RETRY),
            Self::BudgetSpent(spent) => Some(Duration::from_secs(spent.retry_seconds())),
            Self::Route(RouteError { kind, .. }) => match kind {
                RouteErrorKind::Overloaded { retry_after } => {
                    Some(retry_after.unwrap_or(OVERLOAD_RETRY).clamp(BUSY_RETRY, OVERLOAD_RETRY_MAX))
                }
                RouteErrorKind::Failing { retry_after, .. } => {
                    Some((*retry_after).clamp(BUSY_RETRY, FAILING_RETRY_MAX))
                }
                RouteErrorKind::Withheld => Some(OVERLOAD_RETRY),
                // Not capped: a client that retries before the limit is reset fails again.
                RouteErrorKind::Limited { retry_after } => Some((*retry_after).max(BUSY_RETRY)),
                RouteErrorKind::Attempt { source: AttemptError::Saturated(_), .. } => Some(BUSY_RETRY),
                _ => None,
            },
            _ => None,
        };
        if let Some(delay) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(delay.as_secs_f64().ceil() as u64));
        }
        if self.is_final() {
            headers.insert(X_SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        match self {
            Self::RateLimited(limited) => limited.limits.write(headers, SystemTime::now()),
            Self::MethodNotAllowed { allowed, .. } => {
                if let Ok(value) = HeaderValue::from_str(&allowed.join(", ")) {
                    headers.insert(ALLOW, value);
                }
            }
            Self::UnsupportedEncoding { .. } => {
                if let Ok(value) = HeaderValue::from_str(&encodings::accepted()) {
                    headers.insert(ACCEPT_ENCODING, value);
                }
            }
            _ => {}
        }
    }

    /// Returns `true` if the same request would fail again. Without `x-should-retry`, Claude Code repeats a 401 for three
    /// minutes.
    fn is_final(&self) -> bool {
        match self {
            Self::Denied(_)
            | Self::ModelDenied(_)
            | Self::OperationDenied { .. }
            | Self::BudgetSpent(_)
            | Self::NoCredential
            | Self::NoGuardrail { .. }
            | Self::HostNotAllowed { .. }
            | Self::OriginNotAllowed { .. }
            | Self::ForeignOrigin { .. }
            | Self::CrossSite => true,
            Self::Route(RouteError { kind, .. }) => match kind {
                RouteErrorKind::Plan(_) | RouteErrorKind::CredentialRejected { .. } => true,
                RouteErrorKind::Attempt { source, .. } => source.is_misconfigured(),
                _ => false,
            },
            Self::Upstream { source, .. } => source.is_misconfigured(),
            _ => false,
        }
    }
}

/// Returns `true` if the guardrail that the provider enforces refuses the request.
fn is_enforced((_, conflict): &(ProviderName, GuardrailConflict)) -> bool {
    conflict.is_enforced()
}

fn route_status(kind: &RouteErrorKind) -> StatusCode {
    match kind {
        RouteErrorKind::Plan(PlanError::UnknownModel { .. }) => StatusCode::NOT_FOUND,
        RouteErrorKind::Plan(PlanError::NoCredential) => StatusCode::UNAUTHORIZED,
        RouteErrorKind::Plan(PlanError::KeysNotAllowed) => StatusCode::FORBIDDEN,
        RouteErrorKind::Plan(PlanError::Guardrail { conflicts }) if conflicts.iter().any(is_enforced) => {
            StatusCode::FORBIDDEN
        }
        RouteErrorKind::Plan(PlanError::Guardrail { .. } | PlanError::Unsuitable { .. }) => {
            StatusCode::BAD_REQUEST
        }
        RouteErrorKind::Plan(_)
        | RouteErrorKind::Overloaded { .. }
        | RouteErrorKind::Failing { .. }
        | RouteErrorKind::Withheld => StatusCode::SERVICE_UNAVAILABLE,
        RouteErrorKind::Limited { .. } => StatusCode::TOO_MANY_REQUESTS,
        RouteErrorKind::Timeout { .. } => StatusCode::GATEWAY_TIMEOUT,
        RouteErrorKind::Attempt { source, .. } => attempt_status(source),
        RouteErrorKind::Foreign { status, .. } => {
            StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_GATEWAY)
        }
        _ => StatusCode::BAD_GATEWAY,
    }
}

fn attempt_status(error: &AttemptError) -> StatusCode {
    match error {
        AttemptError::HeadTimeout { .. } => StatusCode::GATEWAY_TIMEOUT,
        AttemptError::Image(_) => StatusCode::BAD_REQUEST,
        AttemptError::Saturated(_) => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_GATEWAY,
    }
}
