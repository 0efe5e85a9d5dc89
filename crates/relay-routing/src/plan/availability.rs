//! The availability of a candidate at one moment.

use std::cmp::Ordering;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
    /// An operator has paused the provider.
    Paused,
    /// An operator drains the key.
    Drained,
    /// The request counts tokens, and the provider has no count for the model.
    Uncounted,
    /// The limits of the key, or of the model at the provider, do not permit the request before this time has passed.
    Limited(Duration),
    /// The circuit of the provider is open for this time. Zero means that another request is the trial of a
    /// half-open one.
    Failing(Duration),
}

/// The state of a provider for one request, which is the same for all of its candidates.
#[derive(Debug, Clone, Copy)]
pub(super) struct ProviderAvailability {
    /// The reason for which no candidate can be tried.
    obstacle: Option<Availability>,
    /// The reason for which every candidate is tried after others.
    rest: Option<RestReason>,
}

impl ProviderAvailability {
    /// Returns the state of `pool` for a request for `model`, which counts tokens if it has no `cost`.
    pub(super) fn of(
        pool: &ProviderPool,
        model: &Arc<str>,
        cost: Option<&RequestCost<'_>>,
        now: Instant,
    ) -> Self {
        let blocked = |obstacle| Self { obstacle: Some(obstacle), rest: None };
        let health = pool.health();
        if health.is_paused() {
            return blocked(Availability::Paused);
        }
        if let Some(wait) = health.wait_time(now) {
            return blocked(Availability::Failing(wait));
        }
        if cost.is_none() && health.is_uncounted(model, now) {
            return blocked(Availability::Uncounted);
        }
        match health.rests().get(model, now) {
            Some((RestReason::Limited, wait)) if cost.is_some() => blocked(Availability::Limited(wait)),
            Some((RestReason::Limited, _)) | None => Self { obstacle: None, rest: None },
            Some((reason, _)) => Self { obstacle: None, rest: Some(reason) },
        }
    }

    /// Returns `true` if no candidate can be tried now.
    pub(super) fn is_blocked(&self) -> bool {
        self.obstacle.is_some()
    }

    /// Returns `true` if every candidate is tried after those of other providers.
    pub(super) fn is_demoted(&self) -> bool {
        self.rest.is_some()
    }
}

impl Availability {
    /// Returns the availability of `candidate`, a candidate of `provider`. It never is [`Interrupted`](Self::Interrupted):
    /// sessions are not known here.
    pub(super) fn of(
        provider: ProviderAvailability,
        candidate: &Candidate,
        cost: Option<&RequestCost<'_>>,
        now: Instant,
    ) -> Self {
        if let Some(obstacle) = provider.obstacle {
            return obstacle;
        }
        let health = candidate.health();
        if health.is_drained() {
            return Self::Drained;
        }
        if let (Some(quota), Some(cost)) = (health.quota(), cost)
            && let Some(wait) = quota.wait_time(cost, now)
        {
            return Self::Limited(quota.cooldown(now).map_or(wait, |cooldown| cooldown.max(wait)));
        }
        if health.is_rejected(now) {
            return Self::Rejected;
        }
        provider.rest.map_or(Self::Free, Self::Resting)
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
            Self::Paused => f.write_str("an operator has paused the provider"),
            Self::Drained => f.write_str("an operator drains the key"),
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
