//! Authenticates clients, and removes their credentials from requests.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::Either;
use http::header::{COOKIE, PROXY_AUTHORIZATION};
use http::{HeaderMap, Request, Response};
use relay_config::{ClientAuth, ClientKey, Secret};
use relay_providers::{ClientCredential, is_subscription_token};
use std::future::{Ready, ready};
use tower::{Layer, Service};

use crate::error::Error;
use crate::record::RecordHandle;
use crate::response::ResponseBody;

/// An admitted client.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    /// The name of the client key that it sent; `None` if it sent none.
    pub(crate) name: Option<Arc<str>>,
    /// The client's own credential for an upstream, if it may be passed through.
    pub(crate) credential: Option<ClientCredential>,
    /// True if a provider with configured keys may serve it (`server.auth.subscription_may_use_keys`).
    pub(crate) keys_allowed: bool,
}

/// Checks the credentials of requests against `server.auth`.
#[derive(Debug)]
pub(crate) struct Verifier {
    auth: ClientAuth,
    /// The name of each of `auth.keys`, in order.
    names: Vec<Arc<str>>,
    subscription_may_use_keys: bool,
}

/// The rejection of a client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// A credential is required, and none is accepted.
    Unknown,
    /// A credential header holds more than one credential.
    Several,
}

impl From<Denied> for Error {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Unknown => Self::Denied,
            Denied::Several => Self::SeveralCredentials,
        }
    }
}

impl Verifier {
    pub(crate) fn new(auth: ClientAuth, subscription_may_use_keys: bool) -> Self {
        let names = auth.keys.iter().map(|key| Arc::from(key.name.as_str())).collect();
        Self { auth, names, subscription_may_use_keys }
    }

    /// Removes every credential from `headers`, and returns the client to which they belong.
    ///
    /// # Errors
    /// [`Denied`] if a credential is required and none is accepted, or if one header holds several credentials.
    pub(crate) fn check(&self, headers: &mut HeaderMap) -> Result<Client, Denied> {
        let is_list = ClientCredential::is_list(headers);
        let mut has_key = false;
        let mut name = None;
        for token in ClientCredential::tokens(headers) {
            let (known, index) = self.find(token);
            has_key |= known;
            name = index.or(name);
        }
        let required = self.auth.is_required();
        let may_pass = |token: &str| match required {
            true => self.auth.allow_subscription && is_subscription_token(token) && !self.find(token).0,
            false => true,
        };
        let credential = ClientCredential::take(headers, may_pass);
        headers.remove(COOKIE);
        headers.remove(PROXY_AUTHORIZATION);
        if is_list {
            return Err(Denied::Several);
        }
        let subscription = credential.as_ref().is_some_and(ClientCredential::is_subscription);
        if required && !has_key && !subscription {
            return Err(Denied::Unknown);
        }
        Ok(Client {
            name: name.map(|index| Arc::clone(&self.names[index])),
            credential,
            keys_allowed: has_key || !subscription || self.subscription_may_use_keys,
        })
    }

    /// Returns `true` if `token` is accepted, and the index of its client key. Every key is compared, so that the time
    /// does not depend on the one that matches.
    fn find(&self, token: &str) -> (bool, Option<usize>) {
        let bare = unquoted(token);
        let matches = |secret: &Secret| secret.matches(token.as_bytes()) | secret.matches(bare.as_bytes());
        let mut found = None;
        for (index, ClientKey { key, .. }) in self.auth.keys.iter().enumerate() {
            if matches(key) {
                found = Some(index);
            }
        }
        let bearer = self.auth.bearer_secret.as_ref().is_some_and(matches);
        (found.is_some() | bearer, found)
    }
}

/// Removes quotes around `token`. The loader removes them from the configured keys, and a client may have its key from the
/// same file.
fn unquoted(token: &str) -> &str {
    let inside = |quote: &char| token.strip_prefix(*quote)?.strip_suffix(*quote);
    ['"', '\''].iter().find_map(inside).unwrap_or(token)
}

/// Admits clients. An admitted request has its [`Client`] in the extensions, and no credential in its headers.
#[derive(Debug, Clone)]
pub(crate) struct AuthLayer {
    verifier: Arc<Verifier>,
}

impl AuthLayer {
    pub(crate) fn new(verifier: Arc<Verifier>) -> Self {
        Self { verifier }
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = Auth<S>;

    fn layer(&self, inner: S) -> Auth<S> {
        Auth { inner, verifier: Arc::clone(&self.verifier) }
    }
}

/// The service of [`AuthLayer`].
#[derive(Debug, Clone)]
pub(crate) struct Auth<S> {
    inner: S,
    verifier: Arc<Verifier>,
}

impl<S, B> Service<Request<B>> for Auth<S>
where
    S: Service<Request<B>, Response = Response<ResponseBody>, Error = Error>,
{
    type Response = Response<ResponseBody>;
    type Error = Error;
    type Future = Either<S::Future, Ready<Result<Response<ResponseBody>, Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        match self.verifier.check(request.headers_mut()) {
            Ok(client) => {
                if let (Some(name), Some(record)) = (&client.name, request.extensions().get::<RecordHandle>())
                {
                    record.set_client(name);
                }
                request.extensions_mut().insert(client);
                Either::Left(self.inner.call(request))
            }
            Err(denied) => Either::Right(ready(Err(denied.into()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header::{HeaderName, HeaderValue};

    use super::*;

    fn open() -> Verifier {
        Verifier::new(ClientAuth::default(), false)
    }

    fn keyed(allow_subscription: bool) -> Verifier {
        let key = |name: &str, key: &str| ClientKey { name: name.to_owned(), key: Secret::new(key) };
        let auth = ClientAuth {
            keys: vec![key("alice", "relay-a"), key("bob", "relay-b")],
            bearer_secret: Some(Secret::new("shared")),
            allow_subscription,
            subscription_may_use_keys: None,
        };
        Verifier::new(auth, false)
    }

    /// The name, then three flags: a credential may be passed through, it is a subscription, keys are allowed.
    type Expected = Result<(Option<&'static str>, bool, bool, bool), Denied>;

    #[track_caller]
    fn check(verifier: &Verifier, headers: &[(&'static str, &'static str)], expected: Expected) {
        let mut map: HeaderMap = headers
            .iter()
            .map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        map.insert(COOKIE, HeaderValue::from_static("session=1"));
        let client = verifier.check(&mut map);
        let found = client.map(|client| {
            let credential = client.credential.as_ref();
            let subscription = credential.is_some_and(ClientCredential::is_subscription);
            (client.name.clone(), credential.is_some(), subscription, client.keys_allowed)
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
        let only_subscriptions =
            Verifier::new(ClientAuth { allow_subscription: true, ..ClientAuth::default() }, true);
        check(
            &only_subscriptions,
            &[("authorization", "Bearer sk-ant-oat01-x")],
            Ok((None, true, true, true)),
        );
        check(&only_subscriptions, &[("x-api-key", "k")], Err(Denied::Unknown));
    }
}
