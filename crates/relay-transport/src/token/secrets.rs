//! The secrets of a request for a token, which no error may repeat.

use bytes::Bytes;
use http::Request;
use http::header::{ACCEPT, CONTENT_TYPE};
use percent_encoding::percent_decode_str;

/// The fields of a form whose values are secrets.
const SECRET_FIELDS: [&str; 5] =
    ["assertion", "client_assertion", "client_secret", "refresh_token", "subject_token"];
/// The length from which the value of a header is taken for a secret. Shorter ones are words such as `true` and `Google`.
const SECRET_LENGTH: usize = 8;

/// The secrets of one request, the longest first.
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    /// Collects the secrets of `request`: certain fields of a form, as they are and as they are encoded, and the values of
    /// headers.
    pub(super) fn of(request: &Request<Bytes>) -> Self {
        let form = str::from_utf8(request.body()).unwrap_or_default();
        let mut secrets: Vec<String> = form.split('&').flat_map(secrets_of_field).collect();
        let headers = request.headers().iter().filter(|(name, _)| ![ACCEPT, CONTENT_TYPE].contains(name));
        let values = headers.filter_map(|(_, value)| value.to_str().ok());
        let values = values.map(|value| value.strip_prefix("Bearer ").unwrap_or(value));
        secrets.extend(values.filter(|value| value.len() >= SECRET_LENGTH).map(str::to_owned));
        secrets.retain(|secret| !secret.is_empty());
        secrets.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self(secrets)
    }

    /// Returns `text` with `***` in the place of each secret.
    pub(super) fn mask(&self, text: String) -> String {
        self.0.iter().fold(text, |text, secret| text.replace(secret, "***"))
    }
}

/// Returns the value of a secret field, decoded and encoded.
fn secrets_of_field(field: &str) -> Vec<String> {
    let (name, value) = field.split_once('=').unwrap_or_default();
    if !SECRET_FIELDS.contains(&name) {
        return Vec::new();
    }
    let decoded = value.replace('+', "%20");
    vec![percent_decode_str(&decoded).decode_utf8_lossy().into_owned(), value.to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_in_either_encoding() {
        let form = "client_id=c&refresh_token=1%2F%2Fa+b&client_secret=&scope=1%2F%2Fa";
        let request = Request::post("http://x")
            .header("authorization", "Bearer ya29.token")
            .header("x-identity", "of-the-machine")
            .header("metadata", "true");
        let secrets = Secrets::of(&request.body(Bytes::from(form)).unwrap());
        let text = "true: 1//a b, 1%2F%2Fa+b, 1%2F%2Fa, ya29.token, of-the-machine, c".to_owned();
        assert_eq!(secrets.mask(text), "true: ***, ***, 1%2F%2Fa, ***, ***, c");
    }
}
