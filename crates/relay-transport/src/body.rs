//! The body of a response on its way back through the relay.

use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use tower::BoxError;

/// The body of an upstream's response: frames in the order and size in which they arrive.
pub type ResponseBody = UnsyncBoxBody<Bytes, ResponseBodyError>;

/// The reason that the body of a response ended early. The relay ends its own response early in turn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResponseBodyError {
    /// The connection failed, or it ended before the body did.
    #[error("the upstream's answer broke off")]
    Transport(#[source] BoxError),
    /// No frame arrived within the idle timeout.
    #[error("the upstream sent nothing for {} s", after.as_secs())]
    Idle {
        /// The idle timeout (`providers[].idle_timeout_ms`).
        after: Duration,
    },
    /// Only pings, comments or blank lines arrived for twice the idle timeout.
    #[error("the upstream sent only pings for {} s", after.as_secs())]
    OnlyPings {
        /// Twice the idle timeout (`providers[].idle_timeout_ms`).
        after: Duration,
    },
    /// Only events that are not part of an answer arrived for twice the idle timeout.
    #[error("the upstream sent no event of its answer for {} s", after.as_secs())]
    NoEvents {
        /// Twice the idle timeout (`providers[].idle_timeout_ms`).
        after: Duration,
    },
    /// The body ended as if it were complete, but without `message_stop` or an `error` event, or within its JSON.
    #[error("the upstream ended its answer before it was complete")]
    Incomplete,
    /// The body cannot be decompressed, or cannot be converted into the form of the Messages API.
    #[error("the upstream's answer cannot be read")]
    Malformed(#[source] BoxError),
    /// A simulated upstream ended the body early because its script requires it.
    #[error("the mock upstream broke off on request")]
    Scripted,
}

/// Converts the errors of `body`, which comes from a connection, into [`ResponseBodyError::Transport`].
pub fn received<B>(body: B) -> impl Body<Data = Bytes, Error = ResponseBodyError> + Send
where
    B: Body<Data = Bytes> + Send,
    B::Error: Into<BoxError>,
{
    body.map_err(|error| ResponseBodyError::Transport(error.into()))
}
