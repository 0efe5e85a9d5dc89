//! The difference between this machine's clock and AWS's, which refuses a signature whose time is wrong.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::DATE;

/// The smallest difference that is corrected, in seconds. AWS accepts five minutes, so a smaller one is not the reason
/// for a refusal. The `date` of a response is not exact: it has whole seconds, and the response takes time to arrive.
const NOTABLE: i64 = 60;

/// AWS's time, derived from the `date` of refusals.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// The seconds by which AWS's clock is ahead of this machine's.
    ahead: AtomicI64,
}

impl Clock {
    /// Returns AWS's time at `now`, a time of this machine.
    pub(super) fn at(&self, now: SystemTime) -> SystemTime {
        let ahead = self.ahead.load(Ordering::Relaxed);
        let difference = Duration::from_secs(ahead.unsigned_abs());
        let corrected = if ahead < 0 { now.checked_sub(difference) } else { now.checked_add(difference) };
        corrected.unwrap_or(now)
    }

    /// Adopts the `date` of a response that arrived at `now` and refused the time of a signature. Returns `true` if a new
    /// signature has another time.
    pub(super) fn correct(&self, headers: &HeaderMap, now: SystemTime) -> bool {
        let date = headers.get(DATE).and_then(|date| date.to_str().ok());
        let Some(date) = date.and_then(|date| httpdate::parse_http_date(date).ok()) else { return false };
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or_default();
        let ahead = match date.duration_since(now) {
            Ok(ahead) => seconds(ahead),
            Err(slow) => -seconds(slow.duration()),
        };
        let before = self.ahead.swap(ahead, Ordering::Relaxed);
        let is_new = ahead.abs() > NOTABLE || (ahead - before).abs() > NOTABLE;
        if (ahead - before).abs() > NOTABLE {
            tracing::warn!(
                seconds = -ahead,
                "the clock of this machine differs from AWS's; requests are signed with AWS's time. Synchronise the clock"
            );
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn signatures_have_the_time_of_the_response() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000);
        for (difference, expected) in [(3600, true), (-3600, true), (0, false), (59, false), (-61, true)] {
            let clock = Clock::default();
            assert_eq!(clock.at(now), now);
            let date = SystemTime::UNIX_EPOCH + Duration::from_secs((1_790_000_000_i64 + difference) as u64);
            let value = HeaderValue::from_str(&httpdate::fmt_http_date(date)).unwrap();
            let headers = HeaderMap::from_iter([(DATE, value)]);
            assert_eq!(clock.correct(&headers, now), expected, "{difference}");
            assert_eq!(clock.at(now), date);
            // Concurrent requests, which were signed before the correction, are signed again too.
            assert_eq!(clock.correct(&headers, now), expected, "{difference}");
        }
        assert!(!Clock::default().correct(&HeaderMap::new(), now));
    }

    #[test]
    fn the_correction_ends_once_the_clock_is_right() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000);
        let clock = Clock { ahead: AtomicI64::new(3600) };
        let value = HeaderValue::from_str(&httpdate::fmt_http_date(now)).unwrap();
        assert!(clock.correct(&HeaderMap::from_iter([(DATE, value)]), now));
        assert_eq!(clock.at(now), now);
    }
}
