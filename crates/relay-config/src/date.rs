//! Reads and writes RFC 3339 timestamps, which settings, rate-limit headers and error messages contain.

use std::fmt;
use std::time::{Duration, SystemTime};

const DAY: i64 = 86_400;

/// Reads `2026-01-02T03:04:05`, with or without a fraction, followed by `Z` or an offset such as `+02:00`.
///
/// Returns `None` for every other form, for a date that does not exist, and for a time that `SystemTime`
/// cannot hold.
///
/// # Source
/// RFC 3339 section 5.6.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<SystemTime> {
    let (date, rest) = text.split_at_checked("2026-01-02".len())?;
    let (time, rest) = rest.strip_prefix(['T', 't', ' '])?.split_at_checked("03:04:05".len())?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    // A leap second is written as second 60.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (nanoseconds, zone) = fraction(rest)?;
    let seconds = days_since_1970(year, month, day)? * DAY + hour * 3600 + minute * 60 + second;
    let seconds = seconds - offset(zone)?;
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let time = match seconds < 0 {
        true => SystemTime::UNIX_EPOCH.checked_sub(whole),
        false => SystemTime::UNIX_EPOCH.checked_add(whole),
    };
    time?.checked_add(Duration::from_nanos(nanoseconds))
}

/// Reads the numbers in `text`, each with exactly as many digits as `lengths` requires.
fn numbers<const N: usize>(text: &str, separator: char, lengths: [usize; N]) -> Option<[i64; N]> {
    let (mut rest, mut found) = (text, [0; N]);
    for (index, length) in lengths.into_iter().enumerate() {
        if index > 0 {
            rest = rest.strip_prefix(separator)?;
        }
        let (part, after) = rest.split_at_checked(length)?;
        (found[index], rest) = (digits(part)?, after);
    }
    rest.is_empty().then_some(found)
}

/// Reads a number of at most four digits.
fn digits(text: &str) -> Option<i64> {
    text.bytes()
        .try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0')))
}

/// Reads the nanoseconds of a fraction such as `.25`. Returns them with the text after it. Digits below a
/// nanosecond are dropped.
fn fraction(text: &str) -> Option<(u64, &str)> {
    let Some(rest) = text.strip_prefix('.') else { return Some((0, text)) };
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (fraction, rest) = rest.split_at(end);
    let kept: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    (!fraction.is_empty()).then_some((kept.parse().ok()?, rest))
}

/// Returns the offset of a time zone from UTC in seconds, positive to the east.
fn offset(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (sign, clock) = match (zone.strip_prefix('+'), zone.strip_prefix('-')) {
        (Some(clock), _) => (1, clock),
        (_, Some(clock)) => (-1, clock),
        _ => return None,
    };
    let [hours, minutes] = numbers(clock, ':', [2, 2])?;
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Returns the number of days from 1970-01-01 to a date of the Gregorian calendar.
///
/// # Source
/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`.
fn days_since_1970(year: i64, month: i64, day: i64) -> Option<i64> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    // Years begin in March here, so that the leap day is the last day of the year.
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// Writes `time` to `text` as `2026-01-02T03:04:05Z`, rounded up to the second. A time before 1970 is written as its start. The
/// format has no years after 9999.
///
/// # Errors
/// The errors of `text`.
pub fn write_rfc3339(text: &mut impl fmt::Write, time: SystemTime) -> fmt::Result {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs() + u64::from(since.subsec_nanos() > 0);
    let (days, second) = (seconds / DAY.unsigned_abs(), seconds % DAY.unsigned_abs());
    let (year, month, day) = date_of_day(days);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    let mut form = *b"0000-00-00T00:00:00Z";
    let parts =
        [(0..4, year), (5..7, month), (8..10, day), (11..13, hour), (14..16, minute), (17..19, second % 60)];
    for (place, number) in parts {
        write_digits(&mut form[place], number);
    }
    text.write_str(std::str::from_utf8(&form).unwrap_or_default())
}

/// Writes the last digits of `number`, as many as there is room for.
fn write_digits(room: &mut [u8], mut number: u64) {
    for digit in room.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Returns the year, month and day that are `days` after 1970-01-01.
///
/// # Source
/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn date_of_day(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months are counted from March.
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(time: SystemTime) -> String {
        let mut text = String::new();
        write_rfc3339(&mut text, time).unwrap();
        text
    }

    #[track_caller]
    fn check(text: &str, expected: Option<f64>) {
        let since = |time: SystemTime| match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => after.as_secs_f64(),
            Err(before) => -before.duration().as_secs_f64(),
        };
        assert_eq!(parse_rfc3339(text).map(since), expected, "{text}");
    }

    #[test]
    fn the_examples_of_the_standard_are_read() {
        // RFC 3339 section 5.8.
        check("1985-04-12T23:20:50.52Z", Some(482_196_050.52));
        check("1996-12-19T16:39:57-08:00", Some(851_042_397.0));
        check("1990-12-31T23:59:60Z", Some(662_688_000.0));
        check("1937-01-01T12:00:27.87+00:20", Some(-1_041_337_172.13));
        check("1970-01-01T00:00:00Z", Some(0.0));
        check("2000-02-29T00:00:00z", Some(951_782_400.0));
        check("2026-11-22T14:00:20.5+02:00", Some(1_795_348_820.5));
        check("2026-11-22 12:00:20.1234567899Z", Some(1_795_348_820.123_456_8));
    }

    #[test]
    fn other_forms_and_nonexistent_dates_are_refused() {
        for wrong in [
            "",
            "2026-11-22",
            "2026-11-22T12:00:00",
            "2026-11-22T12:00Z",
            "2026-11-22T12:00:00.Z",
            "2026-11-22T12:00:00+0200",
            "2026-11-22T12:00:00+24:00",
            "2026-11-22T24:00:00Z",
            "2026-11-22T12:60:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2026-1-02T00:00:00Z",
            "+026-01-02T00:00:00Z",
            "2026-11-2２",
            "2026-11-22T12:00:00Zulu",
        ] {
            check(wrong, None);
        }
    }

    proptest! {
        #[test]
        fn a_time_agrees_with_the_date_of_http(seconds in 0..253_402_300_799u64, east in -23i64..=23) {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let date = httpdate::HttpDate::from(time).to_string();
            let (day, month, year) = (&date[5..7], &date[8..11], &date[12..16]);
            let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
            let month = 1 + months.iter().position(|name| *name == month).unwrap();
            let text = format!("{year}-{month:02}-{day}T{}{}{:02}:00", &date[17..25], if east < 0 { '-' } else { '+' }, east.abs());
            let expected = seconds as i64 - east * 3600;
            let found = parse_rfc3339(&text).unwrap();
            let found = match found.duration_since(SystemTime::UNIX_EPOCH) {
                Ok(after) => after.as_secs() as i64,
                Err(before) => -(before.duration().as_secs() as i64),
            };
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn a_written_time_is_read_back(seconds in 0..253_402_300_799u64) {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            prop_assert_eq!(parse_rfc3339(&written(time)), Some(time));
            let within = time + Duration::from_millis(1);
            prop_assert_eq!(parse_rfc3339(&written(within)), Some(time + Duration::from_secs(1)));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "([0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:]{8}[.0-9]{0,4})?\\PC{0,8}") {
            let _ = parse_rfc3339(&text);
        }
    }
}
