//! A thread for work that does not delay requests.

use std::io;
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// The time for which jobs are collected, so that a busy relay wakes the thread seldom. It is the time for which a body is held at
/// most, apart from the work itself.
const BATCH_TIME: Duration = Duration::from_millis(20);

/// The time without a wake-up after which the thread rests.
const REST_TIME: Duration = Duration::from_secs(1);

/// A thread that works on a shared value, and belongs to it. It ends once that value has been dropped.
#[derive(Debug, Default)]
pub(crate) struct Worker(
    /// The thread, from the first wake-up on; `None` if it could not be started.
    OnceLock<Option<Thread>>,
);

impl Worker {
    /// Wakes the thread, which then calls `work` with `shared`, and `rest` once it has not been woken for a second. The first call
    /// starts it, with this name. Without a thread, `work` is called here.
    pub(crate) fn wake<T>(&self, name: &str, shared: &Arc<T>, work: fn(&T), rest: fn(&T))
    where
        T: Send + Sync + 'static,
    {
        let start = || {
            let shared = Arc::downgrade(shared);
            let call = move |step| {
                let step = match step {
                    Step::Work => work,
                    Step::Rest => rest,
                };
                shared.upgrade().map(|shared| step(&shared)).is_some()
            };
            start(name, call).ok()
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

/// A step of the thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Work,
    Rest,
}

/// Starts the thread of this name. Each time it is woken, it calls `call` with [`Step::Work`], and then, if it is not woken for
/// [`REST_TIME`], once with [`Step::Rest`]. It ends once that returns `false`.
fn start(name: &str, mut call: impl FnMut(Step) -> bool + Send + 'static) -> io::Result<Thread> {
    let run = move || {
        thread::park();
        loop {
            thread::sleep(BATCH_TIME);
            if !call(Step::Work) {
                return;
            }
            let worked = Instant::now();
            thread::park_timeout(REST_TIME);
            if worked.elapsed() >= REST_TIME {
                if !call(Step::Rest) {
                    return;
                }
                thread::park();
            }
        }
    };
    Ok(thread::Builder::new().name(name.to_owned()).spawn(run)?.thread().clone())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{RecvTimeoutError, channel};

    use super::*;

    #[test]
    fn the_thread_rests_once_after_its_last_work() {
        let (steps, received) = channel();
        let thread = start("test", move |step| steps.send(step).is_ok()).unwrap();
        let limit = 10 * REST_TIME;
        for _ in 0..2 {
            thread.unpark();
            assert_eq!(received.recv_timeout(limit), Ok(Step::Work));
            assert_eq!(received.recv_timeout(limit), Ok(Step::Rest));
        }
        assert_eq!(received.recv_timeout(2 * REST_TIME), Err(RecvTimeoutError::Timeout));
        drop(received);
        thread.unpark();
    }
}
