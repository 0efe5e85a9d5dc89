//! The decisions of failover.

use std::ops::ControlFlow;
use std::time::Duration;

/// The decisions of a [`Failover`](super::Failover) service.
pub trait Policy<Request> {
    /// The response of the service.
    type Response;
    /// The error of the service, if no attempt has a response for the client.
    type Error;
    /// The attempts at one request.
    type Attempts<'a>: Attempts<Response = Self::Response, Error = Self::Error> + Send
    where
        Self: 'a,
        Request: 'a;

    /// Plans the attempts at `request`, and starts none.
    fn attempts<'a>(&'a self, request: &'a Request) -> Self::Attempts<'a>;
}

/// The attempts at one request, one after the other.
///
/// [`next`](Self::next) and [`judge`](Self::judge) are called in turn. If the value is dropped before a final result, the client
/// has left, or the running attempt was cancelled: it was dropped before.
pub trait Attempts {
    /// One attempt under way, such as the future of a service.
    type Attempt: Future + Send;
    /// The response of the service.
    type Response;
    /// The error of the service.
    type Error;

    /// Starts the next attempt, waits for one, or stops.
    fn next(&mut self) -> Step<Self::Attempt>;

    /// Judges the result of the attempt that `next` has started last: `Break` with a final result, or `Continue` after a
    /// failure. Nothing of a failed result reaches the client, unless [`give_up`](Self::give_up) returns it.
    fn judge(
        &mut self,
        result: <Self::Attempt as Future>::Output,
    ) -> ControlFlow<Result<Self::Response, Self::Error>>;

    /// Returns the result for the client after the last attempt has failed, or if none was started.
    fn give_up(self) -> Result<Self::Response, Self::Error>;
}

/// The next step of failover.
#[derive(Debug)]
pub enum Step<A> {
    /// Make this attempt.
    Try(A),
    /// Call `next` again after this time.
    Wait(Duration),
    /// Make no further attempt: no service remains, or it is too late for one.
    Stop,
}
