//! A client's own credential: who may carry it on is decided by what this module lets be seen.

use std::fmt;

use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use relay_config::PLACEHOLDER;
use smallvec::SmallVec;

/// `x-api-key`.
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The prefix of every Claude subscription token. The header does not distinguish these tokens from API keys, since
/// a client may also send an API key as a bearer token.
const SUBSCRIPTION_PREFIX: &str = "sk-ant-oat";

/// The credential headers of one request, taken out of it.
///
/// There is no way to read them from outside of this crate, and inside of it only the pass-through form of an
/// `anthropic` upstream writes them into a request. Prints as `***`.
#[derive(Clone)]
pub struct ClientCredential {
    headers: SmallVec<[(HeaderName, HeaderValue); 1]>,
    subscription: bool,
}

impl ClientCredential {
    /// Takes the credential headers out of `headers`, all of them. Those whose token `keep` accepts make up the
    /// credential; the rest are gone, and so is the placeholder `managed-by-cc-relay`.
    pub fn take(headers: &mut HeaderMap, keep: impl Fn(&str) -> bool) -> Option<Self> {
        let mut kept = SmallVec::new();
        let mut subscription = false;
        for name in [X_API_KEY, AUTHORIZATION] {
            let values: SmallVec<[HeaderValue; 1]> = headers.get_all(&name).iter().cloned().collect();
            headers.remove(&name);
            for mut value in values {
                let Some(token) = token(&name, &value) else { continue };
                if token.is_empty() || token == PLACEHOLDER || !keep(token) {
                    continue;
                }
                subscription |= is_subscription_token(token);
                value.set_sensitive(true);
                kept.push((name.clone(), value));
            }
        }
        (!kept.is_empty()).then_some(Self { headers: kept, subscription })
    }

    /// Every token in the credential headers of `headers`, whichever header holds it.
    pub fn tokens(headers: &HeaderMap) -> impl Iterator<Item = &str> {
        [X_API_KEY, AUTHORIZATION]
            .into_iter()
            .flat_map(|name| headers.get_all(&name).iter().filter_map(move |value| token(&name, value)))
    }

    /// Returns `true` if it is a Claude subscription token.
    #[must_use]
    pub fn is_subscription(&self) -> bool {
        self.subscription
    }

    /// Writes the credential into a request, as the client sent it.
    pub(crate) fn write_to(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.headers {
            headers.append(name, value.clone());
        }
    }
}

impl fmt::Debug for ClientCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Returns `true` if `token` is a Claude subscription token.
#[must_use]
pub fn is_subscription_token(token: &str) -> bool {
    token.starts_with(SUBSCRIPTION_PREFIX)
}

/// The value of a credential header, without its scheme.
fn token<'a>(name: &HeaderName, value: &'a HeaderValue) -> Option<&'a str> {
    let text = value.to_str().ok()?.trim();
    if *name != AUTHORIZATION {
        return Some(text);
    }
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(entries: &[(&'static str, &'static str)]) -> HeaderMap {
        entries
            .iter()
            .map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn taking_a_credential_leaves_none_behind() {
        let mut headers = headers(&[
            ("x-api-key", "sk-ant-api03-a"),
            ("authorization", "Bearer sk-ant-oat01-b"),
            ("user-agent", "claude-cli"),
        ]);
        let credential = ClientCredential::take(&mut headers, is_subscription_token).unwrap();
        assert!(credential.is_subscription());
        assert_eq!(headers.len(), 1);
        let mut upstream = HeaderMap::new();
        credential.write_to(&mut upstream);
        assert_eq!(upstream.len(), 1);
        assert_eq!(upstream[AUTHORIZATION], "Bearer sk-ant-oat01-b");
        assert_eq!(format!("{credential:?} {upstream:?}"), "*** {\"authorization\": Sensitive}");
    }

    #[test]
    fn placeholders_refused_tokens_and_other_schemes_make_no_credential() {
        #[track_caller]
        fn check(name: &'static str, value: &'static str) {
            let mut headers = headers(&[(name, value)]);
            assert!(
                ClientCredential::take(&mut headers, |token| token != "relay-key").is_none(),
                "{name}: {value}"
            );
            assert!(headers.is_empty());
        }
        check("x-api-key", "managed-by-cc-relay");
        check("authorization", "Bearer managed-by-cc-relay");
        check("authorization", "bearer relay-key");
        check("x-api-key", "relay-key");
        check("x-api-key", "");
        check("authorization", "Basic dXNlcjpwYXNz");
        check("authorization", "sk-ant-api03-a");
    }

    #[test]
    fn tokens_are_found_in_either_header() {
        let headers = headers(&[("x-api-key", "a"), ("authorization", "Bearer b")]);
        assert_eq!(ClientCredential::tokens(&headers).collect::<Vec<_>>(), ["a", "b"]);
    }
}
