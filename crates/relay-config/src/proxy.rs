//! The proxy that the environment names for `https` upstreams.

use std::borrow::Cow;
use std::fmt::Write as _;

use http::uri::Authority;

use crate::environment::Environment;
use crate::error::Fault;
use crate::secret::Secret;
use crate::secret_text::{self, Cleaned};

/// The variables of the proxy. The first one that is set applies, as in curl.
const VARIABLES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
/// The characters of a credential that a URL contains as they are (RFC 3986 section 2.3).
const UNRESERVED: &[u8] = b"-._~";

/// The proxy for `https` upstreams. Its credential is never printed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proxy {
    /// The variable that names the proxy.
    pub variable: &'static str,
    /// The scheme in lower case; `http` if the variable has none.
    pub scheme: String,
    /// The URL with an encoded credential, which every URL parser reads.
    pub url: Secret,
    /// A description of the slips that were removed, without any part of the credential.
    pub(crate) removed: Option<String>,
    /// The reason for which the password is probably another text.
    pub(crate) doubt: Option<&'static str>,
}

impl Proxy {
    /// Reads the proxy from `HTTPS_PROXY` or `ALL_PROXY`, in upper or lower case. Characters around the URL, its user and
    /// its password that are slips of copying are removed.
    ///
    /// # Errors
    /// The variable and the fault, if it contains no URL or a credential that cannot be sent.
    pub fn from_environment(
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, (&'static str, Fault)> {
        let Some((name, text)) = Environment::new(variable).first_raw(&VARIABLES) else { return Ok(None) };
        parse(name, &text).map(Some).map_err(|fault| (name, fault))
    }
}

/// Returns the hosts of `NO_PROXY` or `no_proxy`, without the slips around them.
#[must_use]
pub fn proxy_exceptions(variable: &dyn Fn(&str) -> Option<String>) -> String {
    let found = Environment::new(variable).first(&["NO_PROXY", "no_proxy"]);
    found.map(|(_, text)| secret_text::unquoted(&text).to_owned()).unwrap_or_default()
}

fn parse(variable: &'static str, text: &str) -> Result<Proxy, Fault> {
    let mut slips = Vec::new();
    let text = cleaned(text, &mut slips);
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if path.contains('@') {
        return Err(fault("a credential with an unencoded /, ? or #", "write %2F, %3F or %23"));
    }
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    let host = host.trim_matches(char::is_whitespace);
    let is_host = host.parse::<Authority>().is_ok_and(|parsed| {
        let port = host.strip_prefix(parsed.host()).unwrap_or_default();
        !parsed.host().is_empty() && (port.is_empty() || parsed.port_u16().is_some_and(|port| port > 0))
    });
    if !is_host || !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) || scheme.is_empty() {
        let hint = "in a password, write %40 for @, %3A for : and %25 for %";
        return Err(fault("a text that is no URL", hint));
    }
    let (credential, doubt) = credential(user, &mut slips)?;
    let scheme = scheme.to_ascii_lowercase();
    let url = Secret::new(format!("{scheme}://{credential}{host}"));
    let removed = (!slips.is_empty()).then(|| slips.join(" and "));
    Ok(Proxy { variable, scheme, url, removed, doubt })
}

/// Returns the encoded user and password with the `@` after them, and the reason to doubt the password.
fn credential(text: Option<&str>, slips: &mut Vec<String>) -> Result<(String, Option<&'static str>), Fault> {
    let Some(text) = text else { return Ok((String::new(), None)) };
    let (user, password) = match text.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (text, None),
    };
    let mut encoded = String::new();
    part("user", user, slips, &mut encoded)?;
    if let Some(password) = password {
        encoded.push(':');
        part("password", password, slips, &mut encoded)?;
    }
    encoded.push('@');
    let doubt = password.and_then(|password| secret_text::doubt(secret_text::clean_url(password).text));
    Ok((encoded, doubt))
}

/// Adds a part of the credential to `encoded`.
fn part(name: &str, text: &str, slips: &mut Vec<String>, encoded: &mut String) -> Result<(), Fault> {
    let text = cleaned(text, slips);
    let bytes = decoded(text);
    let hint = "copy it again, and percent-encode it as UTF-8";
    let Ok(decoded) = std::str::from_utf8(&bytes) else {
        return Err(fault(format!("a {name} that is not UTF-8"), hint));
    };
    // An encoded blank or quote was written on purpose. An encoded line break came with the copied text.
    let kept = decoded.trim_matches(|c| c != ' ' && secret_text::is_slip(c));
    if kept.len() < decoded.len() {
        add(slips, "line breaks or invisible characters");
    }
    // RFC 7617 section 2: no control characters, and no colon in the user.
    if kept.contains(char::is_control) {
        return Err(fault(format!("a {name} with a line break or another control character"), hint));
    }
    if name == "user" && kept.contains(':') {
        return Err(fault("a user with a colon", "HTTP's Basic authentication cannot send it"));
    }
    for byte in kept.bytes() {
        match byte.is_ascii_alphanumeric() || UNRESERVED.contains(&byte) {
            true => encoded.push(char::from(byte)),
            // Writing into a string cannot fail.
            false => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    Ok(())
}

/// Replaces each `%` with two hexadecimal digits by its byte.
fn decoded(text: &str) -> Cow<'_, [u8]> {
    if !text.contains('%') {
        return Cow::Borrowed(text.as_bytes());
    }
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut rest = text.as_bytes();
    let mut bytes = Vec::with_capacity(rest.len());
    while let [first, after @ ..] = rest {
        rest = after;
        bytes.push(match (first, digit(after.first()), digit(after.get(1))) {
            (b'%', Some(high), Some(low)) => {
                rest = &after[2..];
                // Two hexadecimal digits are at most 0xff.
                u8::try_from(high * 16 + low).unwrap_or_default()
            }
            _ => *first,
        });
    }
    Cow::Owned(bytes)
}

fn cleaned<'a>(text: &'a str, slips: &mut Vec<String>) -> &'a str {
    let Cleaned { text, removed } = secret_text::clean_url(text);
    if let Some(removed) = removed {
        add(slips, &removed);
    }
    text
}

