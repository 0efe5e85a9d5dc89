//! A period during which a key or an organization is not used.

use std::time::{Duration, Instant};

/// The time after the last refusal at which a long cooldown admits a trial request. A limit may have been
/// raised or a bill paid by then.
const TRIAL_AFTER: Duration = Duration::from_secs(60);

/// A period during which a key or an organization is not used.
///
/// It ends with its time, or earlier with the first success of a request that was sent after it began. A
/// cooldown longer than [`TRIAL_AFTER`] admits one trial request at a time, each that long after the last
/// refusal.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cooldown(Option<Running>);

#[derive(Debug, Clone, Copy)]
struct Running {
    until: Instant,
    /// The time of the last refusal.
    since: Instant,
    in_trial: bool,
}

impl Cooldown {
    /// Returns the time until a request is admitted, or `None` if one is admitted now.
    pub(crate) fn wait_time(&self, now: Instant) -> Option<Duration> {
        let running = self.0.filter(|running| running.until > now)?;
        let at =
            if running.in_trial { running.until } else { running.until.min(running.since + TRIAL_AFTER) };
        Some(at.saturating_duration_since(now)).filter(|wait| !wait.is_zero())
    }

    /// Returns the time until the cooldown ends if no success ends it earlier, or `None` outside of a
    /// cooldown.
    pub(crate) fn remaining(&self, now: Instant) -> Option<Duration> {
        self.0.map(|running| running.until.saturating_duration_since(now)).filter(|left| !left.is_zero())
    }

    /// Returns `true` if a cooldown was started and neither its success nor a check of the time has ended it.
    pub(crate) fn is_running(&self) -> bool {
        self.0.is_some()
    }

    /// Begins the single trial of a running cooldown. Returns `false` if no cooldown is running.
    ///
    /// The caller checks first that [`wait_time`](Self::wait_time) is `None`.
    pub(crate) fn begin_trial(&mut self, now: Instant) -> bool {
        match &mut self.0 {
            Some(running) if running.until > now => {
                running.in_trial = true;
                true
            }
            _ => false,
        }
    }

    /// Ends the trial without a result.
    pub(crate) fn end_trial(&mut self) {
        if let Some(running) = &mut self.0 {
            running.in_trial = false;
        }
    }

    /// Starts a cooldown or prolongs the running one. It is never shortened, because refusals may arrive in
    /// any order.
    pub(crate) fn extend(&mut self, time: Duration, now: Instant) {
        let until = now + time;
        let until = self.0.map_or(until, |running| running.until.max(until));
        let in_trial = self.0.is_some_and(|running| running.in_trial);
        self.0 = Some(Running { until, since: now, in_trial });
    }

    /// Ends the cooldown. Returns `true` if it was running.
    pub(crate) fn end(&mut self, now: Instant) -> bool {
        let was_running = self.remaining(now).is_some();
        self.0 = None;
        was_running
    }

    /// Ends the cooldown after the success of a request that was sent at `sent_at`.
    ///
    /// A request that was sent before the last refusal proves nothing, and the cooldown goes on.
    pub(crate) fn record_success(&mut self, sent_at: Instant) {
        self.0.take_if(|running| running.since <= sent_at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_cooldown_ends_with_its_time() {
        let start = clock::now();
        let mut cooldown = Cooldown::default();
        assert_eq!(cooldown.wait_time(start), None);
        cooldown.extend(10 * SECOND, start);
        assert_eq!(cooldown.wait_time(start + SECOND), Some(9 * SECOND));
        assert_eq!(cooldown.wait_time(start + 10 * SECOND), None);
        assert!(!cooldown.begin_trial(start + 10 * SECOND), "no trial is needed after its end");
    }

    #[test]
    fn a_later_refusal_never_shortens_it() {
        let start = clock::now();
        let mut cooldown = Cooldown::default();
        cooldown.extend(30 * SECOND, start);
        cooldown.extend(SECOND, start);
        assert_eq!(cooldown.remaining(start), Some(30 * SECOND));
        cooldown.extend(40 * SECOND, start);
        assert_eq!(cooldown.remaining(start), Some(40 * SECOND));
        cooldown.record_success(start);
        assert_eq!((cooldown.remaining(start), cooldown.wait_time(start)), (None, None));
    }

    #[test]
    fn a_success_of_a_request_sent_before_the_refusal_does_not_end_it() {
        let start = clock::now();
        let mut cooldown = Cooldown::default();
        cooldown.extend(30 * SECOND, start + SECOND);
        cooldown.record_success(start);
        assert_eq!(cooldown.remaining(start + SECOND), Some(30 * SECOND));
        cooldown.record_success(start + SECOND);
        assert_eq!(cooldown.remaining(start + SECOND), None);
    }

    #[test]
    fn a_long_cooldown_admits_one_trial_at_a_time() {
        let start = clock::now();
        let mut cooldown = Cooldown::default();
        cooldown.extend(3600 * SECOND, start);
        assert_eq!(cooldown.wait_time(start), Some(60 * SECOND));
        let later = start + 60 * SECOND;
        assert_eq!(cooldown.wait_time(later), None);
        assert!(cooldown.begin_trial(later));
        assert_eq!(cooldown.wait_time(later), Some(3540 * SECOND), "another request is the trial");
        cooldown.end_trial();
        assert_eq!(cooldown.wait_time(later), None);
        assert!(cooldown.begin_trial(later));
        cooldown.extend(3540 * SECOND, later);
        cooldown.end_trial();
        assert_eq!(cooldown.wait_time(later), Some(60 * SECOND));
        assert_eq!(cooldown.remaining(later), Some(3540 * SECOND));
    }
}
