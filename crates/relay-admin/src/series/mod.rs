//! The figures of the last hour, in steps of ten seconds.

mod histogram;
mod open;
mod step;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use relay_server::{RecordHandle, RecordSubscriber, RequestRecord};

use self::open::Open;
use self::step::{start_of, step_of};
use crate::model::Point;
use crate::recent::is_probe;

pub use self::step::STEP;

/// The number of points that are kept: an hour.
const POINTS: usize = 360;

/// The figures of the last hour, in steps of ten seconds. Clones share them.
///
/// A request counts in the step in which it ends. About 200 KB are kept, whatever the traffic is.
#[derive(Clone)]
pub struct Series(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    in_flight: u32,
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
        let mut state = self.lock();
        state.advance(now);
        let mut known = state.points.iter().cloned().collect::<VecDeque<_>>();
        known.push_back(Arc::new(state.open.point(state.in_flight)));
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Closes the open point if `step` is later.
    fn advance(&mut self, step: u64) {
        if step <= self.open.step {
            return;
        }
        if self.open.step > 0 {
            self.push(self.open.point(self.in_flight));
        }
        if self.in_flight > 0 {
            let skipped = (self.open.step + 1).max(step.saturating_sub(POINTS as u64));
            (skipped..step).for_each(|step| self.push(Point::empty(start_of(step), self.in_flight)));
        }
        self.open.restart(step, self.in_flight);
    }

    fn push(&mut self, point: Point) {
        self.points.push_back(Arc::new(point));
        if self.points.len() >= POINTS {
            self.points.pop_front();
        }
    }
}

impl RecordSubscriber for Series {
    fn started(&self, _: &RecordHandle) {
        let step = step_of(SystemTime::now());
        let mut state = self.lock();
        state.advance(step);
        state.in_flight += 1;
        state.open.peak = state.open.peak.max(state.in_flight);
    }

    fn finished(&self, record: &Arc<RequestRecord>) {
        let step = step_of(record.started_at + record.duration());
        let mut state = self.lock();
        state.advance(step);
        state.in_flight = state.in_flight.saturating_sub(1);
        if !is_probe(record) {
            state.open.add(record);
        }
    }
}

impl Default for Series {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Series").field("points", &self.lock().points.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_request_under_way_is_part_of_every_step_that_it_covers() {
        let (series, start) = (Series::new(), UNIX_EPOCH + Duration::from_secs(1_795_651_200));
        let mut state = series.lock();
        state.advance(step_of(start));
        (state.in_flight, state.open.peak) = (2, 3);
        state.advance(step_of(start + 3 * STEP));
        state.in_flight = 0;
        state.advance(step_of(start + 4 * STEP));
        drop(state);
        let points = series.points_at(start + 5 * STEP, 1);
        let in_flight: Vec<_> = points.iter().map(|point| point.in_flight).collect();
        assert_eq!(in_flight, [3, 2, 2, 2, 0, 0]);
        let starts: Vec<_> = points.iter().map(|point| point.unix_ms / 1000 - 1_795_651_200).collect();
        assert_eq!(starts, [0, 10, 20, 30, 40, 50]);
    }

    #[test]
    fn an_hour_is_kept_and_a_long_pause_costs_no_more() {
        let (series, start) = (Series::new(), UNIX_EPOCH + Duration::from_secs(1_795_651_200));
        let mut state = series.lock();
        state.advance(step_of(start));
        state.in_flight = 1;
        state.advance(step_of(start + 100_000 * STEP));
        assert!(state.points.len() < POINTS, "{}", state.points.len());
        drop(state);
        let points = series.points_at(start + 100_000 * STEP, 60);
        assert_eq!((points.len(), points[0].in_flight), (POINTS, 1));
        // A clock that is set back does not disturb the order.
        assert_eq!(series.points_at(start, 1).len(), 6);
    }
}
