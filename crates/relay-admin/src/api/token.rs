//! The token of the admin API.

use axum::Router;
use http::StatusCode;
use relay_config::Secret;
use relay_messages::ApiError;
use relay_server::auth::{AuthLayer, ConfiguredKeys, Denied};
use relay_server::respond::RespondLayer;
use tower::ServiceBuilder;

/// The name of the clients that send the token, for the log.
const NAME: &str = "admin.token";

/// Admits only clients that send `token` as `Authorization: Bearer` or `x-api-key`. It is compared in constant time. Without a
/// token, every client is admitted.
pub(super) fn protect(router: Router, token: Option<&Secret>) -> Router {
    let Some(token) = token else { return router };
    let keys = ConfiguredKeys::default().with_key(NAME, token.clone());
    let respond = RespondLayer::new().with_errors(|error| {
        error.is::<Denied>().then(|| {
            let message =
                "the admin API needs its token: send the value of admin.token as `authorization: Bearer`";
            ApiError::new(StatusCode::UNAUTHORIZED, "authentication_error", message)
        })
    });
    router.layer(ServiceBuilder::new().layer(respond).layer(AuthLayer::new(keys)))
}
