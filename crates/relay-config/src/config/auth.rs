//! The clients that are admitted, and their limits.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::SystemTime;

use super::access::{Budget, ModelPatterns};
use crate::capabilities::Pattern;
use crate::secret::Secret;

/// The credentials of clients that are admitted. With nothing configured, every client is admitted.
///
/// ```
/// use relay_config::{ClientAuth, ClientKey, Secret};
///
/// let auth = ClientAuth::default().with_key(ClientKey::new("alice", Secret::new("key")));
/// assert!(auth.is_required());
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ClientAuth {
    /// The accepted keys (`server.auth.api_key`, `api_keys[]`), in either of the two credential headers.
    pub keys: Vec<ClientKey>,
    /// An additional accepted bearer token.
    pub bearer_secret: Option<Secret>,
    /// Admits a client by its own Claude subscription token, which is forwarded to `anthropic` providers.
    pub allow_subscription: bool,
    /// Serves a request that carries only a subscription token with configured keys too. `None`: the default of
    /// [`subscription_may_use_keys_at`](Self::subscription_may_use_keys_at).
    pub subscription_may_use_keys: Option<bool>,
}

impl ClientAuth {
    /// Admits a client by its key.
    #[must_use]
    pub fn with_key(mut self, client: ClientKey) -> Self {
        self.keys.push(client);
        self
    }

    /// Admits every client that sends this bearer token.
    #[must_use]
    pub fn with_bearer_secret(mut self, secret: Secret) -> Self {
        self.bearer_secret = Some(secret);
        self
    }

    /// Admits a client by its own Claude subscription token, which is forwarded to `anthropic` providers.
    #[must_use]
    pub fn with_allow_subscription(mut self, allowed: bool) -> Self {
        self.allow_subscription = allowed;
        self
    }

    /// Sets the use of configured keys for a request that carries only a subscription token. Default:
    /// [`subscription_may_use_keys_at`](Self::subscription_may_use_keys_at).
    #[must_use]
    pub fn with_subscription_may_use_keys(mut self, permitted: bool) -> Self {
        self.subscription_may_use_keys = Some(permitted);
        self
    }

    /// Returns `true` if a client must present a credential.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.has_keys() || self.allow_subscription
    }

    /// Returns `true` if a request that carries only a subscription token may be served with configured keys.
    ///
    /// Default: `true` if only this machine can reach the relay (`loopback_only`) and no client key is configured. The
    /// form of a subscription token is public, so that any text of this form would otherwise open the configured keys.
    #[must_use]
    pub fn subscription_may_use_keys_at(&self, loopback_only: bool) -> bool {
        self.subscription_may_use_keys.unwrap_or(loopback_only && !self.has_keys())
    }

    /// Returns a secret that admits a client at `now`, for a program on the operator's side. A key without a list of models comes
    /// before the others. `None` if there is none, or if all keys have expired.
    #[must_use]
    pub fn secret_at(&self, now: SystemTime) -> Option<&Secret> {
        let mut valid = self.keys.iter().filter(|client| client.expires.is_none_or(|end| end > now));
        let unlimited = valid.clone().find(|client| client.models.is_unlimited()).map(|client| &client.key);
        unlimited.or(self.bearer_secret.as_ref()).or_else(|| valid.next().map(|client| &client.key))
    }

    /// Returns `true` if a client can be admitted by a configured key or bearer token.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        !self.keys.is_empty() || self.bearer_secret.is_some()
    }
}

/// A client with a name and a key.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ClientKey {
    /// The name in logs; `default` for `server.auth.api_key`.
    pub name: String,
    /// The key that the client sends.
    pub key: Secret,
    /// The limits of the client. Default: none.
    pub limits: ClientLimits,
    /// The models that the client may use, by the names that it sends. Default: every model.
    pub models: ModelPatterns,
    /// The time from which the key is refused. Default: `None`, never.
    pub expires: Option<SystemTime>,
    /// The amount of money that the client may spend. Default: `None`, no limit.
    pub budget: Option<Budget>,
}

impl ClientKey {
    /// Creates a client without limits.
    #[must_use]
    pub fn new(name: impl Into<String>, key: Secret) -> Self {
        let (limits, models) = (ClientLimits::default(), ModelPatterns::default());
        Self { name: name.into(), key, limits, models, expires: None, budget: None }
    }

    /// Sets the limits of the client.
    #[must_use]
    pub fn with_limits(mut self, limits: ClientLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Limits the client to models that these patterns match.
    #[must_use]
    pub fn with_models(mut self, models: impl IntoIterator<Item = Pattern>) -> Self {
        self.models = models.into_iter().collect();
        self
    }

    /// Sets the time from which the key is refused.
    #[must_use]
    pub fn with_expires(mut self, time: SystemTime) -> Self {
        self.expires = Some(time);
        self
    }

    /// Sets the amount of money that the client may spend.
    #[must_use]
    pub fn with_budget(mut self, budget: Budget) -> Self {
        self.budget = Some(budget);
        self
    }
}

/// The limits of one client of the relay. `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientLimits {
    /// Requests per minute.
    pub requests: Option<NonZeroU32>,
    /// Input and output tokens per minute together, without tokens read from a prompt cache.
    pub tokens: Option<NonZeroU64>,
    /// Requests in flight at one time. A request is in flight until its answer has ended.
    pub concurrent: Option<NonZeroU32>,
}

impl ClientLimits {
    /// Limits the requests per minute. 0 is no limit.
    #[must_use]
    pub fn with_requests(mut self, per_minute: u32) -> Self {
        self.requests = NonZeroU32::new(per_minute);
        self
    }

    /// Limits the tokens per minute. 0 is no limit.
    #[must_use]
    pub fn with_tokens(mut self, per_minute: u64) -> Self {
        self.tokens = NonZeroU64::new(per_minute);
        self
    }

    /// Limits the requests in flight at one time. 0 is no limit.
    #[must_use]
    pub fn with_concurrent(mut self, requests: u32) -> Self {
        self.concurrent = NonZeroU32::new(requests);
        self
    }

    /// Returns `true` if there is no limit.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_program_of_the_operator_uses_a_key_that_is_valid_and_not_limited() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(10);
        let key = |name: &str| ClientKey::new(name, Secret::new(name));
        let mut auth = ClientAuth::default().with_key(key("expired").with_expires(now));
        let mut secret = |client: Option<ClientKey>| {
            auth.keys.extend(client);
            auth.secret_at(now).map(|secret| secret.expose().to_owned())
        };
        assert_eq!(secret(None), None);
        let limited = key("limited").with_models([Pattern::new("m")]);
        assert_eq!(secret(Some(limited)).as_deref(), Some("limited"));
        let later = key("later").with_expires(now + Duration::from_secs(1));
        assert_eq!(secret(Some(later)).as_deref(), Some("later"));
        let shared = auth.with_bearer_secret(Secret::new("shared"));
        assert_eq!(shared.secret_at(now).map(Secret::expose), Some("later"));
        assert_eq!(shared.secret_at(now + Duration::from_secs(1)).map(Secret::expose), Some("shared"));
    }
}
