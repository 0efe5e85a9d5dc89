//! How many tokens a request has, where no upstream counts them.

use crate::body::MessagesBody;

/// Bytes of JSON to a token of Claude's: prose has about four characters to a token, code and JSON about three.
const BYTES_PER_TOKEN: f64 = 3.4;

/// An estimate of the input tokens of `body`, from the length of its `system`, `messages` and `tools` alone.
///
/// Good for deciding how full a context is, not for billing: images count as their base64 text, which is too many.
#[must_use]
pub fn estimate_tokens(body: &MessagesBody) -> u64 {
    let bytes: usize =
        [body.system(), body.messages(), body.tools()].iter().flatten().map(bytes::Bytes::len).sum();
    (bytes as f64 / BYTES_PER_TOKEN).ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_input_does_not_count() {
        let text = "x".repeat(3398);
        let body = format!(r#"{{"model":"m","messages":"{text}","metadata":{{"user_id":"{text}"}}}}"#);
        assert_eq!(estimate_tokens(&MessagesBody::parse(body.into()).unwrap()), 1000);
        let empty = r#"{"model":"m"}"#;
        assert_eq!(estimate_tokens(&MessagesBody::parse(empty.into()).unwrap()), 0);
    }
}
