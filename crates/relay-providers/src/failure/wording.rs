//! Finds the wordings in which upstreams report a limit, with the numbers in them.

/// The numbers that a message states.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    /// The size of the request. If the pattern has several, their sum.
    pub(super) used: Option<u64>,
    /// The limit.
    pub(super) limit: Option<u64>,
}

/// Finds `pattern`, which may begin anywhere in `text`. `{n}` is the size of the request, `{m}` the limit, and `*` any text.
/// Digits may be grouped by commas. Returns the numbers, or `None` if the pattern does not occur.
pub(super) fn find(pattern: &str, text: &str) -> Option<Numbers> {
    let literal = pattern.find(['{', '*']).map_or(pattern, |end| &pattern[..end]);
    text.match_indices(literal).find_map(|(at, _)| follow(pattern, &text[at..]))
}

/// Reads `text` along `pattern` from its beginning.
fn follow(mut pattern: &str, mut text: &str) -> Option<Numbers> {
    let mut numbers = Numbers::default();
    while !pattern.is_empty() {
        if let Some(rest) = pattern.strip_prefix('*') {
            let literal = rest.find(['{', '*']).map_or(rest, |end| &rest[..end]);
            text = &text[text.find(literal)?..];
            pattern = rest;
        } else if let Some(rest) = pattern.strip_prefix("{n}") {
            let (number, after) = number(text)?;
            numbers.used = Some(numbers.used.unwrap_or(0).saturating_add(number));
            (pattern, text) = (rest, after);
        } else if let Some(rest) = pattern.strip_prefix("{m}") {
            let (number, after) = number(text)?;
            numbers.limit = Some(number);
            (pattern, text) = (rest, after);
        } else {
            let end = pattern.find(['{', '*']).unwrap_or(pattern.len());
            text = text.strip_prefix(&pattern[..end])?;
            pattern = &pattern[end..];
        }
    }
    Some(numbers)
}

fn number(text: &str) -> Option<(u64, &str)> {
    let is_in_number = |c: char| c.is_ascii_digit() || c == ',';
    let digits = &text[..text.find(|c| !is_in_number(c)).unwrap_or(text.len())];
    let digits = digits.trim_end_matches(',');
    let number = digits.replace(',', "").parse().ok()?;
    Some((number, &text[digits.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_found_with_their_numbers() {
        #[track_caller]
        fn check(pattern: &str, text: &str, expected: Option<(Option<u64>, Option<u64>)>) {
            let found = find(pattern, text).map(|numbers| (numbers.used, numbers.limit));
            assert_eq!(found, expected, "{pattern} in {text}");
        }
        check("a {n} of {m}", "x a 7 of 1,024, y", Some((Some(7), Some(1024))));
        check("a {n}*of {m}", "a 7 b of c of 5", None);
        check("a {n}*of {m}", "a 7 b of 5", Some((Some(7), Some(5))));
        check("a {n}", "a b a 9", Some((Some(9), None)));
        check("{n} + {n} > {m}", "1 + 2 > 2", Some((Some(3), Some(2))));
        check("a", "b a", Some((None, None)));
        check("a {n}", "a ", None);
        check("a {n}", "a 99999999999999999999999", None);
        check("a {n}", "a ,", None);
    }
}
