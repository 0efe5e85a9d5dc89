//! Prices that depend on the time of day.

use std::time::{SystemTime, UNIX_EPOCH};

const SECONDS_PER_DAY: u64 = 86_400;
const SECONDS_PER_HOUR: u64 = 3_600;
/// The day of the week of 1970-01-01, a Thursday. Monday is 0.
const FIRST_WEEKDAY: u64 = 3;
/// The peak hours of DeepSeek, in UTC.
const PEAK_HOURS: [std::ops::Range<u64>; 2] = [1..4, 6..10];

/// Returns `true` in the peak hours of DeepSeek, the only provider with such prices: 01:00 to 04:00 and 06:00 to 10:00 UTC from
/// Monday to Friday.
///
/// Holidays of mainland China are off-peak too. They are not known here: an estimate is too high on such days, never too low.
///
/// # Source
/// The entry `[[schedule]]` of `prices.toml`.
pub(super) fn is_peak(now: SystemTime) -> bool {
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let weekday = (seconds / SECONDS_PER_DAY + FIRST_WEEKDAY) % 7;
    let hour = seconds % SECONDS_PER_DAY / SECONDS_PER_HOUR;
    weekday < 5 && PEAK_HOURS.iter().any(|hours| hours.contains(&hour))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_peak_is_in_the_morning_of_working_days() {
        #[track_caller]
        fn check(unix: u64, expected: bool) {
            assert_eq!(is_peak(UNIX_EPOCH + Duration::from_secs(unix)), expected, "{unix}");
        }
        const THURSDAY: u64 = 1_795_651_200; // 2026-11-26
        const SATURDAY: u64 = THURSDAY + 2 * SECONDS_PER_DAY;
        for (hour, expected) in
            [(0, false), (1, true), (3, true), (4, false), (6, true), (9, true), (10, false)]
        {
            check(THURSDAY + hour * SECONDS_PER_HOUR, expected);
            check(SATURDAY + hour * SECONDS_PER_HOUR, false);
        }
        check(THURSDAY + 4 * SECONDS_PER_HOUR - 1, true);
    }
}
