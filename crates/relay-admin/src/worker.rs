//! A thread for work that does not delay requests.

use std::io;
use std::thread::{self, Thread};
use std::time::Duration;

/// The time for which jobs are collected, so that a busy relay wakes the thread seldom. It is the time for which a body is held at
/// most, apart from the work itself.
const BATCH_TIME: Duration = Duration::from_millis(20);

/// Starts the thread of this name. Each time it is woken, it calls `work`, and ends once that returns `false`.
pub(crate) fn start(name: &str, mut work: impl FnMut() -> bool + Send + 'static) -> io::Result<Thread> {
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
