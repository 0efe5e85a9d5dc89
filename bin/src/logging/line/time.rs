//! The time at the start of each line.

use std::cell::RefCell;
use std::fmt;
use std::time::{Duration, SystemTime};

use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{self, FormatTime};

use super::escape::push_number;

thread_local! {
    static SECOND: RefCell<Second> = const { RefCell::new(Second { number: None, text: String::new() }) };
}

/// The second of the last line of a thread.
struct Second {
    /// The number of the second since 1970, or `None` if no text is known.
    number: Option<u64>,
    /// The time up to the second and the point after it, such as `2026-01-02T03:04:05.`.
    text: String,
}

/// Appends the current time in UTC, such as `2026-01-02T03:04:05.678901Z`.
pub(super) fn push_now(line: &mut String) -> fmt::Result {
    SECOND.with_borrow_mut(|second| second.push(line, since_epoch))
}

impl Second {
    /// Appends the time. The library formats the first time of each second; `clock` is the time that it reads.
    fn push(&mut self, line: &mut String, clock: impl Fn() -> Option<Duration>) -> fmt::Result {
        let now = clock();
        let number = now.map(|now| now.as_secs());
        if let Some(now) = now.filter(|_| self.number == number) {
            line.push_str(&self.text);
            push_number(line, now.subsec_micros().into(), 6);
            line.push('Z');
            return Ok(());
        }
        let start = line.len();
        time::SystemTime.format_time(&mut Writer::new(line))?;
        // The library has read the clock between these two readings.
        self.number = number.filter(|number| clock().is_some_and(|now| now.as_secs() == *number));
        self.text.clear();
        self.text.push_str(line[start..].split_inclusive('.').next().unwrap_or_default());
        Ok(())
    }
}

/// Returns the time since 1970, or `None` if the clock is before that year: the library formats each such time.
fn since_epoch() -> Option<Duration> {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library() -> String {
        let mut line = String::new();
        time::SystemTime.format_time(&mut Writer::new(&mut line)).unwrap();
        line
    }

    #[test]
    fn the_times_are_those_of_tracing_subscriber() {
        for _ in 0..1000 {
            let before = library();
            let mut now = String::new();
            push_now(&mut now).unwrap();
            assert!((&*before..=&*library()).contains(&&*now), "{now} is not after {before}");
        }
    }

    #[test]
    fn a_time_in_a_known_second_has_the_text_of_the_second() {
        let mut second = Second { number: Some(7), text: "2026-01-02T03:04:05.".to_owned() };
        let mut line = "at ".to_owned();
        second.push(&mut line, || Some(Duration::from_micros(7_000_042))).unwrap();
        assert_eq!(line, "at 2026-01-02T03:04:05.000042Z");
    }

    #[test]
    fn a_second_that_ends_while_it_is_read_is_not_kept() {
        let mut second = Second { number: Some(7), text: String::new() };
        let reading = std::cell::Cell::new(8);
        let clock = || Some(Duration::from_secs(reading.replace(9)));
        second.push(&mut String::new(), clock).unwrap();
        assert_eq!(second.number, None);
        second.push(&mut String::new(), clock).unwrap();
        assert_eq!(second.number, Some(9));
    }

    #[test]
    fn a_clock_before_1970_has_no_known_second() {
        let mut second = Second { number: None, text: String::new() };
        let mut line = String::new();
        second.push(&mut line, || None).unwrap();
        assert_eq!((second.number, line.len()), (None, library().len()));
    }
}
