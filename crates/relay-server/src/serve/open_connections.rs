//! The open connections of a relay. At their limit, the one that has been idle for longest makes room for a further one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::activity::Activity;

/// The time in which an idle connection is not closed: its request may be on its way, as on one that was just accepted.
const GRACE: Duration = Duration::from_millis(500);

/// The state of each open connection, by a number. Its size is bounded by the limit of connections.
#[derive(Debug, Default)]
pub(super) struct OpenConnections(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    next: u64,
    activities: HashMap<u64, Arc<Activity>>,
}

impl OpenConnections {
    /// Adds a connection until the result is dropped.
    pub(super) fn add(self: &Arc<Self>, activity: Arc<Activity>) -> OpenConnection {
        let mut entries = self.lock();
        let number = entries.next;
        entries.next += 1;
        entries.activities.insert(number, activity);
        OpenConnection { connections: Arc::clone(self), number }
    }

    /// Asks the connection that has been without a request for the longest time to close, if there is one that has been idle for
    /// [`GRACE`].
    pub(super) fn close_longest_idle(&self) {
        let entries = self.lock();
        let idle =
            entries.activities.values().filter_map(|activity| Some((activity.idle_since()?, activity)));
        let idle = idle.filter(|(since, _)| since.elapsed() >= GRACE);
        if let Some((_, activity)) = idle.min_by_key(|(since, _)| *since) {
            activity.make_room();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        // Every state is valid, also after a panic in another thread.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The entry of one open connection.
#[derive(Debug)]
pub(super) struct OpenConnection {
    connections: Arc<OpenConnections>,
    number: u64,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.connections.lock().activities.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, timeout};

    use super::*;

    async fn makes_room(activity: &Activity) -> bool {
        timeout(Duration::from_millis(1), activity.room_needed()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn the_connection_that_has_been_idle_for_longest_makes_room() {
        let connections = Arc::new(OpenConnections::default());
        let mut entries = Vec::new();
        let mut activities = Vec::new();
        for _ in 0..4 {
            let activity = Arc::new(Activity::new());
            entries.push(connections.add(Arc::clone(&activity)));
            activities.push(activity);
            advance(Duration::from_secs(1)).await;
        }
        activities[0].request_begins(false, false);
        drop(entries.remove(1));
        connections.close_longest_idle();
        assert!(makes_room(&activities[2]).await, "the oldest connection that is idle and open");
        // It is on its way out, so that the next one follows.
        connections.close_longest_idle();
        assert!(makes_room(&activities[3]).await);
        connections.close_longest_idle();
        for index in [0, 1] {
            assert!(!makes_room(&activities[index]).await, "{index}");
        }
        activities[0].request_ends();
        connections.close_longest_idle();
        assert!(!makes_room(&activities[0]).await, "its next request may be on its way");
        advance(GRACE).await;
        connections.close_longest_idle();
        assert!(makes_room(&activities[0]).await);
    }
}
