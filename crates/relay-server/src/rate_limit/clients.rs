//! The clients and the state of their limits.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use relay_config::{ClientLimits, KeyLimits};
use relay_messages::RateLimits;
use relay_routing::{Quota, RequestCost, Reservation, TokensUsed};

use super::error::{LimitKind, RateLimited};
use crate::clock;
use crate::concurrency::Permit as InFlight;

/// The time between two searches for clients that can be dropped.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// The `retry-after` of a client with as many requests in flight as it may have.
const CONCURRENT_RETRY: Duration = Duration::from_secs(1);

/// The state of all clients.
///
/// A client with limits of its own has its state for good. Others get theirs with their first request, and it is dropped once
/// it equals that of a new client: nothing in flight, and full buckets. So no client gains from being dropped.
#[derive(Debug)]
pub(super) struct Clients {
    named: HashMap<Arc<str>, Arc<ClientState>>,
    default: ClientLimits,
    others: Mutex<Others>,
    capacity: usize,
}

#[derive(Debug)]
struct Others {
    clients: HashMap<Arc<str>, Arc<ClientState>>,
    /// The state of all clients for which there was no place.
    overflow: Arc<ClientState>,
    swept: Instant,
}

impl Clients {
    pub(super) fn new(default: ClientLimits, capacity: usize) -> Self {
        let now = clock::now();
        let overflow = Arc::new(ClientState::new(default, now));
        let others = Mutex::new(Others { clients: HashMap::new(), overflow, swept: now });
        Self { named: HashMap::new(), default, others, capacity }
    }

    /// Returns the same clients with another capacity. Those without limits of their own start anew.
    pub(super) fn with_capacity(&self, capacity: usize) -> Self {
        Self { named: self.named.clone(), ..Self::new(self.default, capacity) }
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Sets the limits of one client.
    pub(super) fn insert(&mut self, name: Arc<str>, limits: ClientLimits) {
        self.named.insert(name, Arc::new(ClientState::new(limits, clock::now())));
    }

    /// Takes over the state of the clients with limits of their own that have some in `before` as well.
    pub(super) fn inherit_state(&mut self, before: &Self) {
        for (name, state) in &mut self.named {
            if let Some(before) = before.named.get(name) {
                *state = Arc::new(state.succeeding(before));
            }
        }
    }

    /// Returns the state of the client called `name`, or `None` if it has no limits.
    pub(super) fn find(&self, name: Arc<str>, now: Instant) -> Option<Arc<ClientState>> {
        if let Some(state) = self.named.get(&name) {
            return (!state.limits.is_unlimited()).then(|| Arc::clone(state));
        }
        if self.default.is_unlimited() {
            return None;
        }
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = others.clients.get(&name) {
            return Some(Arc::clone(state));
        }
        if others.clients.len() >= self.capacity && now >= others.swept + SWEEP_INTERVAL {
            others.swept = now;
            others.clients.retain(|_, state| !state.is_new(now));
        }
        if others.clients.len() >= self.capacity {
            return Some(Arc::clone(&others.overflow));
        }
        let state = Arc::new(ClientState::new(self.default, now));
        others.clients.insert(name, Arc::clone(&state));
        Some(state)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.others.lock().unwrap().clients.len()
    }
}

/// The state of one client.
#[derive(Debug)]
pub(super) struct ClientState {
    limits: ClientLimits,
    quota: Quota,
    /// Shared with the state under another configuration, whose requests may still be in flight.
    in_flight: Arc<AtomicU32>,
}

impl ClientState {
    fn new(limits: ClientLimits, now: Instant) -> Self {
        let mut per_minute = KeyLimits::default();
        per_minute.requests = limits.requests.map(NonZeroU64::from);
        per_minute.tokens = limits.tokens;
        Self { limits, quota: Quota::new(per_minute, now), in_flight: Arc::default() }
    }

    /// Returns the state of a client under these limits that takes over from `before`.
    fn succeeding(&self, before: &Self) -> Self {
        let mut state = Self::new(self.limits, clock::now());
        state.quota.inherit_state(&before.quota);
        state.in_flight = Arc::clone(&before.in_flight);
        state
    }

    /// Returns `true` if the state of a new client would permit the same requests.
    fn is_new(self: &Arc<Self>, now: Instant) -> bool {
        // A request that has found the state, and has not entered yet, holds it too.
        Arc::strong_count(self) == 1 && self.quota.fraction_left(now) >= 1.0
    }

    /// Returns the limits and what is left of them.
    pub(super) fn state(&self, now: Instant) -> RateLimits {
        self.quota.state(now)
    }

