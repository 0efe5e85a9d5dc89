//! Forms and queries of token endpoints.

use std::collections::BTreeMap;

use crate::request::Request;

/// Parses the fields of a form or of a query.
/// # Panics
/// If a field is repeated, or if its encoding is invalid.
#[must_use]
pub fn fields(text: &str) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').expect("a name and a value");
        assert!(fields.insert(decode(name), decode(value)).is_none(), "{name} is repeated");
    }
    fields
}

/// Parses the fields of a request's query.
#[must_use]
pub fn query(request: &Request) -> BTreeMap<String, String> {
    fields(request.target.split_once('?').map_or("", |(_, query)| query))
}

/// Parses the form in the body of a POST.
/// # Errors
/// If the request is not a POST, or its media type is not that of a form.
pub fn form(request: &Request) -> Result<BTreeMap<String, String>, String> {
    let media_type = request.headers.get("content-type");
    if request.method != "POST" || media_type != Some("application/x-www-form-urlencoded") {
        return Err(format!("{} with {media_type:?} is not a form", request.method));
    }
    Ok(fields(str::from_utf8(&request.body).map_err(|error| error.to_string())?))
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().expect("a digit"), rest.next().expect("a digit")];
                let digits = str::from_utf8(&digits).expect("ASCII");
                u8::from_str_radix(digits, 16).expect("two digits")
            }
            other => other,
        });
    }
    String::from_utf8(bytes).expect("UTF-8")
}

/// Requires exactly the `expected` fields.
pub(super) fn require_fields(
    found: &BTreeMap<String, String>,
    expected: &[(&str, &str)],
) -> Result<(), String> {
    let expected: BTreeMap<_, _> =
        expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    if *found == expected { Ok(()) } else { Err(format!("{found:?} instead of {expected:?}")) }
}
