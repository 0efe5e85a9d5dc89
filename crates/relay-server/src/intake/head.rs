//! Bounds and rules for the headers of a request.

use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderValue};
use relay_messages::headers::ANTHROPIC_BETA;

use crate::error::Error;

/// The most betas that one request may name. Claude Code names about twenty.
const BETAS: usize = 256;
/// The most bytes of all `anthropic-beta` lines together.
const BETA_BYTES: usize = 16 * 1024;

/// Checks the lists among the headers against their limits.
///
/// # Errors
/// [`Error::TooManyBetas`] or [`Error::BetasTooLong`] if `anthropic-beta` exceeds a limit.
pub(crate) fn check_lists(headers: &HeaderMap) -> Result<(), Error> {
    let all = headers.get_all(ANTHROPIC_BETA);
    let lines = || all.iter().map(HeaderValue::as_bytes);
    if lines().map(<[u8]>::len).sum::<usize>() > BETA_BYTES {
        return Err(Error::BetasTooLong { limit: BETA_BYTES });
    }
    let names = lines().flat_map(|line| line.split(|&byte| byte == b','));
    if names.filter(|name| !name.trim_ascii().is_empty()).count() > BETAS {
        return Err(Error::TooManyBetas { limit: BETAS });
    }
    Ok(())
}

/// The media type that curl sends by default.
const FORM: &[u8] = b"application/x-www-form-urlencoded";

/// Checks the `content-type` of a body that has to be JSON, and sets the header to JSON if it names another type.
///
/// JSON and no `content-type` are accepted. The default of curl, `application/x-www-form-urlencoded`, is accepted as well: a
/// form of a web page would carry an `Origin`, and is refused for that.
///
/// # Errors
/// [`Error::ContentType`] for every other type. A web page could send `text/plain` and `multipart/form-data` without a
/// preflight.
pub(super) fn check_content_type(headers: &mut HeaderMap) -> Result<(), Error> {
    let mut is_json = true;
    for value in headers.get_all(CONTENT_TYPE) {
        match essence(value) {
            essence if is_json_type(essence) => {}
            essence if essence.is_empty() || essence.eq_ignore_ascii_case(FORM) => is_json = false,
            _ => {
                return Err(Error::ContentType {
                    found: String::from_utf8_lossy(value.as_bytes()).into_owned(),
                });
            }
        }
    }
    if !is_json {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    Ok(())
}

/// The type and subtype of a media type, without its parameters.
fn essence(value: &HeaderValue) -> &[u8] {
    value.as_bytes().split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii()
}

fn is_json_type(essence: &[u8]) -> bool {
    let is = |media_type: &[u8]| essence.eq_ignore_ascii_case(media_type);
    is(b"application/json") || is(b"text/json") || is_application_with_json_suffix(essence)
}

fn is_application_with_json_suffix(essence: &[u8]) -> bool {
    let start = essence.split_at_checked(b"application/".len());
    let rest = start.filter(|(start, _)| start.eq_ignore_ascii_case(b"application/")).map(|(_, rest)| rest);
    let subtype = rest.filter(|rest| !rest.contains(&b','));
    let suffix = subtype.and_then(|subtype| subtype.last_chunk::<5>());
    suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case(b"+json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_betas(lines: &[&str], expected: Result<(), &str>) {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(ANTHROPIC_BETA, HeaderValue::from_str(line).unwrap());
        }
        let found = check_lists(&headers).map_err(|error| error.to_string());
        assert_eq!(found, expected.map_err(str::to_owned));
    }

    #[test]
    fn betas_are_limited_in_number_and_in_bytes_over_all_lines() {
        let names = |count: usize| (0..count).map(|index| format!("b{index}")).collect::<Vec<_>>().join(",");
        let many = Err("anthropic-beta: more than 256 betas");
        let long = Err("anthropic-beta: more than 16384 bytes");
        check_betas(&[], Ok(()));
        check_betas(&[&names(256)], Ok(()));
        check_betas(&[&names(257)], many);
        check_betas(&[&names(200), &names(56)], Ok(()));
        check_betas(&[&names(200), &names(57)], many);
        check_betas(&[&",".repeat(1000)], Ok(()));
        check_betas(&[&"x".repeat(16 * 1024)], Ok(()));
        check_betas(&[&"x".repeat(16 * 1024), "y"], long);
        check_betas(&[&"a,".repeat(50_000)], long);
    }

    #[track_caller]
    fn check_type(lines: &[&'static str], expected: Result<&str, ()>) {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(CONTENT_TYPE, HeaderValue::from_static(line));
        }
        let found = check_content_type(&mut headers);
        let after = headers.get(CONTENT_TYPE).map_or("", |value| value.to_str().unwrap());
        assert_eq!(found.map(|()| after).map_err(drop), expected, "{lines:?}");
    }

    #[test]
    fn a_body_is_json_or_of_the_type_that_curl_sends() {
        check_type(&[], Ok(""));
        for json in [
            "application/json",
            "application/json; charset=utf-8",
            "Application/JSON;charset=UTF-8",
            "application/json;",
            "application/vnd.anthropic+json",
            "text/json",
        ] {
            check_type(&[json], Ok(json));
        }
        for other in ["", " ", "application/x-www-form-urlencoded", "Application/X-WWW-Form-Urlencoded; a=b"]
        {
            check_type(&[other], Ok("application/json"));
        }
        for refused in [
            "text/plain",
            "text/plain;charset=UTF-8",
            "TEXT/PLAIN; application/json",
            "multipart/form-data; boundary=x",
            "text/plain, application/json",
            "application/json, text/plain",
            "application/jsonp",
            "text/html+json",
            "json",
            "application/octet-stream",
        ] {
            check_type(&[refused], Err(()));
        }
        check_type(&["application/json", "text/plain"], Err(()));
        check_type(&["text/plain", "application/json"], Err(()));
    }
}
