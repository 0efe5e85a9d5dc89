//! The bodies of requests.

use bytes::Bytes;
use http_body::Body;
use http_body_util::combinators::UnsyncBoxBody;
use tower::BoxError;

/// The body of a client's request, from any server: boxed once, where the request enters the relay.
pub(crate) type RequestBody = UnsyncBoxBody<Bytes, BoxError>;

/// The bounds on a request body that every layer passes on.
pub(crate) trait ClientBody: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static {}

impl<B> ClientBody for B
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
}
