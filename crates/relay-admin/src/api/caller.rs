//! The client of an action, for the log.

use std::convert::Infallible;
use std::fmt;

use axum::extract::FromRequestParts;
use http::header::USER_AGENT;
use http::request::Parts;
use relay_messages::cut;
use relay_server::RequestId;
use relay_server::auth::Client;
use relay_server::site::Peer;

/// The client of an action.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    peer: Option<Peer>,
    user_agent: String,
    token: Option<String>,
    request_id: Option<RequestId>,
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let user_agent = parts.headers.get(USER_AGENT);
        let user_agent =
            user_agent.map(|value| String::from_utf8_lossy(value.as_bytes())).unwrap_or_default();
        Ok(Self {
            peer: parts.extensions.get().copied(),
            user_agent: cut(&user_agent).into_owned(),
            token: parts.extensions.get().and_then(Client::name).map(str::to_owned),
            request_id: parts.extensions.get().cloned(),
        })
    }
}

impl Caller {
    /// Logs an action of the client on `target`, and its result.
    pub(super) fn log(&self, action: &str, target: &str, result: &dyn fmt::Display) {
        let (result, peer) = (result.to_string(), self.peer.map(|Peer(address)| address.to_string()));
        tracing::info!(
            action,
            target = &*cut(target),
            result,
            peer,
            user_agent = self.user_agent,
            token = self.token,
            request_id = self.request_id.as_ref().map(RequestId::as_str),
            "admin action"
        );
    }
}
