//! The availability of a candidate at one moment.

use std::cmp::Ordering;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::candidate::{Candidate, ProviderPool};
use crate::health::RestReason;
use crate::limits::RequestCost;

/// The availability of a candidate for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Availability {
    /// The candidate can be tried.
    Free,
    /// The candidate is tried after all others: the model rests at the provider.
    Resting(RestReason),
    /// The candidate is tried after all others: the provider has rejected its credential.
    Rejected,
    /// The candidate is tried after all others: it has broken off an answer to the same session.
    Interrupted,
    /// The request counts tokens, and the provider has no count for the model.
    Uncounted,
    /// The limits of the key, or of the model at the provider, do not permit the request before this time has passed.
    Limited(Duration),
    /// The circuit of the provider is open for this time. Zero means that another request is the trial of a
    /// half-open one.
    Failing(Duration),
}

impl Availability {
    /// Returns the availability of `candidate`, which never is [`Interrupted`](Self::Interrupted): sessions
    /// are not known here. Without a `cost` the request counts tokens.
    pub(super) fn of(
        pool: &ProviderPool,
        candidate: &Candidate,
        model: &Arc<str>,
        cost: Option<&RequestCost<'_>>,
        now: Instant,
    ) -> Self {
        if let Some(wait) = pool.health().wait_time(now) {
            return Self::Failing(wait);
        }
        if cost.is_none() && pool.health().is_uncounted(model, now) {
            return Self::Uncounted;
        }
        let rest = pool.health().rests().get(model, now);
        if let (Some((RestReason::Limited, wait)), Some(_)) = (rest, cost) {
            return Self::Limited(wait);
        }
        let health = candidate.health();
        if let (Some(quota), Some(cost)) = (health.quota(), cost)
            && let Some(wait) = quota.wait_time(cost, now)
        {
            return Self::Limited(quota.cooldown(now).map_or(wait, |cooldown| cooldown.max(wait)));
        }
        if health.is_rejected(now) {
            return Self::Rejected;
        }
        match rest {
            Some((reason, _)) if reason != RestReason::Limited => Self::Resting(reason),
            _ => Self::Free,
        }
    }

    /// Returns `true` if the candidate can be tried before others.
    pub(super) fn is_free(self) -> bool {
        self == Self::Free
    }

    /// Returns `true` if the candidate is free now or will be within `time`.
    pub(super) fn is_free_within(self, time: Duration) -> bool {
        matches!(self, Self::Limited(wait) if wait <= time) || self.is_free()
    }

    /// Returns `true` if the candidate can be tried, but only after all others.
    pub(super) fn is_demoted(self) -> bool {
        matches!(self, Self::Resting(_) | Self::Rejected | Self::Interrupted)
    }

    /// Returns `true` if the candidate can be tried.
    pub(super) fn is_usable(self) -> bool {
        self.is_free() || self.is_demoted()
    }
}

impl fmt::Display for Availability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Free => f.write_str("free"),
            Self::Resting(reason) => reason.fmt(f),
            Self::Uncounted => f.write_str("the provider has no token count for this model"),
            Self::Rejected => f.write_str("the provider has rejected the key"),
            Self::Interrupted => f.write_str("it broke off an answer to this session"),
            Self::Limited(wait) => write!(f, "its limits are used up for {:.1} s", wait.as_secs_f64()),
            Self::Failing(Duration::ZERO) => {
                f.write_str("the provider is failing, and another request is testing it")
            }
            Self::Failing(wait) => {
                write!(f, "the provider is failing; tried again in {:.1} s", wait.as_secs_f64())
            }
        }
    }
}

/// A load in relation to a weight, for comparison with others.
#[derive(Debug, Clone, Copy)]
pub(super) struct RelativeLoad {
    load: u64,
    weight: u64,
}

impl RelativeLoad {
    pub(super) fn new(in_flight: u32, weight: NonZeroU32) -> Self {
        Self { load: in_flight.into(), weight: weight.get().into() }
    }
}

impl Ord for RelativeLoad {
    fn cmp(&self, other: &Self) -> Ordering {
        // The products do not overflow: each factor fits into 32 bits.
        (self.load * other.weight).cmp(&(other.load * self.weight))
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
