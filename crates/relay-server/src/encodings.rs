//! The encodings of request bodies that the relay decodes.

use relay_transport::ContentCoding;

/// Returns the value of `accept-encoding`: the names of the encodings, or `identity` if there is none.
pub(crate) fn accepted() -> String {
    let names: Vec<_> = ContentCoding::ALL.iter().map(|coding| coding.as_str()).collect();
    if names.is_empty() { "identity".to_owned() } else { names.join(", ") }
}

/// Returns the advice to a client that has sent another encoding.
pub(crate) fn advice() -> String {
    match ContentCoding::ALL {
        [] => "send the body without one; this relay decodes none".to_owned(),
        _ => format!("send {} or none", accepted()),
    }
}
