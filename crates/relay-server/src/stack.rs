//! The type of the assembled relay.

use std::convert::Infallible;

use http::{Request, Response};
use tower::util::BoxCloneSyncService;

use crate::body::Body;
use crate::request_body::RequestBody;

/// Every layer from the edge to the upstreams, boxed once. It answers every request, so it cannot fail.
pub(crate) type Stack = BoxCloneSyncService<Request<RequestBody>, Response<Body>, Infallible>;
