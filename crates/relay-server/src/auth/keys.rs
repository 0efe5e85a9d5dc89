//! The keys that admit clients of the relay.

use std::collections::HashMap;
use std::fmt;
use std::future::{Ready, ready};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::SystemTime;

use http::HeaderMap;
use http::header::{COOKIE, PROXY_AUTHORIZATION};
use http::request::Parts;
use relay_config::{ClientAuth, ClientKey, ModelPatterns, Secret, write_rfc3339};
use relay_providers::{ClientCredential, is_subscription_token};

use super::client::{Client, shared};
use super::verifier::Verifier;
use crate::record::RecordHandle;

/// The rejection of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// A credential is required, and none is accepted.
    #[error(
        "the relay does not accept this credential: send a key of the relay as `x-api-key` or `authorization: Bearer`"
    )]
    Unknown,
    /// A credential header holds more than one credential, in several lines or as a list in its value.
    #[error(
        "a credential header holds more than one credential: send one, as `x-api-key` or `authorization: Bearer`"
    )]
    Several,
    /// The key is known, and its time is over (`server.auth.api_keys[].expires`).
    #[error("this key of the relay expired at {}: get a new one from the operator of the relay", rfc3339(*at))]
    #[non_exhaustive]
    Expired {
        /// The end of the key.
        at: SystemTime,
    },
}

fn rfc3339(time: SystemTime) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_rfc3339(&mut text, time);
    text
}

/// Admits clients by configured keys (`server.auth`): keys with names, a bearer token, and the form of Claude subscription
/// tokens. Cheap to clone.
///
/// A key is accepted as `x-api-key` and as `authorization: Bearer`. It is found by a hash with a random seed, and then compared
/// in constant time: a request costs the same with ten keys and with ten thousand. Both headers are removed
/// from every request, together with `cookie` and `proxy-authorization`. A credential that an upstream may receive, such as
/// a subscription token, is kept in the [`Client`]. Without any setting every client is admitted, and its own credential is kept.
#[derive(Debug, Clone, Default)]
pub struct ConfiguredKeys(Arc<Keys>);

#[derive(Clone, Default)]
struct Keys {
    auth: ClientAuth,
    /// The clients of `auth.keys`, in order.
    clients: Vec<KnownClient>,
    index: KeyIndex,
}

/// The facts about a client that its requests carry.
#[derive(Clone)]
struct KnownClient {
    name: Arc<str>,
    models: Option<Arc<ModelPatterns>>,
}

/// The result of a look-up of all credentials of a request.
#[derive(Default)]
struct Shown {
    /// True if a credential is accepted.
    is_known: bool,
    /// The index of the client key that is accepted.
    client: Option<usize>,
    /// The index of a client key that has expired.
    expired: Option<usize>,
}

/// The indices of keys by a hash of the key. The hash has a random seed, so that neither the time of a look-up nor a collision
/// reveals anything about a key.
#[derive(Clone, Default)]
struct KeyIndex {
    seed: RandomState,
    indices: HashMap<u64, Vec<usize>>,
}

impl Verifier for ConfiguredKeys {
    type Client = Client;
    type Error = Denied;
    type Future = Ready<Result<Client, Denied>>;

    /// A client without a key of this verifier keeps the name and the models that an outer [`AuthLayer`](super::AuthLayer) has
    /// given it. The record of a refused request names the client of an expired key.
    fn verify(&self, head: &mut Parts) -> Self::Future {
        let (shown, client) = self.examine(&mut head.headers, SystemTime::now);
        let client = client.map(|client| match head.extensions.get::<Client>() {
            Some(outer) if client.name.is_none() => {
                Client { name: outer.name.clone(), models: outer.models.clone(), ..client }
            }
            _ => client,
        });
        let expired = shown.expired.map(|index| &self.0.clients[index].name);
        let name = client.as_ref().map_or(expired, |client| client.name.as_ref());
        if let Some(name) = name
            && let Some(record) = head.extensions.get::<RecordHandle>()
        {
            record.set_client(name);
        }
        ready(client)
    }
}

impl From<ClientAuth> for ConfiguredKeys {
    fn from(auth: ClientAuth) -> Self {
        let known =
            |key: &ClientKey| KnownClient { name: key.name.as_str().into(), models: shared(&key.models) };
        let clients = auth.keys.iter().map(known).collect();
        let index = KeyIndex::new(&auth.keys);
        Self(Arc::new(Keys { auth, clients, index }))
    }
}

impl ConfiguredKeys {
    /// Admits clients that send `key`, under this name.
    #[must_use]
    pub fn with_key(self, name: impl Into<String>, key: Secret) -> Self {
        self.with_client(ClientKey::new(name, key))
    }

