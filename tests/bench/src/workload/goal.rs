//! Goals: the bounds that cc-relay is meant to keep, relative to other peers of the same round.

use super::metric::Metric;

/// A bound for one quantity of one peer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Goal {
    pub(crate) peer: &'static str,
    pub(crate) metric: Metric,
    pub(crate) bound: Bound,
}

/// The largest value that meets a goal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Bound {
    /// A multiple of the value of another peer.
    Times(f64, &'static str),
    /// A difference to the value of another peer, in the unit of the quantity.
    Above(f64, &'static str),
    /// A value in the unit of the quantity.
    AtMost(f64),
}

impl Bound {
    /// Describes the result: the value in relation to that of the base, the bound, and the verdict.
    pub(crate) fn verdict(self, value: f64, base: f64) -> String {
        let (found, limit, text) = match self {
            Self::Times(limit, base_name) => (value / base, limit, format!("× {base_name}")),
            Self::Above(limit, base_name) => (value - base, limit, format!("above {base_name}")),
            Self::AtMost(limit) => (value, limit, String::new()),
        };
        let word = if found <= limit { "met" } else { "not met" };
        let found = crate::table::number(found);
        format!("{found} {text} (≤ {limit}): {word}").replace("  ", " ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_names_the_value_the_bound_and_the_base() {
        let times = Bound::Times(2.0, "bare hyper");
        assert_eq!(times.verdict(30.0, 10.0), "3.00 × bare hyper (≤ 2): not met");
        let above = Bound::Above(20.0, "bare hyper");
        assert_eq!(above.verdict(30.0, 10.0), "20.0 above bare hyper (≤ 20): met");
        assert_eq!(Bound::AtMost(30.0).verdict(31.0, f64::NAN), "31.0 (≤ 30): not met");
    }
}
