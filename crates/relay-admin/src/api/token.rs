//! The token of the admin API.

use std::future::{Ready, ready};
use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use relay_config::Secret;
use relay_messages::ApiError;
use relay_server::auth::{AuthLayer, Client, ConfiguredKeys, Denied, Verifier};
use relay_server::respond::RespondLayer;
use tower::ServiceBuilder;

/// The name of the clients that send the token, for the log.
const NAME: &str = "admin.token";

/// The token of the admin API, which can be replaced. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Token(Arc<RwLock<Option<ConfiguredKeys>>>);

impl Token {
    pub(super) fn new(token: Option<&Secret>) -> Self {
        Self(Arc::new(RwLock::new(token.map(keys))))
    }

    /// Replaces the token for further requests. Without one, every client is admitted.
    pub(super) fn replace(&self, token: Option<&Secret>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = token.map(keys);
    }
}

impl Verifier for Token {
    type Client = Client;
    type Error = Denied;
    type Future = Ready<Result<Client, Denied>>;

    fn verify(&self, head: &mut Parts) -> Self::Future {
        match &*self.0.read().unwrap_or_else(PoisonError::into_inner) {
            Some(keys) => keys.verify(head),
            None => ready(ConfiguredKeys::default().check(&mut HeaderMap::new())),
        }
    }
}

fn keys(token: &Secret) -> ConfiguredKeys {
    ConfiguredKeys::default().with_key(NAME, token.clone())
}

/// Admits only clients that send the token as `Authorization: Bearer` or `x-api-key`. It is compared in constant time. Without a
/// token, every client is admitted.
pub(super) fn protect(router: Router, token: Token) -> Router {
    let respond = RespondLayer::new().with_errors(|error| {
        error.is::<Denied>().then(|| {
            let message =
                "the admin API needs its token: send the value of admin.token as `authorization: Bearer`";
            ApiError::new(StatusCode::UNAUTHORIZED, "authentication_error", message)
        })
    });
    router.layer(ServiceBuilder::new().layer(respond).layer(AuthLayer::new(token)))
}
