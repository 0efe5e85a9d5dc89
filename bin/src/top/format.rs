//! Numbers as short texts.

/// A duration: `850 ms`, `12.3 s`, `3 min 5 s`, `4 h 10 min` or `2 d 3 h`.
pub(super) fn duration(ms: u64) -> String {
    let (s, min, h) = (ms / 1000, ms / 60_000, ms / 3_600_000);
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..60_000 => format!("{}.{} s", s, ms % 1000 / 100),
        60_000..3_600_000 => format!("{min} min {} s", s % 60),
        3_600_000..86_400_000 => format!("{h} h {} min", min % 60),
        _ => format!("{} d {} h", h / 24, h % 24),
    }
}

/// A duration in its largest unit: `850ms`, `12s`, `3m`, `4h` or `2d`.
pub(super) fn short_duration(ms: u64) -> String {
    match ms {
        0..1000 => format!("{ms}ms"),
        1000..60_000 => format!("{}s", ms / 1000),
        60_000..3_600_000 => format!("{}m", ms / 60_000),
        3_600_000..86_400_000 => format!("{}h", ms / 3_600_000),
        _ => format!("{}d", ms / 86_400_000),
    }
}

/// An amount of at most four digits: `999`, `12.3k`, `4.5M`.
pub(super) fn amount(number: u64) -> String {
    const UNITS: [(u64, char); 4] =
        [(1_000_000_000_000, 'T'), (1_000_000_000, 'G'), (1_000_000, 'M'), (1000, 'k')];
    let Some((size, unit)) = UNITS.into_iter().find(|(size, _)| number >= *size) else {
        return number.to_string();
    };
    match number / size {
        whole @ 0..100 => format!("{whole}.{}{unit}", number % size / (size / 10)),
        whole => format!("{whole}{unit}"),
    }
}

/// An amount of money in US dollars.
pub(super) fn money(usd: f64) -> String {
    match usd {
        _ if !usd.is_finite() => "-".to_owned(),
        _ if usd == 0.0 => "$0".to_owned(),
        _ if usd.abs() < 1.0 => format!("${usd:.4}"),
        _ => format!("${usd:.2}"),
    }
}

/// A cost: `-` if it is unknown, and with `>=` if only a part of it is known.
pub(super) fn cost(usd: Option<f64>, is_partial: bool) -> String {
    let least = if is_partial { ">=" } else { "" };
    usd.map_or_else(|| "-".to_owned(), |usd| format!("{least}{}", money(usd)))
}

/// A share in percent, or `-` if there is nothing to share.
pub(super) fn share(part: u64, whole: u64) -> String {
    match whole {
        0 => "-".to_owned(),
        _ => format!("{} %", (u128::from(part) * 100 + u128::from(whole) / 2) / u128::from(whole)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let durations = [0, 999, 1000, 61_000, 3_600_000, 86_400_000 * 2].map(duration);
        assert_eq!(durations, ["0 ms", "999 ms", "1.0 s", "1 min 1 s", "1 h 0 min", "2 d 0 h"]);
        assert_eq!([999, 59_999, 7_200_000].map(short_duration), ["999ms", "59s", "2h"]);
        let amounts = [0, 999, 1000, 12_345, 999_999, 1_500_000, u64::MAX].map(amount);
        assert_eq!(amounts, ["0", "999", "1.0k", "12.3k", "999k", "1.5M", "18446744T"]);
        assert_eq!([0.0, 0.01234, 12.345, f64::NAN].map(money), ["$0", "$0.0123", "$12.35", "-"]);
        assert_eq!(
            [cost(None, false), cost(Some(0.0), false), cost(Some(2.0), true)],
            ["-", "$0", ">=$2.00"]
        );
        assert_eq!([(0, 0), (1, 3), (3, 3)].map(|(part, whole)| share(part, whole)), ["-", "33 %", "100 %"]);
    }
}
