//! Selects the headers that pass the relay in either direction.

use std::collections::HashSet;
use std::hash::Hash;

use http::HeaderMap;
use http::header::{self, HeaderName, HeaderValue};

use crate::trace_context;

/// The beta that is sent with a subscription token only.
pub const OAUTH_BETA: &str = "oauth-2025-04-20";
/// The header that lists the betas of a request.
pub const ANTHROPIC_BETA: HeaderName = HeaderName::from_static("anthropic-beta");

/// Client headers that are sent upstream, besides those with the three prefixes below.
const REQUEST: [&str; 4] = ["x-app", "user-agent", "accept", "content-type"];
const REQUEST_PREFIXES: [&str; 3] = ["anthropic-", "x-claude-code-", "x-stainless-"];

/// The headers that a provider and the connection add: the credential, the version of the API, the host, and the type and length
/// of the body. Without room for them, the map grows.
const ADDED: usize = 5;

/// Returns `true` for a header of one connection (RFC 9110 section 7.6.1), which is not forwarded.
fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Returns `true` for a response header that only makes sense from the client's origin, which the upstream is not. A cookie of
/// one client's session could reach another client. The others would apply to the relay's own host: its other protocols, its
/// stored data and login state, the receivers of its error reports, its service workers, the address that a browser loads next,
/// its experiments and the hints that a browser sends with each request.
fn is_origin_bound(name: &str) -> bool {
    matches!(
        name,
        "accept-ch"
            | "activate-storage-access"
            | "alt-svc"
            | "clear-site-data"
            | "critical-ch"
            | "cross-origin-embedder-policy"
            | "cross-origin-opener-policy"
            | "expect-ct"
            | "nel"
            | "origin-agent-cluster"
            | "origin-trial"
            | "public-key-pins"
            | "public-key-pins-report-only"
            | "refresh"
            | "report-to"
            | "reporting-endpoints"
            | "service-worker-allowed"
            | "set-cookie"
            | "set-cookie2"
            | "set-login"
            | "sourcemap"
            | "speculation-rules"
            | "strict-transport-security"
            | "supports-loading-mode"
            | "timing-allow-origin"
            | "use-as-dictionary"
    )
}

/// The prefix of the headers by which a server permits web pages of other origins to read its responses. Only the relay
/// decides this.
const CORS_PREFIX: &str = "access-control-";

/// Returns the client headers that are sent upstream. Only listed headers pass, so that no credential, cookie
/// or forwarding header can slip through. A valid `traceparent` and its `tracestate` are among them: they contain random ids, and
/// an upstream without traces ignores them.
#[must_use]
pub fn for_upstream(client: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(client.len() + ADDED);
    for (name, value) in client {
        let text = name.as_str();
        if REQUEST.contains(&text) || REQUEST_PREFIXES.iter().any(|prefix| text.starts_with(prefix)) {
            headers.append(name, value.clone());
        }
    }
    trace_context::forward(client, &mut headers);
    headers
}

/// Removes the headers that a client must not get from an upstream: those about the connection and the
/// upstream's host. A `content-length` beside a `transfer-encoding` does not describe the body and is removed too.
///
/// # Source
/// RFC 9112 section 6.3: `transfer-encoding` overrides `content-length`.
pub fn retain_for_client(headers: &mut HeaderMap) {
    let is_removed = |name: &&HeaderName| {
        let name = name.as_str();
        is_hop_by_hop(name) || is_origin_bound(name) || name.starts_with(CORS_PREFIX)
    };
    // Most responses have none of them. Those that `connection` names come with that header.
    if !headers.keys().any(|name| is_removed(&name)) {
        return;
    }
    if headers.contains_key(header::TRANSFER_ENCODING) {
        headers.remove(header::CONTENT_LENGTH);
    }
    let named = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let named = named.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse().ok());
    let removed: Vec<HeaderName> = named.chain(headers.keys().filter(is_removed).cloned()).collect();
    for name in removed {
        headers.remove(name);
    }
}

