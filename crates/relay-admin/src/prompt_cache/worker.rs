//! The thread that reads prompts.

use std::io;
use std::thread::{self, Thread};
use std::time::Duration;

/// The time for which jobs are collected, so that a busy relay wakes the thread seldom. It is the time for which a body is held at
/// most, apart from the work itself.
const BATCH_TIME: Duration = Duration::from_millis(20);

/// Starts the thread. Each time it is woken, it calls `work`, and ends once that returns `false`.
pub(super) fn start(mut work: impl FnMut() -> bool + Send + 'static) -> io::Result<Thread> {
    let run = move || {
        loop {
            thread::park();
            thread::sleep(BATCH_TIME);
            if !work() {
                return;
            }
        }
    };
    let thread = thread::Builder::new().name("prompt-cache".to_owned());
    Ok(thread.spawn(run)?.thread().clone())
}