    /// Admits a request, or refuses it.
    pub(super) fn enter(
        self: &Arc<Self>,
        cost: &RequestCost<'_>,
        now: Instant,
    ) -> Result<Permit, Box<RateLimited>> {
        let place = InFlight::take(&self.in_flight, self.limits.concurrent).ok_or_else(|| {
            let limit = self.limits.concurrent.map_or(0, |limit| limit.get().into());
            self.refusal(LimitKind::Concurrent, limit, CONCURRENT_RETRY, now)
        })?;
        match self.quota.reserve(cost, now) {
            Some(reservation) => {
                Ok(Permit { client: Arc::clone(self), reservation: Some(reservation), _place: place })
            }
            None => {
                let retry_after = self.quota.wait_time(cost, now).unwrap_or_default();
                let requests = self.quota.state(now).requests;
                let (kind, limit) = match requests.remaining {
                    Some(0) => (LimitKind::Requests, requests.limit),
                    _ => (LimitKind::Tokens, self.limits.tokens.map(Into::into)),
                };
                Err(self.refusal(kind, limit.unwrap_or_default(), retry_after, now))
            }
        }
    }

    fn refusal(&self, kind: LimitKind, limit: u64, retry_after: Duration, now: Instant) -> Box<RateLimited> {
        Box::new(RateLimited { kind, limit, retry_after, limits: self.state(now) })
    }
}

/// A request in flight: its place and its reserved tokens. If it is dropped unsettled, the estimate counts as used.
#[derive(Debug)]
pub(super) struct Permit {
    client: Arc<ClientState>,
    reservation: Option<Reservation>,
    _place: InFlight,
}

impl Permit {
    /// The client of the request.
    pub(super) fn client(&self) -> &Arc<ClientState> {
        &self.client
    }

    /// Takes the tokens that the response has used so far.
    pub(super) fn take(&mut self, used: TokensUsed) {
        if let Some(reservation) = &mut self.reservation {
            self.client.quota.take(reservation, used, clock::now());
        }
    }

    /// Replaces the estimate by the tokens used. An amount that is not known stays at its estimate.
    pub(super) fn settle(&mut self, used: TokensUsed) {
        if let Some(reservation) = self.reservation.take() {
            self.client.quota.settle(reservation, used, clock::now());
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.settle(TokensUsed::default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn requests(per_minute: u32) -> ClientLimits {
        ClientLimits::default().with_requests(per_minute)
    }

    /// Clients without limits, except for one called `a`.
    fn with_client(limits: ClientLimits) -> Clients {
        let mut clients = Clients::new(ClientLimits::default(), 1);
        clients.insert("a".into(), limits);
        clients
    }

    fn enter(clients: &Clients, name: &str, now: Instant) -> Result<Permit, Box<RateLimited>> {
        clients.find(name.into(), now).unwrap().enter(&RequestCost::without_tokens(), now)
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_clients_is_bounded_and_idle_ones_are_dropped() {
        let clients = Clients::new(requests(1), 3);
        let now = clock::now();
        for name in ["a", "b", "c", "d"] {
            assert!(enter(&clients, name, now).is_ok(), "{name}");
        }
        assert_eq!(clients.len(), 3);
        // `e` shares the state of `d`, which has used its request.
        assert!(enter(&clients, "e", now).is_err());
        assert!(enter(&clients, "a", now).is_err());
        let later = now + 61 * SECOND;
        let held = enter(&clients, "a", later).unwrap();
        assert!(enter(&clients, "e", later).is_ok());
        assert_eq!(clients.len(), 2, "`b` and `c` are as good as new");
        drop(held);
        assert!(enter(&clients, "a", later).is_err(), "a client in use keeps its state");
    }

    #[tokio::test(start_paused = true)]
    async fn another_configuration_takes_over_levels_and_requests_in_flight() {
        let limits = requests(2).with_concurrent(1);
        let before = with_client(limits);
        let now = clock::now();
        let held = enter(&before, "a", now).unwrap();
        let mut after = with_client(limits);
        after.inherit_state(&before);
        assert_eq!(enter(&after, "a", now).unwrap_err().kind, LimitKind::Concurrent);
        drop(held);
        assert!(enter(&after, "a", now).is_ok());
        assert_eq!(enter(&after, "a", now).unwrap_err().kind, LimitKind::Requests);
    }

    #[tokio::test]
    async fn a_client_without_limits_has_no_state() {
        let clients = with_client(requests(1));
        assert!(clients.find("a".into(), clock::now()).is_some());
        assert!(clients.find("b".into(), clock::now()).is_none());
        let mut clients = Clients::new(requests(1), 1);
        clients.insert("a".into(), ClientLimits::default());
        assert!(clients.find("a".into(), clock::now()).is_none());
    }
}
