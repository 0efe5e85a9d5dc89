//! How a candidate stands at the moment.

use std::cmp::Ordering;
use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

use crate::candidate::{Candidate, ProviderPool};
use crate::limits::RequestCost;

/// Whether a candidate can be asked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Availability {
    /// It can.
    Free,
    /// It can if nobody else can: the provider has no capacity left for the model.
    Overloaded,
    /// It can if nobody else can: the provider has refused the credential.
    Rejected,
    /// It can if nobody else can: it has broken off an answer to the same session.
    Interrupted,
    /// Its limits are used up for so long.
    Limited(Duration),
    /// Its provider is failing, and is left alone for so long; or another request is trying it, for which zero stands.
    Failing(Duration),
}

impl Availability {
    /// What is known of `candidate`.
    pub(super) fn of(
        pool: &ProviderPool,
        candidate: &Candidate,
        model: &str,
        cost: Option<&RequestCost<'_>>,
        now: Instant,
    ) -> Self {
        if let Some(wait) = pool.health().wait(now) {
            return Self::Failing(wait);
        }
        let health = candidate.health();
        if let (Some(quota), Some(cost)) = (health.quota(), cost)
            && let Some(wait) = quota.wait(cost, now)
        {
            return Self::Limited(quota.cooldown(now).map_or(wait, |cooldown| cooldown.max(wait)));
        }
        if health.is_rejected(now) {
            return Self::Rejected;
        }
        match pool.health().overloads().has(model, now) {
            true => Self::Overloaded,
            false => Self::Free,
        }
    }

    /// Whether it can be asked, and there is no reason to ask others before.
    pub(super) fn is_free(self) -> bool {
        self == Self::Free
    }

    /// Whether it is free, or will be within `time`.
    pub(super) fn is_free_within(self, time: Duration) -> bool {
        matches!(self, Self::Limited(wait) if wait <= time) || self.is_free()
    }

    /// Whether it can be asked, but better behind all others.
    pub(super) fn is_demoted(self) -> bool {
        matches!(self, Self::Overloaded | Self::Rejected | Self::Interrupted)
    }

    /// Whether it can be asked at all.
    pub(super) fn is_usable(self) -> bool {
        self.is_free() || self.is_demoted()
    }
}

impl fmt::Display for Availability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Free => f.write_str("free"),
            Self::Overloaded => f.write_str("the provider is overloaded with this model"),
            Self::Rejected => f.write_str("the provider has refused the key"),
            Self::Interrupted => f.write_str("it broke off an answer to this session"),
            Self::Limited(wait) => write!(f, "its limits are used up for {:.1} s", wait.as_secs_f64()),
            Self::Failing(Duration::ZERO) => {
                f.write_str("the provider is failing, and being tried by another request")
            }
            Self::Failing(wait) => {
                write!(f, "the provider is failing; tried again in {:.1} s", wait.as_secs_f64())
            }
        }
    }
}

/// A load as a part of what something can bear, in comparison with others.
#[derive(Debug, Clone, Copy)]
pub(super) struct RelativeLoad {
    load: u64,
    of: u64,
}

impl RelativeLoad {
    pub(super) fn of(in_flight: u32, weight: NonZeroU32) -> Self {
        Self { load: in_flight.into(), of: weight.get().into() }
    }
}

impl Ord for RelativeLoad {
    fn cmp(&self, other: &Self) -> Ordering {
        // Both fit into 32 bits.
        (self.load * other.of).cmp(&(other.load * self.of))
    }
}

impl PartialOrd for RelativeLoad {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for RelativeLoad {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for RelativeLoad {}
