//! A client's own credential. Only this module can read it, and only a pass-through upstream can write it.

use std::borrow::Cow;
use std::fmt;

use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use relay_config::PLACEHOLDER;
use smallvec::SmallVec;

/// The header of an API key.
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The prefix of every Claude subscription token. The header does not distinguish these tokens from API keys, since
/// a client may also send an API key as a bearer token.
const SUBSCRIPTION_PREFIX: &str = "sk-ant-oat";
/// The longest version number after the prefix. Tokens in use have two digits.
const SUBSCRIPTION_VERSION_MAX: usize = 4;
/// The longest secret part of a subscription token. Tokens in use have about 95 characters.
const SUBSCRIPTION_SECRET_MAX: usize = 512;

/// The least length of a token that is removed from texts. A shorter one would remove parts of words.
const SHORTEST_REDACTED: usize = 4;

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
            let further: SmallVec<[HeaderValue; 1]> =
                headers.get_all(&name).iter().skip(1).cloned().collect();
            // The removal returns the first value and drops the further ones.
            for mut value in headers.remove(&name).into_iter().chain(further) {
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

    /// Returns every token in the credential headers of `headers`.
    pub fn tokens(headers: &HeaderMap) -> impl Iterator<Item = &str> {
        [X_API_KEY, AUTHORIZATION]
            .into_iter()
            .flat_map(|name| headers.get_all(&name).iter().filter_map(move |value| token(&name, value)))
    }

    /// Returns `true` if one of the two credential headers has several lines, or more than one credential in its
    /// value. The relay and an upstream could then read different credentials.
    #[must_use]
    pub fn is_list(headers: &HeaderMap) -> bool {
        [X_API_KEY, AUTHORIZATION].iter().any(|name| {
            let mut values = headers.get_all(name).iter();
            let first = values.next().and_then(|value| value.to_str().ok()).unwrap_or_default();
            values.next().is_some()
                || match *name == AUTHORIZATION {
                    true => has_several_credentials(first),
                    false => first.contains(','),
                }
        })
    }

    /// Returns `true` if it is a Claude subscription token.
    #[must_use]
    pub fn is_subscription(&self) -> bool {
        self.subscription
    }

    /// Returns `text` for a log, with `***` in the place of each token, also where it is escaped as in JSON or in a URL: an upstream
    /// may repeat the token in an error or a header, and a client in its body. A token of less than 4 characters stays.
    #[must_use]
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        let tokens = self.headers.iter().filter_map(|(name, value)| token(name, value));
        for token in tokens.filter(|token| token.len() >= SHORTEST_REDACTED) {
            // As in JSON, as in the `Debug` of a header, and as in a URL.
            let forms = [
                token.replace('\\', r"\\").replace('"', r#"\""#),
                token.replace('"', r#"\""#),
                in_url(token),
            ];
            for form in forms.iter().map(String::as_str).chain([token]) {
                if text.contains(form) {
                    text = Cow::Owned(text.replace(form, "***"));
                }
            }
        }
        text
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

/// Returns `true` if `token` has the form of a Claude subscription token: `sk-ant-oat`, digits, `-`, and characters of
/// the URL-safe base64 alphabet. Only Anthropic can check more than the form.
#[must_use]
pub fn is_subscription_token(token: &str) -> bool {
    let parts = token.strip_prefix(SUBSCRIPTION_PREFIX).and_then(|rest| rest.split_once('-'));
    let Some((version, secret)) = parts else { return false };
    let is_secret = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    (1..=SUBSCRIPTION_VERSION_MAX).contains(&version.len())
        && version.bytes().all(|b| b.is_ascii_digit())
        && (1..=SUBSCRIPTION_SECRET_MAX).contains(&secret.len())
        && secret.bytes().all(is_secret)
}

/// Returns `true` if `authorization` has more than one credential. RFC 9110 section 11.6.2 allows only one.
fn has_several_credentials(authorization: &str) -> bool {
    let mut words = authorization.split([' ', '\t', ',']).filter(|word| !word.is_empty());
    let is = |scheme: &str, word: &str| word.eq_ignore_ascii_case(scheme);
    // The parameters of another scheme may be a list.
    let is_list = words.next().is_some_and(|scheme| is("bearer", scheme)) && authorization.contains(',');
    is_list || words.any(|word| is("bearer", word) || is("basic", word))
}

/// Returns `text` with every byte percent-encoded that is reserved in a URL.
fn in_url(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => encoded.push(char::from(byte)),
            _ => encoded.extend(["%", &format!("{byte:02X}")]),
        }
    }
    encoded
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
    fn the_tokens_are_removed_from_a_text() {
        let mut headers =
            headers(&[("x-api-key", r#"key"of\a-client"#), ("authorization", "Bearer token-2")]);
        let credential = ClientCredential::take(&mut headers, |_| true).unwrap();
        let text = r#"key"of\a-client and "key\"of\\a-client", token-2, token-3, ?k=key%22of%5Ca-client"#;
        assert_eq!(credential.redact(text), r#"*** and "***", ***, token-3, ?k=***"#);
        assert!(matches!(credential.redact("nothing of it"), Cow::Borrowed(_)));
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
    fn a_subscription_token_is_checked_character_by_character() {
        #[track_caller]
        fn check(token: &str, expected: bool) {
            assert_eq!(is_subscription_token(token), expected, "{token:?}");
        }
        check("sk-ant-oat01-x", true);
        check(&format!("sk-ant-oat01-{}", "aB3-_z".repeat(16)), true);
        check(&format!("sk-ant-oat01-{}", "a".repeat(SUBSCRIPTION_SECRET_MAX)), true);
        check(&format!("sk-ant-oat01-{}", "a".repeat(SUBSCRIPTION_SECRET_MAX + 1)), false);
        for token in [
            "",
            "sk-ant-oat",
            "sk-ant-oat-x",
            "sk-ant-oat01",
            "sk-ant-oat01-",
            "sk-ant-oat00001-x",
            "sk-ant-oatxx-a",
            "sk-ant-oat01-a,b",
            "sk-ant-oat01-a b",
            "sk-ant-oat01-a\tb",
            "sk-ant-oat01-a\n",
            "sk-ant-oat01-a=",
            "sk-ant-oat01-a.b",
            "sk-ant-oat01-a/b",
            "sk-ant-oat01-\u{e9}",
            "sk-ant-oat\u{661}-x",
            "sk-ant-api03-x",
            "SK-ANT-OAT01-x",
            " sk-ant-oat01-x",
            "xsk-ant-oat01-x",
        ] {
            check(token, false);
        }
    }

    #[test]
    fn a_header_with_more_than_one_credential_is_a_list() {
        #[track_caller]
        fn check(entries: &[(&'static str, &'static str)], expected: bool) {
            assert_eq!(ClientCredential::is_list(&headers(entries)), expected, "{entries:?}");
        }
        check(&[], false);
        check(&[("x-api-key", "a"), ("authorization", "Bearer b")], false);
        check(&[("authorization", "Bearer  b ")], false);
        check(&[("authorization", "Bearer not a token")], false);
        check(&[("authorization", "Digest username=\"u\", realm=\"r\"")], false);
        check(&[("authorization", "b")], false);
        check(&[("x-api-key", "a"), ("x-api-key", "a")], true);
        check(&[("x-api-key", "a, b")], true);
        check(&[("authorization", "Bearer a"), ("authorization", "Bearer b")], true);
        for value in [
            "Bearer a, Bearer b",
            "Bearer a,b",
            "Bearer a bearer b",
            "Bearer a Basic b",
            "Basic a, Bearer b",
            ", Bearer b",
        ] {
            check(&[("authorization", value)], true);
        }
    }

    #[test]
    fn tokens_are_found_in_either_header() {
        let headers = headers(&[("x-api-key", "a"), ("authorization", "Bearer b")]);
        assert_eq!(ClientCredential::tokens(&headers).collect::<Vec<_>>(), ["a", "b"]);
    }
}
