//! The time after which an upstream may be called again, from its headers or from the text of its error.
//!
//! ```
//! use std::time::Duration;
//! use relay_messages::retry_after;
//!
//! let headers = [("retry-after", "7")].into_iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
//! assert_eq!(retry_after::from_headers(&headers.collect()), Some(Duration::from_secs(7)));
//! assert_eq!(retry_after::from_phrase("Please try again in 1m30s."), Some(Duration::from_secs(90)));
//! ```

mod phrases;

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{self, HeaderName, HeaderValue};

use relay_config::parse_rfc3339;

pub use phrases::from_phrase;

/// The header with a time in milliseconds, more precise than `retry-after`. Azure OpenAI sends it.
pub const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

/// Reads `retry-after-ms`, or else `retry-after`: seconds, with a fraction or without, or a date, from which the `date` of
/// the response is subtracted.
///
/// Returns `None` if neither header is there, or if the one that counts cannot be read.
pub fn from_headers(headers: &HeaderMap) -> Option<Duration> {
    let number = |text: &str| text.parse::<f64>().ok();
    if let Some(milliseconds) = text(headers, RETRY_AFTER_MS).and_then(number) {
        return Duration::try_from_secs_f64(milliseconds / 1000.0).ok();
    }
    let value = text(headers, header::RETRY_AFTER)?;
    if let Some(seconds) = number(value) {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    Some(until(httpdate::parse_http_date(value).ok()?, headers))
}

/// Returns the time until the first date and time in `text`, such as `2026-01-02 03:04:05`. If it has no `Z`, its clock is
/// `utc_offset` ahead of UTC.
pub fn from_time_in(text: &str, utc_offset: Duration, headers: &HeaderMap) -> Option<Duration> {
    let starts = text.char_indices().filter(|(_, c)| c.is_ascii_digit());
    let time = starts.map(|(at, _)| &text[at..]).find_map(|text| read_time(text, utc_offset));
    time.map(|time| until(time, headers))
}

fn read_time(text: &str, utc_offset: Duration) -> Option<SystemTime> {
    let (date, rest) = text.split_at_checked("2026-01-02".len())?;
    let (time, rest) = rest.strip_prefix([' ', 'T'])?.split_at_checked("03:04:05".len())?;
    let utc = parse_rfc3339(&format!("{date}T{time}Z"))?;
    let utc_offset = if rest.starts_with('Z') { Duration::ZERO } else { utc_offset };
    utc.checked_sub(utc_offset)
}

/// Writes the time from `headers`, or else `fallback`, into `retry-after`. Always whole seconds, at least 1: Claude Code
/// parses nothing else. If there is neither, `retry-after` is removed.
pub fn write(headers: &mut HeaderMap, fallback: Option<Duration>) {
    match from_headers(headers).or(fallback) {
        Some(after) => {
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        None => {
            headers.remove(header::RETRY_AFTER);
        }
    }
}

/// Returns the time from the `date` in `headers` until `time`; zero if `time` is past. Without a readable `date` it counts
/// from the clock of this machine.
pub fn until(time: SystemTime, headers: &HeaderMap) -> Duration {
    time.duration_since(date(headers)).unwrap_or_default()
}

/// Returns the `date` in `headers`, or the time of this machine without a readable one.
pub(crate) fn date(headers: &HeaderMap) -> SystemTime {
    let date = text(headers, header::DATE).and_then(|date| httpdate::parse_http_date(date).ok());
    date.unwrap_or_else(SystemTime::now)
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: (&str, &str) = ("date", "Sun, 22 Nov 2026 12:00:00 GMT");

    fn headers(entries: &[(&'static str, &'static str)]) -> HeaderMap {
        entries
            .iter()
            .map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn retry_after_is_read_in_every_form() {
        #[track_caller]
        fn check(entries: &[(&'static str, &'static str)], expected: Option<Duration>) {
            assert_eq!(from_headers(&headers(entries)), expected);
        }
        check(&[], None);
        check(&[("retry-after", "12")], Some(Duration::from_secs(12)));
        check(&[("retry-after", " 0.5 ")], Some(Duration::from_millis(500)));
        check(&[("retry-after", "9"), ("retry-after-ms", "250")], Some(Duration::from_millis(250)));
        check(&[("retry-after", "-1")], None);
        check(&[("retry-after", "1e300")], None);
        check(&[("retry-after", "soon")], None);
        check(&[("retry-after", "Sun, 22 Nov 2026 12:01:30 GMT"), DATE], Some(Duration::from_secs(90)));
        check(&[("retry-after", "Sun, 22 Nov 2026 11:00:00 GMT"), DATE], Some(Duration::ZERO));
        check(&[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")], Some(Duration::ZERO));
    }

    #[test]
    fn a_time_is_found_in_a_text() {
        let date = headers(&[DATE]);
        let utc_offset = Duration::from_secs(8 * 3600);
        #[track_caller]
        fn check(text: &str, headers: &HeaderMap, utc_offset: Duration, expected: Option<u64>) {
            assert_eq!(from_time_in(text, utc_offset, headers), expected.map(Duration::from_secs), "{text}");
        }
        let message = "[1308][Your limit will reset at 2026-11-22 20:35:41][20261122201903b4955568412247d7]";
        check(message, &date, utc_offset, Some(35 * 60 + 41));
        check("已达到上限，将在 2026-11-22 20:00:05 重置", &date, utc_offset, Some(5));
        check("Resets at 2026-11-22T12:00:01Z", &date, utc_offset, Some(1));
        check("2026-11-22 19:59:59", &date, utc_offset, Some(0));
        for odd in [
            "at 8pm, 22 Nov 2026",
            "2026-13-22 20:00:00",
            "2026-11-22",
            "2026-11-22 25:00:00",
            "2026-11-2２ 2",
            "",
        ] {
            check(odd, &date, utc_offset, None);
        }
    }

    #[test]
    fn the_client_gets_whole_seconds() {
        #[track_caller]
        fn check(entry: Option<(&'static str, &'static str)>, fallback: Option<u64>, expected: Option<&str>) {
            let mut headers = headers(&entry.into_iter().chain([DATE]).collect::<Vec<_>>());
            write(&mut headers, fallback.map(Duration::from_millis));
            assert_eq!(
                headers.get("retry-after").map(|value| value.to_str().unwrap()),
                expected,
                "{entry:?}"
            );
        }
        check(None, None, None);
        check(None, Some(19_001), Some("20"));
        check(Some(("retry-after", "3600")), None, Some("3600"));
        check(Some(("retry-after", "7")), Some(9_000), Some("7"));
        check(Some(("retry-after", "0")), None, Some("1"));
        check(Some(("retry-after", "0.2")), None, Some("1"));
        check(Some(("retry-after", "Sun, 22 Nov 2026 12:01:30 GMT")), None, Some("90"));
        check(Some(("retry-after-ms", "1500")), None, Some("2"));
        check(Some(("retry-after", "soon")), None, None);
        check(Some(("retry-after", "soon")), Some(4_000), Some("4"));
    }
}
