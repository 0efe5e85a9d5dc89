//! A thread for work that does not delay requests.

use std::io;
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;

/// The time for which jobs are collected, so that a busy relay wakes the thread seldom. It is the time for which a body is held at
/// most, apart from the work itself.
const BATCH_TIME: Duration = Duration::from_millis(20);

/// A thread that works on a shared value, and belongs to it. It ends once that value has been dropped.
#[derive(Debug, Default)]
pub(crate) struct Worker(
    /// The thread, from the first wake-up on; `None` if it could not be started.
    OnceLock<Option<Thread>>,
);

impl Worker {
    /// Wakes the thread, which then calls `work` with `shared`. The first call starts it, with this name. Without a thread, `work` is
    /// called here.
    pub(crate) fn wake<T>(&self, name: &str, shared: &Arc<T>, work: fn(&T))
    where
        T: Send + Sync + 'static,
    {
        let start = || {
            let shared = Arc::downgrade(shared);
            start(name, move || shared.upgrade().map(|shared| work(&shared)).is_some()).ok()
        };
        match self.0.get_or_init(start) {
            Some(thread) => thread.unpark(),
            None => work(shared),
        }
    }

    /// Creates one whose thread is that of the caller, and never works.
    #[cfg(test)]
    pub(crate) fn idle() -> Self {
        Self(Some(thread::current()).into())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(Some(thread)) = self.0.get() {
            thread.unpark();
        }
    }
}

/// Starts the thread of this name. Each time it is woken, it calls `work`, and ends once that returns `false`.
fn start(name: &str, mut work: impl FnMut() -> bool + Send + 'static) -> io::Result<Thread> {
    let run = move || {
        loop {
            thread::park();
            thread::sleep(BATCH_TIME);
            if !work() {
                return;
            }
        }
    };
    Ok(thread::Builder::new().name(name.to_owned()).spawn(run)?.thread().clone())
}
