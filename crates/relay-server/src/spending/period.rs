//! The periods of budgets, by the calendar in UTC.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use relay_config::{BudgetPeriod, write_rfc3339};

const DAY: u64 = 86_400;
/// The day of the week of 1970-01-01, a Thursday. Monday is 0.
const FIRST_WEEKDAY: u64 = 3;
/// The days from 0000-03-01 to 1970-01-01.
const DAYS_BEFORE_1970: u64 = 719_468;
/// The days of 400 years.
const DAYS_PER_ERA: u64 = 146_097;

/// Returns the words for the current one of the periods, such as `this week`.
pub(super) fn this(period: BudgetPeriod) -> String {
    match period {
        BudgetPeriod::Day => "today".to_owned(),
        period => format!("this {}", period.as_str()),
    }
}

/// A period of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BudgetSpan {
    /// The first moment of the period.
    pub start: SystemTime,
    /// The first moment of the next period.
    pub end: SystemTime,
}

/// Returns the period that contains `now`: a day from midnight, a week from Monday, or a month from its first day, in UTC.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use relay_config::BudgetPeriod;
/// use relay_server::spending::budget_span;
///
/// let epoch = budget_span(BudgetPeriod::Month, UNIX_EPOCH);
/// assert_eq!((epoch.start, epoch.end), (UNIX_EPOCH, UNIX_EPOCH + Duration::from_secs(31 * 86_400)));
/// ```
#[must_use]
pub fn budget_span(period: BudgetPeriod, now: SystemTime) -> BudgetSpan {
    let day = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / DAY);
    let (first, days) = match period {
        BudgetPeriod::Day => (day, 1),
        BudgetPeriod::Week => (day.saturating_sub((day + FIRST_WEEKDAY) % 7), 7),
        // Any other period is at most a month.
        _ => month(day),
    };
    BudgetSpan { start: at(first), end: at(first.saturating_add(days)) }
}

/// Returns the first day of the month of `day`, and the number of its days.
///
/// # Source
/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`: years begin in March.
fn month(day: u64) -> (u64, u64) {
    let of_era = (day + DAYS_BEFORE_1970) % DAYS_PER_ERA;
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - year_start(year);
    let month = (5 * of_year + 2) / 153;
    let start = |month| (153 * month + 2) / 5;
    let end = if month == 11 { year_start(year + 1) - year_start(year) } else { start(month + 1) };
    (day.saturating_sub(of_year - start(month)), end - start(month))
}

/// Returns the days of an era of 400 years before a year of it.
fn year_start(year: u64) -> u64 {
    365 * year + year / 4 - year / 100 + year / 400
}

fn at(day: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_secs(day.saturating_mul(DAY))).unwrap_or(UNIX_EPOCH)
}

/// A time as RFC 3339 writes it.
pub(super) struct Timestamp(pub(super) SystemTime);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_rfc3339(f, self.0)
    }
}

#[cfg(test)]
mod tests {
    use relay_config::parse_rfc3339;

    use super::*;

    #[track_caller]
    fn check(period: BudgetPeriod, now: &str, start: &str, end: &str) {
        let span = budget_span(period, parse_rfc3339(now).unwrap());
        assert_eq!(Timestamp(span.start).to_string(), format!("{start}T00:00:00Z"), "{now}");
        assert_eq!(Timestamp(span.end).to_string(), format!("{end}T00:00:00Z"), "{now}");
    }

    #[test]
    fn a_period_follows_the_calendar() {
        check(BudgetPeriod::Day, "2026-11-26T23:59:59.9Z", "2026-11-26", "2026-11-27");
        check(BudgetPeriod::Day, "2026-11-27T00:00:00Z", "2026-11-27", "2026-11-28");
        check(BudgetPeriod::Week, "2026-11-26T12:00:00Z", "2026-11-23", "2026-11-30");
        check(BudgetPeriod::Week, "2026-11-29T23:59:59Z", "2026-11-23", "2026-11-30");
        check(BudgetPeriod::Week, "2026-11-30T00:00:00Z", "2026-11-30", "2026-12-07");
        check(BudgetPeriod::Month, "2026-11-30T23:59:59.9Z", "2026-11-01", "2026-12-01");
        check(BudgetPeriod::Month, "2026-12-31T00:00:00Z", "2026-12-01", "2027-01-01");
        check(BudgetPeriod::Month, "2028-02-29T12:00:00Z", "2028-02-01", "2028-03-01");
        check(BudgetPeriod::Month, "2027-02-01T00:00:00Z", "2027-02-01", "2027-03-01");
        check(BudgetPeriod::Month, "2000-02-29T00:00:00Z", "2000-02-01", "2000-03-01");
        check(BudgetPeriod::Month, "2100-02-28T00:00:00Z", "2100-02-01", "2100-03-01");
        check(BudgetPeriod::Month, "1970-01-01T00:00:00Z", "1970-01-01", "1970-02-01");
    }

    #[test]
    fn every_moment_is_in_its_period_and_periods_meet() {
        for period in [BudgetPeriod::Day, BudgetPeriod::Week, BudgetPeriod::Month] {
            for day in (7..40_000).step_by(13) {
                let span = budget_span(period, at(day));
                assert!(span.start <= at(day) && at(day) < span.end);
                assert_eq!(budget_span(period, span.end).start, span.end);
            }
        }
    }
}
