//! A guard against jumps of the wall clock.

use std::time::{Duration, Instant, SystemTime};

/// The largest difference between the clocks in one interval that is not a jump.
const TOLERANCE: Duration = Duration::from_secs(3600);

/// The wall clock beside the monotonic one.
#[derive(Debug)]
pub(super) struct WallClock {
    wall: SystemTime,
    monotonic: Instant,
}

impl WallClock {
    pub(super) fn new() -> Self {
        Self { wall: SystemTime::now(), monotonic: Instant::now() }
    }

    /// Returns `false` if the wall clock has jumped since the last call. Rows are not deleted then: a clock that was set to a wrong
    /// year for a moment would make all of them old.
    pub(super) fn is_steady(&mut self) -> bool {
        self.is_steady_at(Self::new())
    }

    fn is_steady_at(&mut self, now: Self) -> bool {
        let expected = self.wall + now.monotonic.saturating_duration_since(self.monotonic);
        let off = now.wall.duration_since(expected).unwrap_or_else(|before| before.duration());
        *self = now;
        off <= TOLERANCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_is_noticed_once_and_the_new_time_is_then_the_true_one() {
        let mut clock = WallClock::new();
        let (wall, monotonic) = (clock.wall, clock.monotonic);
        let mut check = |wall_days: u64, days: u64, expected| {
            let day = Duration::from_secs(86_400);
            let now =
                WallClock { wall: wall + day * wall_days as u32, monotonic: monotonic + day * days as u32 };
            assert_eq!(clock.is_steady_at(now), expected);
        };
        check(1, 1, true);
        check(3650, 2, false);
        check(3651, 3, true);
        check(4, 4, false);
        check(5, 5, true);
    }
}
