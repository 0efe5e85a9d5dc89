//! Counts requests and attempts while they end, without a wait.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use relay_server::RequestRecord;

use super::counters::add;
use super::facts::endpoint;
use super::found::{Place, RecordSeries};
use super::histogram::{Histogram, OWN_BOUNDS};
use super::keys::Endpoint;
use super::state::{Bounds, State};

/// The series of requests and attempts.
#[derive(Debug)]
pub(super) struct Traffic {
    state: RwLock<State>,
    endpoints: [EndpointSeries; Endpoint::ALL.len()],
    in_flight: AtomicU64,
    overflows: AtomicU64,
}

/// Facts that have no label but the endpoint.
#[derive(Debug)]
pub(super) struct EndpointSeries {
    pub(super) received: AtomicU64,
    pub(super) sent: AtomicU64,
    pub(super) own_time: Histogram,
}

impl Traffic {
    /// Creates series without values. `models` are known from the start.
    pub(super) fn new(bounds: Bounds, models: &[String]) -> Self {
        let endpoint = |_| EndpointSeries {
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            own_time: Histogram::seconds(&OWN_BOUNDS),
        };
        Self {
            state: RwLock::new(State::new(bounds, models)),
            endpoints: Endpoint::ALL.map(endpoint),
            in_flight: AtomicU64::new(0),
            overflows: AtomicU64::new(0),
        }
    }

    /// Counts a request that has begun.
    pub(super) fn start(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that has ended.
    pub(super) fn finish(&self, record: &RequestRecord) {
        // A subscriber that was added to a running relay has not seen every start.
        let _ =
            self.in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1));
        let series = &self.endpoints[endpoint(record) as usize];
        add(&series.received, record.bytes_received);
        add(&series.sent, record.bytes_sent);
        if let Some(time) = record.own_time {
            series.own_time.observe(time);
        }
        self.observe(record);
    }

    /// Counts a request and its attempts in their series, which are added first if they are new.
    fn observe(&self, record: &RequestRecord) {
        let place = Place::of(record);
        if self.observe_known(record, place) {
            return;
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.add(record);
        let Some(series) = state.find(record) else { return };
        self.count(&series, record);
        state.remember(place, record, series);
    }

    /// Counts a request whose labels and series exist. Returns `false` if they have to be added first, or to be remembered.
    fn observe_known(&self, record: &RequestRecord, place: Place) -> bool {
        let state = self.read();
        if let Some(series) = state.remembered(place, record) {
            self.count(series, record);
            return true;
        }
        match state.find(record) {
            Some(series) if series.is_other => {
                self.count(&series, record);
                true
            }
            _ => false,
        }
    }

    fn count(&self, series: &RecordSeries, record: &RequestRecord) {
        series.count(record);
        add(&self.overflows, series.overflows);
    }

    /// Removes the series of providers and keys that `is_kept` does not know. `None` is the key of a whole provider.
    pub(super) fn retain(&self, is_kept: impl Fn(&str, Option<&str>) -> bool) {
        if self.read().has_removed(&is_kept) {
            self.state.write().unwrap_or_else(PoisonError::into_inner).retain(&is_kept);
        }
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The series of each endpoint.
    pub(super) fn endpoints(&self) -> impl Iterator<Item = (Endpoint, &EndpointSeries)> {
        Endpoint::ALL.into_iter().zip(&self.endpoints)
    }

    /// The number of requests under way.
    pub(super) fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// The number of requests and attempts that were counted as `other` for want of room.
    pub(super) fn overflows(&self) -> u64 {
        self.overflows.load(Ordering::Relaxed)
    }
}
