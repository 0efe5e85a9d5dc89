//! The form of a path in which servers compare it.
//!
//! Upstreams and proxies decode and normalize paths in different ways. A path that one of them could read as another
//! operation must not pass as that of an operation that the relay forwards unread.

use percent_encoding::percent_decode_str;

/// The most percent-decodings of one path: one by each of the servers between the client and the operation.
const DECODINGS: usize = 4;

/// Returns `path` as the most tolerant server would read it: percent-decoded until nothing changes, in lower case, without
/// path parameters (`;x`), query, fragment, empty segments and dot segments, with `/` for `\`.
///
/// Returns `None` if the path has no safe reading: a dot segment, a control character, bytes that are not UTF-8, a malformed
/// percent-encoding, or more than four levels of percent-encoding.
pub(crate) fn canonical(path: &str) -> Option<String> {
    let decoded = decoded(path)?;
    if decoded.chars().any(char::is_control) {
        return None;
    }
    let end = decoded.find(['?', '#']).unwrap_or(decoded.len());
    let mut canonical = String::with_capacity(end);
    for segment in decoded[..end].split(['/', '\\']) {
        // Some servers ignore white space at the end of a name.
        let name = segment.split(';').next().unwrap_or_default().trim();
        match name {
            "" => {}
            "." | ".." => return None,
            name => {
                canonical.push('/');
                canonical.push_str(&name.to_lowercase());
            }
        }
    }
    Some(canonical)
}

/// Percent-decodes `path` until nothing changes.
fn decoded(path: &str) -> Option<String> {
    let is_encoded = |rest: &str| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    if !path.split('%').skip(1).all(is_encoded) {
        return None;
    }
    let mut path = path.to_owned();
    for _ in 0..DECODINGS {
        let decoded = percent_decode_str(&path).decode_utf8().ok()?;
        if decoded == path {
            return Some(path);
        }
        path = decoded.into_owned();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_spellings_have_one_canonical_form() {
        #[track_caller]
        fn check(path: &str, expected: Option<&str>) {
            assert_eq!(canonical(path).as_deref(), expected, "{path}");
        }
        for spelling in [
            "/v1/messages",
            "/v1/messages/",
            "//v1//messages",
            "/v1/messages;x=1",
            "/v1;a/messages",
            "/v1%2fmessages",
            "/v1%2Fmessages",
            "/v1%5cmessages",
            "/v1\\messages",
            "/v1/%6dessages",
            "/v1/%256d%65ssages",
            "/v1/Messages",
            "/v1/messages%3Fbeta=true",
            "/v1/messages%23",
            "/v1/messages%20",
            "/v1/messages%3bx",
        ] {
            check(spelling, Some("/v1/messages"));
        }
        check("/", Some(""));
        check("/v1/models/anthropic%2Fclaude@1", Some("/v1/models/anthropic/claude@1"));
        check("/v1/files/größe", Some("/v1/files/größe"));
        for unsafe_path in [
            "/v1/../v1/messages",
            "/v1/x/%2e%2E/messages",
            "/v1/x/.%252e/messages",
            "/v1/./messages",
            "/v1/x/..;a/messages",
            "/v1/x\\..\\messages",
            "/v1/messages%00",
            "/v1/messages%0d%0a",
            "/v1/x%c0%afmessages",
            "/v1/x%ff",
            "/v1/x%",
            "/v1/x%4",
            "/v1/x%u002fmessages",
            "/v1/%2525252525%36d",
        ] {
            check(unsafe_path, None);
        }
    }
}