fn add(slips: &mut Vec<String>, slip: &str) {
    if !slips.iter().any(|known| known == slip) {
        slips.push(slip.to_owned());
    }
}

fn fault(found: impl Into<String>, hint: &str) -> Fault {
    let expected = "the URL of a proxy, as in http://user:password@proxy.example:8080".to_owned();
    Fault::Value { found: found.into(), expected, hint: hint.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Proxy, String> {
        parse("HTTPS_PROXY", text).map_err(|fault| fault.to_string())
    }

    #[test]
    fn slips_around_the_url_and_its_credential_are_removed() {
        #[track_caller]
        fn check(text: &str, url: &str, removed: Option<&str>) {
            let proxy = read(text).unwrap();
            assert_eq!((proxy.url.expose(), proxy.removed.as_deref()), (url, removed), "{text:?}");
            assert!(!format!("{proxy:?}").contains("pass"), "{proxy:?}");
        }
        let url = "http://user:pass@proxy:8080";
        let (blanks, invisible) = (Some("blanks or line breaks"), Some("invisible characters"));
        let breaks = Some("line breaks or invisible characters");
        check("http://user:pass@proxy:8080", url, None);
        check("HTTP://user:pass@proxy:8080/", url, None);
        check("user:pass@proxy:8080", url, None);
        for text in ["{} ", "{}\n", "{}\r\n", " {}", "\u{a0}{}", "{}\u{a0}", "{}\t"] {
            check(&text.replace("{}", url), url, blanks);
        }
        for text in ["\u{feff}{}", "{}\u{200b}"] {
            check(&text.replace("{}", url), url, invisible);
        }
        for text in ["\"{}\"", "'{}'", "“{}”"] {
            check(&text.replace("{}", url), url, Some("quotes"));
        }
        for part in ["\"pass\"", "'pass'"] {
            check(&url.replace("pass", part), url, Some("quotes"));
        }
        for part in ["pass ", "\u{a0}pass", "pass\n"] {
            check(&url.replace("pass", part), url, blanks);
        }
        check(&url.replace("user", "\u{feff}user"), url, invisible);
        for part in ["pass%0A", "pass%0d%0a", "%C2%A0pass", "%EF%BB%BFpass", "pass%E2%80%8B"] {
            check(&url.replace("pass", part), url, breaks);
        }
    }

    #[test]
    fn a_credential_arrives_as_it_was_meant() {
        #[track_caller]
        fn check(text: &str, url: &str) {
            let proxy = read(text).unwrap();
            assert_eq!((proxy.url.expose(), proxy.removed), (url, None), "{text:?}");
        }
        check("http://user:pa%20ss@proxy:8080", "http://user:pa%20ss@proxy:8080");
        check("http://user:pass%20@proxy", "http://user:pass%20@proxy");
        check("http://user:p@ss@proxy:1", "http://user:p%40ss@proxy:1");
        check("http://user:p:%2f%zz%@proxy", "http://user:p%3A%2F%25zz%25@proxy");
        check("http://us%C3%A9r:p\u{e9}@[::1]:80", "http://us%C3%A9r:p%C3%A9@[::1]:80");
        check("http://token@proxy", "http://token@proxy");
        check("http://:@proxy", "http://:@proxy");
        check("proxy.example:8080", "http://proxy.example:8080");
        check("socks5h://user:p@proxy:1080", "socks5h://user:p@proxy:1080");
        check("proxy:3128/path", "http://proxy:3128");
        check("http://[::1]", "http://[::1]");
        assert!(read("http://user:pa ss@proxy").unwrap().doubt.is_some());
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_refused_without_its_credential() {
        for (text, found) in [
            ("http://user:se/cret@proxy", "a credential with an unencoded /, ? or #"),
            ("http://user:se#cret@proxy", "a credential with an unencoded /, ? or #"),
            ("http://user:se?cret@proxy", "a credential with an unencoded /, ? or #"),
            ("http://user:se%0Acret@proxy", "a password with a line break"),
            ("http://user:se\ncret@proxy", "a password with a line break"),
            ("http://se%E9cret:x@proxy", "a user that is not UTF-8"),
            ("http://se%3Acret:x@proxy", "a user with a colon"),
            ("http://user:secret@", "a text that is no URL"),
            ("http://user:secret@proxy:port", "a text that is no URL"),
            ("http://user:secret@proxy:99999", "a text that is no URL"),
            ("http://user:secret@proxy:0", "a text that is no URL"),
            ("http:/secret", "a text that is no URL"),
            ("not a secret", "a text that is no URL"),
            ("/secret", "a text that is no URL"),
            ("http://user:secret@pro xy", "a text that is no URL"),
            ("://secret", "a text that is no URL"),
            ("http:secret", "a text that is no URL"),
            ("http://", "a text that is no URL"),
        ] {
            let error = read(text).unwrap_err();
            assert!(
                error.contains(&format!("found {found}")) && !error.contains("cret"),
                "{text:?}: {error}"
            );
        }
    }
}
