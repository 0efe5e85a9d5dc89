//! The facts about a request that decide on the availability of candidates.

use std::sync::Arc;
use std::time::{Duration, Instant};

use relay_providers::{Endpoint, RelayRequest};

use super::availability::{Availability, ProviderAvailability};
use crate::candidate::ProviderPool;
use crate::limits::RequestCost;

/// The facts about a request that decide on the availability of candidates.
#[derive(Debug)]
pub(super) struct Demand<'a> {
    request: &'a RelayRequest,
    /// `None` if the request does not count against the limits of keys.
    cost: Option<RequestCost<'a>>,
    /// The candidate that has broken off an answer to the same session: its provider's index and its own.
    avoided: Option<(usize, usize)>,
}

impl<'a> Demand<'a> {
    pub(super) fn new(request: &'a RelayRequest, avoided: Option<(usize, usize)>) -> Self {
        let cost = (request.endpoint() == Endpoint::Messages).then(|| RequestCost::new(request.body()));
        Self { request, cost, avoided }
    }

    pub(super) fn model(&self) -> &'a Arc<str> {
        self.request.body().model()
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        self.request.endpoint()
    }

    pub(super) fn cost(&self) -> Option<&RequestCost<'a>> {
        self.cost.as_ref()
    }

    /// Returns the state of a provider, which is the same for all of its candidates.
    pub(super) fn provider(&self, pool: &ProviderPool, now: Instant) -> ProviderAvailability {
        ProviderAvailability::of(pool, self.model(), self.cost(), now)
    }

    /// Returns `true` if a candidate is known, without a lock, not to become free within `time`. Most of many candidates at their
    /// limits are skipped so.
    pub(super) fn is_known_to_be_limited(
        &self,
        pool: &ProviderPool,
        candidate: usize,
        time: Duration,
        now: Instant,
    ) -> bool {
        let health = pool.candidates()[candidate].health();
        self.cost.is_some() && now.checked_add(time).is_some_and(|last| health.is_known_to_be_limited(last))
    }

    /// Returns the availability of a candidate of `pool`, the provider with this index, whose state is `provider`.
    pub(super) fn availability(
        &self,
        (index, pool): (usize, &ProviderPool),
        provider: ProviderAvailability,
        candidate: usize,
        now: Instant,
    ) -> Availability {
        match Availability::of(provider, &pool.candidates()[candidate], self.cost(), now) {
            Availability::Free if self.avoided == Some((index, candidate)) => Availability::Interrupted,
            availability => availability,
        }
    }
}
