//! A time in which something is left alone.

use std::time::Duration;

use tokio::time::Instant;

/// Within a long cooldown one request at a time may look, this long after the last refusal, whether it is over already: a
/// limit may be raised, an account be paid.
const TRIAL_AFTER: Duration = Duration::from_secs(60);

/// A time in which a key, or an organisation, is left alone. It ends by itself, and before that with the first success of
/// a request that was sent since.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cooldown(Option<Running>);

#[derive(Debug, Clone, Copy)]
struct Running {
    until: Instant,
    /// The last refusal.
    since: Instant,
    in_trial: bool,
}

impl Cooldown {
    /// When something can be asked for; `None` is now.
    pub(crate) fn wait(&self, now: Instant) -> Option<Duration> {
        let running = self.0.filter(|running| running.until > now)?;
        let at =
            if running.in_trial { running.until } else { running.until.min(running.since + TRIAL_AFTER) };
        Some(at.saturating_duration_since(now)).filter(|wait| !wait.is_zero())
    }

    /// How long it lasts, if nothing ends it.
    pub(crate) fn left(&self, now: Instant) -> Option<Duration> {
        self.0.map(|running| running.until.saturating_duration_since(now)).filter(|left| !left.is_zero())
    }

    /// Takes the one trial that there is within a cooldown. To be called where [`wait`](Self::wait) says now.
    pub(crate) fn begin_trial(&mut self, now: Instant) -> bool {
        match &mut self.0 {
            Some(running) if running.until > now => {
                running.in_trial = true;
                true
            }
            _ => false,
        }
    }

    /// Gives the trial back: nothing is known of how it ended.
    pub(crate) fn end_trial(&mut self) {
        if let Some(running) = &mut self.0 {
            running.in_trial = false;
        }
    }

    /// Begins one, or makes it longer; never shorter, since refusals may come in any order.
    pub(crate) fn extend(&mut self, time: Duration, now: Instant) {
        let until = now + time;
        let until = self.0.map_or(until, |running| running.until.max(until));
        let in_trial = self.0.is_some_and(|running| running.in_trial);
        self.0 = Some(Running { until, since: now, in_trial });
    }

    /// A request that was sent at `asked` has been served: it is over. One that was sent before the last refusal says
    /// nothing.
    pub(crate) fn served(&mut self, asked: Instant) {
        self.0.take_if(|running| running.since <= asked);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn it_ends_by_itself() {
        let start = Instant::now();
        let mut cooldown = Cooldown::default();
        assert_eq!(cooldown.wait(start), None);
        cooldown.extend(10 * SECOND, start);
        assert_eq!(cooldown.wait(start + SECOND), Some(9 * SECOND));
        assert_eq!(cooldown.wait(start + 10 * SECOND), None);
        assert!(!cooldown.begin_trial(start + 10 * SECOND), "no trial is needed behind its end");
    }

    #[test]
    fn a_later_refusal_never_shortens_it() {
        let start = Instant::now();
        let mut cooldown = Cooldown::default();
        cooldown.extend(30 * SECOND, start);
        cooldown.extend(SECOND, start);
        assert_eq!(cooldown.left(start), Some(30 * SECOND));
        cooldown.extend(40 * SECOND, start);
        assert_eq!(cooldown.left(start), Some(40 * SECOND));
        cooldown.served(start);
        assert_eq!((cooldown.left(start), cooldown.wait(start)), (None, None));
    }

    #[test]
    fn a_success_of_a_request_that_was_sent_before_does_not_end_it() {
        let start = Instant::now();
        let mut cooldown = Cooldown::default();
        cooldown.extend(30 * SECOND, start + SECOND);
        cooldown.served(start);
        assert_eq!(cooldown.left(start + SECOND), Some(30 * SECOND));
        cooldown.served(start + SECOND);
        assert_eq!(cooldown.left(start + SECOND), None);
    }

    #[test]
    fn a_long_one_is_tried_by_one_at_a_time() {
        let start = Instant::now();
        let mut cooldown = Cooldown::default();
        cooldown.extend(3600 * SECOND, start);
        assert_eq!(cooldown.wait(start), Some(60 * SECOND));
        let later = start + 60 * SECOND;
        assert_eq!(cooldown.wait(later), None);
        assert!(cooldown.begin_trial(later));
        assert_eq!(cooldown.wait(later), Some(3540 * SECOND), "another is trying it");
        cooldown.end_trial();
        assert_eq!(cooldown.wait(later), None);
        assert!(cooldown.begin_trial(later));
        cooldown.extend(3540 * SECOND, later);
        cooldown.end_trial();
        assert_eq!(cooldown.wait(later), Some(60 * SECOND));
        assert_eq!(cooldown.left(later), Some(3540 * SECOND));
    }
}
