//! Times in queries and reports, in UTC.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use relay_config::{parse_rfc3339, write_rfc3339};

use super::row::unix_ms;

const HOUR: u64 = 3600;

/// A text that is no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "found `{0}`, expected a date (2026-11-26), a time (2026-11-26T14:00:00Z), or the time until now (30m, 24h, 7d, 4w)"
)]
pub struct TimeError(String);

/// Reads a time of a query, and returns it in milliseconds since 1970.
///
/// It is a date, whose first moment in UTC counts, a time of RFC 3339, or a number of minutes, hours, days or weeks before `now`,
/// with or without `-`: `30m`, `24h`, `-7d`, `4w`. A time before 1970 counts as its start.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use relay_admin::ledger::parse_time;
///
/// let now = UNIX_EPOCH + Duration::from_secs(1_795_651_200);
/// assert_eq!(parse_time("2026-11-26", now), Ok(1_795_651_200_000));
/// assert_eq!(parse_time("-24h", now), parse_time("2026-11-25", now));
/// assert!(parse_time("yesterday", now).is_err());
/// ```
///
/// # Errors
/// [`TimeError`] for every other text.
pub fn parse_time(text: &str, now: SystemTime) -> Result<i64, TimeError> {
    let text = text.trim();
    let time = match text.len() {
        10 => parse_rfc3339(&format!("{text}T00:00:00Z")),
        _ => parse_rfc3339(text),
    };
    time.or_else(|| before(text, now)).map(unix_ms).ok_or_else(|| TimeError(shortened(text)))
}

/// Reads a time before `now`.
fn before(text: &str, now: SystemTime) -> Option<SystemTime> {
    let text = text.strip_prefix('-').unwrap_or(text);
    let number = text.get(..text.len().checked_sub(1)?)?;
    let seconds = match text.as_bytes().last()? {
        b'm' => 60,
        b'h' => HOUR,
        b'd' => 24 * HOUR,
        b'w' => 7 * 24 * HOUR,
        _ => return None,
    };
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let ago = Duration::from_secs(number.parse::<u64>().ok()?.checked_mul(seconds)?);
    Some(now.checked_sub(ago).unwrap_or(UNIX_EPOCH))
}

/// Returns the start of a text, for a message.
fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

/// Writes a day since 1970, such as `2026-11-26`.
pub(super) fn day_text(day: i64) -> String {
    let mut text = full(day.saturating_mul(24));
    text.truncate("2026-11-26".len());
    text
}

/// Writes an hour since 1970, such as `2026-11-26T14:00Z`.
pub(super) fn hour_text(hour: i64) -> String {
    let mut text = full(hour);
    text.truncate("2026-11-26T14:00".len());
    text + "Z"
}

fn full(hour: i64) -> String {
    let seconds = u64::try_from(hour).unwrap_or(0).saturating_mul(HOUR);
    let mut text = String::new();
    // Writing to a text does not fail.
    let _ =
        write_rfc3339(&mut text, UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_date_or_a_moment_or_a_distance_from_now() {
        const DAY: i64 = 86_400_000;
        const NOW: i64 = 1_795_651_200_000;
        #[track_caller]
        fn check(text: &str, expected: Option<i64>) {
            let now = UNIX_EPOCH + Duration::from_millis(NOW as u64);
            assert_eq!(parse_time(text, now).ok(), expected, "{text}");
        }
        check("2026-11-26", Some(NOW));
        check(" 2026-11-26T12:00:00+12:00 ", Some(NOW));
        check("2026-11-26T00:00:00.25Z", Some(NOW + 250));
        check("30m", Some(NOW - 1_800_000));
        check("-24h", Some(NOW - DAY));
        check("7d", Some(NOW - 7 * DAY));
        check("2w", Some(NOW - 14 * DAY));
        check("999999d", Some(0));
        for text in [
            "",
            "-",
            "d",
            "-d",
            "+7d",
            "7",
            "7y",
            "--7d",
            "7 d",
            "2026-13-01",
            "18446744073709551615d",
            "é",
            "7é",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn days_and_hours_are_written_in_utc() {
        assert_eq!(day_text(20_783), "2026-11-26");
        assert_eq!(hour_text(20_783 * 24 + 14), "2026-11-26T14:00Z");
        assert_eq!(day_text(-5), "1970-01-01");
        assert!(!hour_text(i64::MAX).is_empty());
    }
}