    /// Admits clients that send the key of `client`, until it expires. They may use the models of `client`. Its limits and its
    /// budget are left to other layers.
    #[must_use]
    pub fn with_client(self, client: ClientKey) -> Self {
        self.with(|auth| auth.keys.push(client))
    }

    /// Admits clients that send this bearer token. They have no name.
    #[must_use]
    pub fn with_bearer_secret(self, secret: Secret) -> Self {
        self.with(|auth| auth.bearer_secret = Some(secret))
    }

    /// Admits clients that send a Claude subscription token of their own. With `may_use_configured_keys`, providers with
    /// configured keys may serve them too.
    ///
    /// Only the form of a token can be checked. Therefore `may_use_configured_keys` opens the keys to every client that knows
    /// the form.
    #[must_use]
    pub fn with_subscriptions(self, may_use_configured_keys: bool) -> Self {
        self.with(|auth| {
            auth.allow_subscription = true;
            auth.subscription_may_use_keys = Some(may_use_configured_keys);
        })
    }

    fn with(mut self, change: impl FnOnce(&mut ClientAuth)) -> Self {
        let mut auth = std::mem::take(&mut Arc::make_mut(&mut self.0).auth);
        change(&mut auth);
        Self::from(auth)
    }

    /// Removes every credential from `headers`, and returns the client to which they belong at the current time.
    ///
    /// # Errors
    /// [`Denied`] if a credential is required and none is accepted, or if one header holds several credentials.
    pub fn check(&self, headers: &mut HeaderMap) -> Result<Client, Denied> {
        self.examine(headers, SystemTime::now).1
    }

    /// Removes every credential from `headers`, and returns the client to which they belong at the time `now`.
    ///
    /// # Errors
    /// [`Denied`] if a credential is required and none is accepted, or if one header holds several credentials.
    pub fn check_at(&self, headers: &mut HeaderMap, now: SystemTime) -> Result<Client, Denied> {
        self.examine(headers, || now).1
    }

    /// Checks `headers` at the time `now`, which is read if a key has an end.
    fn examine(
        &self,
        headers: &mut HeaderMap,
        now: impl Fn() -> SystemTime,
    ) -> (Shown, Result<Client, Denied>) {
        let is_list = ClientCredential::is_list(headers);
        let required = self.0.auth.is_required();
        let shown = if required { self.look_up(headers, now) } else { Shown::default() };
        let may_pass = |token: &str| match required {
            true => self.0.auth.allow_subscription && is_subscription_token(token) && !self.find(token).0,
            false => true,
        };
        let credential = ClientCredential::take(headers, may_pass);
        headers.remove(COOKIE);
        headers.remove(PROXY_AUTHORIZATION);
        let subscription = credential.as_ref().is_some_and(ClientCredential::is_subscription);
        if is_list {
            return (shown, Err(Denied::Several));
        }
        if required && !shown.is_known && !subscription {
            let end = shown.expired.and_then(|index| self.0.auth.keys[index].expires);
            let denied = end.map_or(Denied::Unknown, |at| Denied::Expired { at });
            return (shown, Err(denied));
        }
        let client = shown.client.map(|index| &self.0.clients[index]);
        let client = Client {
            name: client.map(|client| Arc::clone(&client.name)),
            credential,
            may_use_configured_keys: shown.is_known
                || !subscription
                || self.0.auth.subscription_may_use_keys == Some(true),
            models: client.and_then(|client| client.models.clone()),
        };
        (shown, Ok(client))
    }

    /// Looks up every credential in `headers`.
    fn look_up(&self, headers: &HeaderMap, now: impl Fn() -> SystemTime) -> Shown {
        let mut shown = Shown::default();
        let has_expired = |index: &usize| self.0.auth.keys[*index].expires.is_some_and(|end| end <= now());
        for token in ClientCredential::tokens(headers) {
            match self.find(token) {
                (_, Some(index)) if has_expired(&index) => shown.expired = Some(index),
                (is_known, index) => {
                    shown.is_known |= is_known;
                    shown.client = index.or(shown.client);
                }
            }
        }
        shown
    }

    /// Returns `true` if `token` is known, and the index of its client key. A key that has expired is known too: it goes to no
    /// upstream.
    fn find(&self, token: &str) -> (bool, Option<usize>) {
        let bare = unquoted(token);
        let matches = |secret: &Secret| {
            secret.matches(token.as_bytes()) | bare.is_some_and(|bare| secret.matches(bare.as_bytes()))
        };
        let with_hash = |token| self.0.index.with_hash_of(token);
        let candidates = with_hash(token).iter().chain(bare.map_or(&[][..], with_hash));
        let found = candidates.copied().find(|index| matches(&self.0.auth.keys[*index].key));
        let bearer = self.0.auth.bearer_secret.as_ref().is_some_and(matches);
        (found.is_some() | bearer, found)
    }
}

