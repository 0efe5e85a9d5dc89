//! Reads the time to wait from phrases such as "Please try again in 1m30s."

use std::time::Duration;

/// The words before a duration.
///
/// # Source
/// Messages of OpenAI ("Please try again in 20s"), Azure OpenAI ("Please retry after 26 seconds"), Google ("Please retry
/// in 34.07s") and vLLM's and LiteLLM's gateways, in public reports.
const OPENINGS: [&str; 4] = ["try again in ", "retry in ", "retry after ", "try again after "];

const UNITS: [(&str, f64); 14] = [
    ("ms", 0.001),
    ("millisecond", 0.001),
    ("s", 1.0),
    ("sec", 1.0),
    ("second", 1.0),
    ("m", 60.0),
    ("min", 60.0),
    ("minute", 60.0),
    ("h", 3600.0),
    ("hr", 3600.0),
    ("hour", 3600.0),
    ("d", 86_400.0),
    ("day", 86_400.0),
    ("week", 604_800.0),
];

/// The longest wait that is accepted. No known provider has a limit with a period longer than a month.
const LONGEST: Duration = Duration::from_secs(31 * 86_400);

/// Returns the time to wait that a phrase in `text`, the message of an error, names. Returns `None` if it is
/// longer than 31 days.
pub fn from_phrase(text: &str) -> Option<Duration> {
    let text = text.to_ascii_lowercase();
    let found = OPENINGS.iter().find_map(|opening| {
        let at = text.find(opening)?;
        duration(&text[at + opening.len()..])
    });
    found.filter(|wait| *wait <= LONGEST)
}

/// Reads a duration such as `20s`, `1m30.5s`, `6 ms` or `2 hours and 5 minutes`. A number without a unit is
/// ignored.
fn duration(mut text: &str) -> Option<Duration> {
    let mut seconds = None;
    while let Some((part, rest)) = part(text) {
        seconds = Some(seconds.unwrap_or(0.0) + part);
        text = rest.trim_start_matches([' ', ',']);
        text = text.strip_prefix("and ").unwrap_or(text);
    }
    Duration::try_from_secs_f64(seconds?).ok()
}

/// Reads one number with its unit. Returns it in seconds, and the text after it.
fn part(text: &str) -> Option<(f64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let number: f64 = text[..digits].parse().ok()?;
    let rest = text[digits..].trim_start_matches(' ');
    let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(letters);
    let singular = unit.strip_suffix('s').filter(|unit| !unit.is_empty()).unwrap_or(unit);
    let known = |name: &str| UNITS.iter().find(|(unit, _)| *unit == name);
    let (_, seconds) = known(unit).or_else(|| known(singular))?;
    Some((number * seconds, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_time_to_wait_is_read_from_messages_of_upstreams() {
        #[track_caller]
        fn check(text: &str, expected: Option<f64>) {
            assert_eq!(from_phrase(text), expected.map(Duration::from_secs_f64), "{text}");
        }
        check("Rate limit reached for gpt-4 on tokens per min. Please try again in 20s. Visit …", Some(20.0));
        check("Please try again in 6ms.", Some(0.006));
        check("Please try again in 1m30.5s.", Some(90.5));
        check("Please try again in 1h12m.", Some(4320.0));
        check("Please retry after 26 seconds.", Some(26.0));
        check("Please retry in 34.074824224s.", Some(34.074_824_224));
        check("You may try again after 2 hours and 5 minutes", Some(7500.0));
        check("try again in 1 day, 3 hrs", Some(97_200.0));
        check("Try Again In 1 Min", Some(60.0));
        for silent in [
            "",
            "try again in a moment",
            "try again in 20",
            "try again in 5 apples",
            "Too many tokens, please wait before trying again.",
            "try again in 99999999 days",
            "try again in 1.2.3s",
        ] {
            check(silent, None);
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in "(try again in )?[0-9.]{0,400}[a-zµ ]{0,9}.{0,20}") {
            let _ = from_phrase(&text);
        }
    }
}
