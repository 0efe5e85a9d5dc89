//! The variable that makes tests run for longer.

/// The variable that selects the long forms of the tests that have one: more requests, clients or time.
pub const LONG_VARIABLE: &str = "CC_RELAY_TEST_LONG";

/// Returns `long` if `CC_RELAY_TEST_LONG` is 1, and else `short`.
#[must_use]
pub fn short_or_long<T>(short: T, long: T) -> T {
    if std::env::var(LONG_VARIABLE).is_ok_and(|value| value == "1") { long } else { short }
}