/// Removes the OAuth beta from `anthropic-beta`: with a key of the relay, the upstream would expect a token
/// that the request does not have. The other betas are not changed.
pub fn remove_oauth_beta(headers: &mut HeaderMap) {
    let is_oauth = |beta: &str| beta.trim() == OAUTH_BETA;
    let mentions = |value: &HeaderValue| value.to_str().is_ok_and(|text| text.split(',').any(is_oauth));
    if !headers.get_all(ANTHROPIC_BETA).iter().any(mentions) {
        return;
    }
    let values: Vec<HeaderValue> = headers.get_all(ANTHROPIC_BETA).iter().cloned().collect();
    headers.remove(ANTHROPIC_BETA);
    for value in values {
        let Ok(text) = value.to_str() else {
            headers.append(ANTHROPIC_BETA, value);
            continue;
        };
        let kept: Vec<&str> = text.split(',').filter(|beta| !is_oauth(beta)).collect();
        if let Ok(value) = HeaderValue::from_str(kept.join(",").trim_start())
            && !value.is_empty()
        {
            headers.append(ANTHROPIC_BETA, value);
        }
    }
}

/// Iterates over the betas in `headers`, as the client wrote them.
pub fn betas(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(ANTHROPIC_BETA).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|text| text.split(',')).map(str::trim).filter(|beta| !beta.is_empty())
}

/// Returns the first occurrence of each item, in the order of `items`. The work grows linearly with the number of items.
pub fn each_once<T: Copy + Eq + Hash>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let (mut each, mut seen): (Vec<T>, _) = (Vec::new(), HashSet::new());
    for item in items {
        let is_first = match each.len() {
            ..SHORT => !each.contains(&item),
            _ => {
                if seen.is_empty() {
                    seen.extend(each.iter().copied());
                }
                seen.insert(item)
            }
        };
        if is_first {
            each.push(item);
        }
    }
    each
}

/// The length up to which a list is searched item by item, which is faster than a hash of each item. Clients send about ten
/// betas.
const SHORT: usize = 16;

/// Replaces each beta with the result of `map`, without duplicates and in the client's order. If nothing
/// changes, the header stays as the client wrote it.
pub(crate) fn map_betas(headers: &mut HeaderMap, map: impl Fn(&str) -> Option<&str>) {
    let values: Vec<HeaderValue> = headers.get_all(ANTHROPIC_BETA).iter().cloned().collect();
    let before = || {
        let texts = values.iter().filter_map(|value| value.to_str().ok());
        texts.flat_map(|text| text.split(',')).map(str::trim).filter(|beta| !beta.is_empty())
    };
    let after = each_once(before().filter_map(map));
    if before().eq(after.iter().copied()) {
        return;
    }
    headers.remove(ANTHROPIC_BETA);
    if let Ok(value) = HeaderValue::from_str(&after.join(","))
        && !after.is_empty()
    {
        headers.insert(ANTHROPIC_BETA, value);
    }
}