impl KeyIndex {
    fn new(keys: &[ClientKey]) -> Self {
        let mut index = Self::default();
        for (position, ClientKey { key, .. }) in keys.iter().enumerate() {
            let hash = index.seed.hash_one(key.expose());
            index.indices.entry(hash).or_default().push(position);
        }
        index
    }

    /// Returns the indices of the keys with the hash of `token`: almost always that of `token` alone.
    fn with_hash_of(&self, token: &str) -> &[usize] {
        self.indices.get(&self.seed.hash_one(token)).map_or(&[], Vec::as_slice)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.auth.fmt(f)
    }
}

/// Returns the text between the quotes around `token`, if there are some. The loader removes them from the configured keys, and a
/// client may have its key from the same file.
fn unquoted(token: &str) -> Option<&str> {
    let inside = |quote: &char| token.strip_prefix(*quote)?.strip_suffix(*quote);
    ['"', '\''].iter().find_map(inside)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::header::{HeaderName, HeaderValue};

    use super::*;

    fn open() -> ConfiguredKeys {
        ConfiguredKeys::default()
    }

    fn keyed(allow_subscription: bool) -> ConfiguredKeys {
        let key = |name: &str, key: &str| ClientKey::new(name, Secret::new(key));
        let auth = ClientAuth::default()
            .with_key(key("alice", "relay-a"))
            .with_key(key("bob", "relay-b"))
            .with_bearer_secret(Secret::new("shared"))
            .with_allow_subscription(allow_subscription);
        ConfiguredKeys::from(auth)
    }

    /// The name, then three flags: a credential may be passed through, it is a subscription, keys are allowed.
    type Expected = Result<(Option<&'static str>, bool, bool, bool), Denied>;

    #[track_caller]
    fn check(verifier: &ConfiguredKeys, headers: &[(&'static str, &'static str)], expected: Expected) {
        let mut map: HeaderMap = headers
            .iter()
            .map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        map.insert(COOKIE, HeaderValue::from_static("session=1"));
        let client = verifier.check(&mut map);
        let found = client.map(|client| {
            let credential = client.credential.as_ref();
            let subscription = credential.is_some_and(ClientCredential::is_subscription);
            (client.name.clone(), credential.is_some(), subscription, client.may_use_configured_keys)
        });
        let expected =
            expected.map(|(name, own, subscription, keys)| (name.map(Arc::from), own, subscription, keys));
        assert_eq!(found, expected);
        assert!(map.is_empty(), "{map:?}");
    }

    #[test]
    fn without_client_auth_every_client_is_admitted_with_its_own_credential() {
        check(&open(), &[], Ok((None, false, false, true)));
        check(&open(), &[("x-api-key", "sk-ant-api03-x")], Ok((None, true, false, true)));
        check(&open(), &[("authorization", "Bearer managed-by-cc-relay")], Ok((None, false, false, true)));
        check(&open(), &[("authorization", "Bearer sk-ant-oat01-x")], Ok((None, true, true, false)));
    }

    #[test]
    fn a_client_key_is_accepted_in_either_header_and_removed() {
        check(&keyed(false), &[("x-api-key", "relay-a")], Ok((Some("alice"), false, false, true)));
        check(&keyed(false), &[("authorization", "Bearer relay-b")], Ok((Some("bob"), false, false, true)));
        check(&keyed(false), &[("authorization", "bearer shared")], Ok((None, false, false, true)));
        check(&keyed(false), &[("x-api-key", "\"relay-a\"")], Ok((Some("alice"), false, false, true)));
        check(&keyed(false), &[("authorization", "Bearer 'relay-b'")], Ok((Some("bob"), false, false, true)));
        check(
            &keyed(false),
            &[("x-api-key", "relay-a"), ("authorization", "Bearer sk-ant-api03-x")],
            Ok((Some("alice"), false, false, true)),
        );
    }

    #[tokio::test]
    async fn a_client_keeps_the_name_and_the_models_of_an_outer_layer_unless_it_has_a_key() {
        for (key, expected) in [(None, "outer"), (Some("relay-a"), "alice")] {
            let verifier = if key.is_some() { keyed(false) } else { open() };
            let outer = Client::new("outer").with_models([relay_config::Pattern::new("m")]);
            let mut request = http::Request::builder().extension(outer);
            if let Some(key) = key {
                request = request.header("x-api-key", key);
            }
            let (mut head, ()) = request.body(()).unwrap().into_parts();
            let client = verifier.verify(&mut head).await.unwrap();
            assert_eq!(client.name.as_deref(), Some(expected));
            assert_eq!(client.may_use("x"), key.is_some());
        }
    }

    #[test]
    fn a_key_is_accepted_until_it_expires() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let alice = ClientKey::new("alice", Secret::new("relay-a")).with_expires(at);
        let keys = ConfiguredKeys::default()
            .with_client(alice)
            .with_key("bob", Secret::new("relay-b"))
            .with_subscriptions(false);
        let check = |headers: &[(&'static str, &'static str)], now: SystemTime| {
            let pairs = headers
                .iter()
                .map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            let mut headers: HeaderMap = pairs.collect();
            let client = keys.check_at(&mut headers, now);
            assert!(headers.is_empty());
            client.map(|client| (client.name.as_deref().map(str::to_owned), client.credential.is_some()))
        };
        let (key, second) = (("x-api-key", "relay-a"), Duration::from_secs(1));
        assert_eq!(check(&[key], at - second), Ok((Some("alice".to_owned()), false)));
        for now in [at, at + second, at + 1_000_000 * second] {
            assert_eq!(check(&[key], now), Err(Denied::Expired { at }));
        }
        // Another credential admits the client, and the expired key goes to no upstream.
        let other = [key, ("authorization", "Bearer relay-b")];
        assert_eq!(check(&other, at), Ok((Some("bob".to_owned()), false)));
        let subscription = [key, ("authorization", "Bearer sk-ant-oat01-x")];
        assert_eq!(check(&subscription, at), Ok((None, true)));
        assert_eq!(
            Denied::Expired { at }.to_string(),
            "this key of the relay expired at 2027-01-15T08:00:00Z: get a new one from the operator of the relay"
        );
    }

    #[test]
    fn a_client_without_an_accepted_credential_is_denied() {
        check(&keyed(false), &[], Err(Denied::Unknown));
        check(&keyed(false), &[("x-api-key", "relay-")], Err(Denied::Unknown));
        check(&keyed(false), &[("authorization", "Basic relay-a")], Err(Denied::Unknown));
        check(&keyed(false), &[("authorization", "Bearer sk-ant-oat01-x")], Err(Denied::Unknown));
        check(&keyed(true), &[("x-api-key", "sk-ant-api03-x")], Err(Denied::Unknown));
    }

    #[test]
    fn a_header_with_two_credentials_is_denied_with_and_without_client_auth() {
        for verifier in [open(), keyed(true)] {
            for headers in [
                &[("x-api-key", "relay-a"), ("x-api-key", "relay-b")][..],
                &[("x-api-key", "relay-a, sk-ant-oat01-x")],
                &[("authorization", "Bearer relay-a"), ("authorization", "Bearer sk-ant-oat01-x")],
                &[("authorization", "Bearer sk-ant-oat01-x, Bearer relay-a")],
                &[("authorization", "Basic eDp5, Bearer relay-a")],
                &[("x-api-key", "relay-a"), ("authorization", "Bearer sk-ant-oat01-x Bearer relay-b")],
            ] {
                check(&verifier, headers, Err(Denied::Several));
            }
        }
    }

    #[test]
    fn two_headers_with_different_credentials_are_judged_one_by_one() {
        let subscription = ("authorization", "Bearer sk-ant-oat01-x");
        // The unknown key of the client goes nowhere beside an accepted credential.
        check(&keyed(true), &[("x-api-key", "sk-ant-api03-x"), subscription], Ok((None, true, true, false)));
        check(
            &keyed(true),
            &[("x-api-key", "managed-by-cc-relay"), subscription],
            Ok((None, true, true, false)),
        );
        check(&keyed(true), &[("x-api-key", "shared"), subscription], Ok((None, true, true, true)));
        check(
            &keyed(false),
            &[("x-api-key", "relay-a"), subscription],
            Ok((Some("alice"), false, false, true)),
        );
        check(&open(), &[("x-api-key", "sk-ant-api03-x"), subscription], Ok((None, true, true, false)));
        // A text that only starts like a subscription token admits no client.
        check(&keyed(true), &[("authorization", "Bearer sk-ant-oat-made.up")], Err(Denied::Unknown));
    }

    #[test]
    fn a_subscription_is_accepted_if_it_is_allowed() {
        check(&keyed(true), &[("authorization", "Bearer sk-ant-oat01-x")], Ok((None, true, true, false)));
        check(
            &keyed(true),
            &[("x-api-key", "relay-a"), ("authorization", "Bearer sk-ant-oat01-x")],
            Ok((Some("alice"), true, true, true)),
        );
        let only_subscriptions = ConfiguredKeys::default().with_subscriptions(true);
        check(
            &only_subscriptions,
            &[("authorization", "Bearer sk-ant-oat01-x")],
            Ok((None, true, true, true)),
        );
        check(&only_subscriptions, &[("x-api-key", "k")], Err(Denied::Unknown));
    }
}
