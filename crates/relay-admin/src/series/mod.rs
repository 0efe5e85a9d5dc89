//! The figures of the last hour, in steps of ten seconds.

mod histogram;
mod load;
mod open;
mod step;

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use relay_server::{RecordHandle, RecordSubscriber, RequestRecord};

use self::load::Load;
use self::open::Open;
use self::step::{start_of, step_of};
use crate::model::Point;
use crate::recent::is_probe;

pub use self::step::STEP;

/// The number of points that are kept: an hour.
const POINTS: usize = 360;

/// The figures of the last hour, in steps of ten seconds. Clones share them.
///
/// A request counts in the step in which it ends, or in the next one if that has begun before its record arrives. About 200 KB are
/// kept, whatever the traffic is.
#[derive(Clone)]
pub struct Series(Arc<Shared>);

#[derive(Default)]
struct Shared {
    load: Load,
    /// The step of the open point, which is read without the lock.
    step: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    open: Open,
    /// The points before the open one, the oldest first. A step without any request under way has none.
    points: VecDeque<Arc<Point>>,
}

impl Series {
    /// Creates an empty series.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::default())
    }

    /// Returns the points of the last `minutes`, at most 60, without gaps, the oldest first. The last one is not complete.
    #[must_use]
    pub fn points(&self, minutes: u32) -> Vec<Arc<Point>> {
        self.points_at(SystemTime::now(), minutes)
    }

    /// Returns the last complete point.
    #[must_use]
    pub fn last_complete(&self) -> Arc<Point> {
        let mut points = self.points(1);
        points.pop();
        points.pop().unwrap_or_default()
    }

    fn points_at(&self, now: SystemTime, minutes: u32) -> Vec<Arc<Point>> {
        let now = step_of(now);
        let count = (u64::from(minutes.clamp(1, 60)) * 60 / STEP.as_secs()).min(POINTS as u64);
        let state = self.0.at(now);
        let mut known = state.points.iter().cloned().collect::<VecDeque<_>>();
        known.push_back(Arc::new(state.open.point(self.0.load.peak())));
        drop(state);
        let first = (now + 1).saturating_sub(count);
        let of_step = |step| {
            while known.front().is_some_and(|point| point.unix_ms < start_of(step)) {
                known.pop_front();
            }
            let found = known.pop_front_if(|point| point.unix_ms == start_of(step));
            found.unwrap_or_else(|| Arc::new(Point::empty(start_of(step), 0)))
        };
        (first..=now).map(of_step).collect()
    }

    /// Counts a request that begins.
    fn begin(&self, step: u64) {
        self.0.reach(step);
        self.0.load.begin();
    }

    /// Removes a request that has ended from those under way. Its facts may be [added](Self::add) later.
    pub(crate) fn end(&self, record: &RequestRecord) {
        self.end_in(end_step(record));
    }

    fn end_in(&self, step: u64) {
        // A request under way is part of every step that it covers.
        self.0.reach(step);
        self.0.load.end();
    }

    /// Adds the facts of a request that has ended.
    pub(crate) fn add(&self, record: &RequestRecord) {
        let mut state = self.0.at(end_step(record));
        if !is_probe(record) {
            state.open.add(record);
        }
    }
}

impl Shared {
    /// Closes the open point if `step` is later. It seldom is, and otherwise no lock is taken.
    fn reach(&self, step: u64) {
        if step > self.step.load(Ordering::Relaxed) {
            drop(self.at(step));
        }
    }

    /// Locks the state, and closes the open point if `step` is later.
    fn at(&self, step: u64) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        if step > state.open.step {
            state.advance(step, &self.load);
            self.step.store(step, Ordering::Relaxed);
        }
        state
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Closes the open point, and opens that of `step`.
    fn advance(&mut self, step: u64, load: &Load) {
        let (peak, in_flight) = (load.restart(), load.in_flight());
        if self.open.step > 0 {
            self.push(self.open.point(peak));
        }
        if in_flight > 0 {
            let skipped = (self.open.step + 1).max(step.saturating_sub(POINTS as u64));
            (skipped..step).for_each(|step| self.push(Point::empty(start_of(step), in_flight)));
        }
        self.open.restart(step);
    }

    fn push(&mut self, point: Point) {
        self.points.push_back(Arc::new(point));
        if self.points.len() >= POINTS {
            self.points.pop_front();
        }
    }
}

impl RecordSubscriber for Series {
    fn started(&self, record: &RecordHandle) {
        self.begin(step_of(record.started_at()));
    }

    fn finished(&self, record: &Arc<RequestRecord>) {
        self.end(record);
        self.add(record);
    }
}

/// Returns the step in which a request has ended.
fn end_step(record: &RequestRecord) -> u64 {
    step_of(record.started_at + record.duration())
}

impl Default for Series {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Series").field("points", &self.0.lock().points.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_request_under_way_is_part_of_every_step_that_it_covers() {
        let (series, start) = (Series::new(), UNIX_EPOCH + Duration::from_secs(1_795_651_200));
        let first = step_of(start);
        (0..3).for_each(|_| series.begin(first));
        series.end_in(first);
        (0..2).for_each(|_| series.end_in(first + 3));
        let points = series.points_at(start + 5 * STEP, 1);
        let in_flight: Vec<_> = points.iter().map(|point| point.in_flight).collect();
        assert_eq!(in_flight, [3, 2, 2, 2, 0, 0]);
        let starts: Vec<_> = points.iter().map(|point| point.unix_ms / 1000 - 1_795_651_200).collect();
        assert_eq!(starts, [0, 10, 20, 30, 40, 50]);
    }

    #[test]
    fn an_hour_is_kept_and_a_long_pause_costs_no_more() {
        let (series, start) = (Series::new(), UNIX_EPOCH + Duration::from_secs(1_795_651_200));
        series.begin(step_of(start));
        let state = series.0.at(step_of(start + 100_000 * STEP));
        assert!(state.points.len() < POINTS, "{}", state.points.len());
        drop(state);
        let points = series.points_at(start + 100_000 * STEP, 60);
        assert_eq!((points.len(), points[0].in_flight), (POINTS, 1));
        // A clock that is set back does not disturb the order.
        assert_eq!(series.points_at(start, 1).len(), 6);
    }
}
