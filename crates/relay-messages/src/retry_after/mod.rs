//! How long an upstream wants to be left alone: in its headers, or in the words of its error.

mod phrases;

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{self, HeaderName, HeaderValue};

pub use phrases::in_words;

use crate::date::parse_rfc3339;

/// A time in milliseconds, more precise than `retry-after`. Azure OpenAI sends it.
pub const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

/// `retry-after-ms`, else `retry-after` in seconds, whole or not, or as a date, which counts from the answer's own.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
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

/// Until the first time that stands in `text`, such as `2026-01-02 03:04:05`. One without a zone is `east` of UTC.
pub fn until_time_in(text: &str, east: Duration, headers: &HeaderMap) -> Option<Duration> {
    let starts = text.char_indices().filter(|(_, c)| c.is_ascii_digit());
    let time = starts.map(|(at, _)| &text[at..]).find_map(|text| read_time(text, east));
    time.map(|time| until(time, headers))
}

fn read_time(text: &str, east: Duration) -> Option<SystemTime> {
    let (date, rest) = text.split_at_checked("2026-01-02".len())?;
    let (time, rest) = rest.strip_prefix([' ', 'T'])?.split_at_checked("03:04:05".len())?;
    let utc = parse_rfc3339(&format!("{date}T{time}Z"))?;
    let east = if rest.starts_with('Z') { Duration::ZERO } else { east };
    utc.checked_sub(east)
}

/// Says in `retry-after` what `headers` and the upstream's error say: in whole seconds, since Claude Code reads no
/// others, and never none at all. What nobody can read is taken away.
pub fn write(headers: &mut HeaderMap, told: Option<Duration>) {
    match retry_after(headers).or(told) {
        Some(after) => {
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        None => {
            headers.remove(header::RETRY_AFTER);
        }
    }
}

/// From the answer's date, or else from now on, until `time`; nothing if that is over.
pub fn until(time: SystemTime, headers: &HeaderMap) -> Duration {
    let date = text(headers, header::DATE).and_then(|date| httpdate::parse_http_date(date).ok());
    time.duration_since(date.unwrap_or_else(SystemTime::now)).unwrap_or_default()
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
            assert_eq!(retry_after(&headers(entries)), expected);
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
        let east = Duration::from_secs(8 * 3600);
        #[track_caller]
        fn check(text: &str, headers: &HeaderMap, east: Duration, expected: Option<u64>) {
            assert_eq!(until_time_in(text, east, headers), expected.map(Duration::from_secs), "{text}");
        }
        let message = "[1308][Your limit will reset at 2026-11-22 20:35:41][20261122201903b4955568412247d7]";
        check(message, &date, east, Some(35 * 60 + 41));
        check("已达到上限，将在 2026-11-22 20:00:05 重置", &date, east, Some(5));
        check("Resets at 2026-11-22T12:00:01Z", &date, east, Some(1));
        check("2026-11-22 19:59:59", &date, east, Some(0));
        for odd in [
            "at 8pm, 22 Nov 2026",
            "2026-13-22 20:00:00",
            "2026-11-22",
            "2026-11-22 25:00:00",
            "2026-11-2２ 2",
            "",
        ] {
            check(odd, &date, east, None);
        }
    }

    #[test]
    fn what_the_client_gets_is_whole_seconds() {
        #[track_caller]
        fn check(entry: Option<(&'static str, &'static str)>, told: Option<u64>, expected: Option<&str>) {
            let mut headers = headers(&entry.into_iter().chain([DATE]).collect::<Vec<_>>());
            write(&mut headers, told.map(Duration::from_millis));
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
