//! The streams that the upstream sends, as one line of text between the benchmark and the upstream.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The form of every stream that the upstream starts from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// A number of deltas, one per write, as fast as the connection accepts them.
    Burst { events: u32 },
    /// A number of large deltas, as fast as the connection accepts them. The upstream counts their bytes.
    Flood { events: u32 },
    /// One event per write and `gap`, until the benchmark ends the streams.
    Paced { gap: Duration },
    /// The start of the message, then silence until the benchmark ends the streams.
    Held,
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Burst { events } => write!(f, "burst {events}"),
            Self::Flood { events } => write!(f, "flood {events}"),
            Self::Paced { gap } => write!(f, "paced {}", gap.as_micros()),
            Self::Held => write!(f, "held"),
        }
    }
}

impl FromStr for Scenario {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, number) = text.split_once(' ').unwrap_or((text, "0"));
        let number: u32 = number.parse().map_err(|_| format!("`{number}` is no number"))?;
        match kind {
            "burst" => Ok(Self::Burst { events: number }),
            "flood" => Ok(Self::Flood { events: number }),
            "paced" => Ok(Self::Paced { gap: Duration::from_micros(number.into()) }),
            "held" => Ok(Self::Held),
            other => Err(format!("`{other}` is no scenario")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_is_read_as_it_was_written() {
        let paced = Scenario::Paced { gap: Duration::from_millis(20) };
        let flood = Scenario::Flood { events: 4096 };
        for scenario in [Scenario::Burst { events: 500 }, flood, paced, Scenario::Held] {
            assert_eq!(scenario.to_string().parse(), Ok(scenario));
        }
        assert!("burst x".parse::<Scenario>().is_err());
        assert!("other".parse::<Scenario>().is_err());
    }
}
