//! The services that listeners serve.

use bytes::Bytes;
use http::Request;
use http_body::Body;
use tower::BoxError;

use super::Serving;
use super::peer::PeerAddress;
use crate::listener_rules::ListenerRules;
use crate::stack::StackFuture;

/// A service that listeners serve: the relay, or a [`Site`](crate::site::Site) of the program.
pub(crate) trait Served: Clone + Send + Sync + 'static {
    /// Applies the rules of `listener` to the requests of this clone.
    fn on_listener(self, listener: ListenerRules) -> Self;

    /// The settings of the listeners now, and the places for their connections.
    fn serving(&self) -> Serving;

    /// Notes that a listener is about to stop.
    fn start_draining(&self);

    /// Serves a request that `peer` has sent.
    fn respond<B>(&self, request: Request<B>, peer: PeerAddress) -> StackFuture
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>;
}
