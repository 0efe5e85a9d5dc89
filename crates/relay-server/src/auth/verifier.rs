//! The interface to sources of identities.

use std::sync::Arc;

use http::request::Parts;
use tower::BoxError;

/// Identifies the client of a request by its head.
///
/// The verifier removes the credentials that it has read, so that the inner service cannot pass them on. `AuthLayer`
/// puts the [`Client`](Self::Client) into the extensions of the request.
///
/// A function `Fn(&mut Parts) -> impl Future<Output = Result<Client, Error>>` is a verifier too, and so is an `Arc` of one. A
/// verifier that needs no I/O returns [`std::future::Ready`], which costs no allocation.
pub trait Verifier {
    /// The client, which later layers read from the extensions.
    type Client: Clone + Send + Sync + 'static;
    /// The reason for a refusal. [`RespondLayer`](crate::respond::RespondLayer) answers [`Denied`](super::Denied) with 401.
    type Error: Into<BoxError>;
    /// The future of the decision. It borrows nothing from the request.
    type Future: Future<Output = Result<Self::Client, Self::Error>>;

    /// Starts to identify the client of the request with this head.
    fn verify(&self, head: &mut Parts) -> Self::Future;
}

impl<F, Verdict, C, E> Verifier for F
where
    F: Fn(&mut Parts) -> Verdict,
    Verdict: Future<Output = Result<C, E>>,
    C: Clone + Send + Sync + 'static,
    E: Into<BoxError>,
{
    type Client = C;
    type Error = E;
    type Future = Verdict;

    fn verify(&self, head: &mut Parts) -> Verdict {
        self(head)
    }
}

impl<V: Verifier> Verifier for Arc<V> {
    type Client = V::Client;
    type Error = V::Error;
    type Future = V::Future;

    fn verify(&self, head: &mut Parts) -> V::Future {
        (**self).verify(head)
    }
}
