//! Numbers as a person reads them.

/// Writes a count with at most three digits and a unit: `999`, `12.3k`, `1.2M`.
pub(super) fn short(count: u64) -> String {
    const UNITS: [&str; 5] = ["", "k", "M", "G", "T"];
    if count < 1000 {
        return count.to_string();
    }
    let (mut value, mut unit) = (count as f64, 0);
    // 999.95 would be written as 1000.0.
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if value < 99.95 { format!("{value:.1}{}", UNITS[unit]) } else { format!("{value:.0}{}", UNITS[unit]) }
}

/// Writes a count with commas between groups of three digits.
pub(super) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Writes dollars: with four decimals up to 10 dollars, and then with two.
pub(super) fn dollars(amount: f64) -> String {
    let sign = if amount < 0.0 { "-" } else { "" };
    let amount = amount.abs();
    if amount < 10.0 { format!("{sign}${amount:.4}") } else { format!("{sign}${amount:.2}") }
}

/// Writes a cost: `–` for an unknown one, and `≥` before one of which only a part is known.
pub(super) fn cost(dollars: Option<f64>, is_partial: bool) -> String {
    let least = if is_partial { "≥" } else { "" };
    dollars.map_or_else(|| "–".to_owned(), |dollars| format!("{least}{}", self::dollars(dollars)))
}

/// Writes a share in percent with one decimal; `-` for no share.
pub(super) fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.1}%", share * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_exact_enough() {
        let counts = [0, 999, 1000, 12_345, 99_949, 99_950, 999_949, 999_950, 1_234_567, u64::MAX];
        let expected = ["0", "999", "1.0k", "12.3k", "99.9k", "100k", "1000k", "1.0M", "1.2M", "18446744T"];
        assert_eq!(counts.map(short), expected);
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [0.0, 0.00124, 9.99996, 12.345, -0.5].map(dollars),
            ["$0.0000", "$0.0012", "$10.0000", "$12.35", "-$0.5000"]
        );
        assert_eq!(
            [(None, false), (Some(0.0), false), (Some(0.5), true)]
                .map(|(dollars, is_partial)| cost(dollars, is_partial)),
            ["–", "$0.0000", "≥$0.5000"]
        );
        assert_eq!([None, Some(0.0), Some(0.8525)].map(percent), ["-", "0.0%", "85.2%"]);
    }
}