/// Replaces the client's betas with `betas`, a list separated by commas.
pub fn set_betas(headers: &mut HeaderMap, betas: &str) {
    headers.remove(ANTHROPIC_BETA);
    // Each beta was in a header before, or is the operator's new name for one that was.
    if let Ok(value) = HeaderValue::from_str(betas)
        && !value.is_empty()
    {
        headers.insert(ANTHROPIC_BETA, value);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::hash::Hasher;

    use super::*;

    fn map(entries: &[(&'static str, &'static str)]) -> HeaderMap {
        entries
            .iter()
            .map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    /// A name that counts how often it is compared with another one.
    #[derive(Clone, Copy, Debug)]
    struct Counted<'a>(usize, &'a Cell<usize>);

    impl PartialEq for Counted<'_> {
        fn eq(&self, other: &Self) -> bool {
            self.1.set(self.1.get() + 1);
            self.0 == other.0
        }
    }

    impl Eq for Counted<'_> {}

    impl Hash for Counted<'_> {
        fn hash<H: Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }

    #[test]
    fn twice_as_many_names_need_at_most_twice_the_comparisons() {
        let comparisons = |names: usize| {
            let count = Cell::new(0);
            // Every name occurs twice.
            let each = each_once((0..names).chain(0..names).map(|name| Counted(name, &count)));
            assert!(each.iter().map(|name| name.0).eq(0..names));
            count.get()
        };
        let (once, twice) = (comparisons(10_000), comparisons(20_000));
        assert!(twice < once * 5 / 2, "{once} comparisons, then {twice}");
    }

    #[test]
    fn only_listed_headers_are_sent_upstream() {
        let client = map(&[
            ("anthropic-version", "2023-06-01"),
            ("anthropic-beta", "a"),
            ("x-claude-code-session-id", "s"),
            ("x-stainless-lang", "js"),
            ("x-app", "cli"),
            ("user-agent", "claude-cli"),
            ("accept", "application/json"),
            ("content-type", "application/json"),
            ("cookie", "c=1"),
            ("host", "relay"),
            ("authorization", "Bearer x"),
            ("x-api-key", "k"),
            ("x-forwarded-for", "10.0.0.1"),
            ("accept-encoding", "gzip"),
            ("content-length", "3"),
            ("connection", "keep-alive"),
        ]);
        let mut names: Vec<_> = for_upstream(&client).keys().map(ToString::to_string).collect();
        names.sort();
        assert_eq!(
            names,
            [
                "accept",
                "anthropic-beta",
                "anthropic-version",
                "content-type",
                "user-agent",
                "x-app",
                "x-claude-code-session-id",
                "x-stainless-lang"
            ]
        );
    }

    #[test]
    fn a_client_gets_all_headers_except_those_of_the_connection_and_of_the_origin() {
        let mut headers = map(&[
            ("access-control-allow-origin", "*"),
            ("access-control-expose-headers", "x-secret"),
            ("accept-ch", "sec-ch-ua-model"),
            ("clear-site-data", "\"*\""),
            ("content-length", "3"),
            ("nel", "{}"),
            ("refresh", "0; url=https://elsewhere.example"),
            ("report-to", "{}"),
            ("reporting-endpoints", "a=\"https://elsewhere.example\""),
            ("service-worker-allowed", "/"),
            ("set-cookie2", "a=1"),
            ("set-login", "logged-in"),
            ("speculation-rules", "\"/rules\""),
            ("use-as-dictionary", "match=\"/*\""),
            ("request-id", "req_1"),
            ("anthropic-ratelimit-requests-remaining", "9"),
            ("retry-after", "2"),
            ("connection", "close, x-hop"),
            ("x-hop", "1"),
            ("transfer-encoding", "chunked"),
            ("set-cookie", "__cf_bm=1"),
            ("content-type", "application/json"),
        ]);
        retain_for_client(&mut headers);
        let mut names: Vec<_> = headers.keys().map(ToString::to_string).collect();
        names.sort();
        assert_eq!(
            names,
            ["anthropic-ratelimit-requests-remaining", "content-type", "request-id", "retry-after"]
        );
    }

    #[test]
    fn the_oauth_beta_is_removed_and_the_others_are_kept() {
        #[track_caller]
        fn check(before: &[&'static str], after: &[&str]) {
            let mut headers = HeaderMap::new();
            for value in before {
                headers.append(ANTHROPIC_BETA, HeaderValue::from_static(value));
            }
            remove_oauth_beta(&mut headers);
            assert_eq!(headers.get_all(ANTHROPIC_BETA).iter().collect::<Vec<_>>(), after);
        }
        check(&["a,b, c"], &["a,b, c"]);
        check(&["a,oauth-2025-04-20,b"], &["a,b"]);
        check(&["oauth-2025-04-20, a"], &["a"]);
        check(&["oauth-2025-04-20"], &[]);
        check(&["a", " oauth-2025-04-20", "b"], &["a", "b"]);
        check(&["oauth-2025-04-20-x"], &["oauth-2025-04-20-x"]);
    }

    #[test]
    fn mapped_betas_have_no_duplicates() {
        #[track_caller]
        fn check(before: &[&'static str], after: &[&str]) {
            let mut headers = HeaderMap::new();
            for value in before {
                headers.append(ANTHROPIC_BETA, HeaderValue::from_static(value));
            }
            map_betas(&mut headers, |beta| match beta {
                "bad" => None,
                "old" => Some("new"),
                other => Some(other),
            });
            assert_eq!(headers.get_all(ANTHROPIC_BETA).iter().collect::<Vec<_>>(), after);
        }
        check(&["a,b, c", "d"], &["a,b, c", "d"]);
        check(&["a,bad, c", "d"], &["a,c,d"]);
        check(&["old,a,new"], &["new,a"]);
        check(&["bad"], &[]);
        check(&[], &[]);
    }
}
