//! A bounded queue between the log and its output, so that no request waits for a terminal, a pipe or a disk.
//!
//! ```text
//! any thread ──line──▶ LogQueue, bounded ──batch──▶ thread `log` ──▶ output
//! ```
//! With a plain writer, a reader that stops reading (`cc-relay | less`) would stop the relay. If the queue is full,
//! lines are dropped and counted, and the count is logged. Lines that arrive during a write are written together by
//! the next one.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// The most bytes that wait in the queue: the lines of about five thousand requests. A batch of the same size may be
/// in the hands of the writer.
const CAPACITY: usize = 1024 * 1024;
/// The longest time for which the end of the process waits for the output to take the last lines.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The writer of the log. It takes lines from any thread and never waits for the output.
#[derive(Debug, Clone)]
pub(super) struct LogQueue(Arc<Shared>);

/// A guard that, when dropped, waits until all logged lines are written.
#[derive(Debug)]
pub(crate) struct Flush(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Notified when there are lines to write, or when no further line will come.
    filled: Condvar,
    /// Notified when the last line has been written.
    finished: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<u8>,
    lost: u64,
    closing: bool,
    finished: bool,
}

impl LogQueue {
    /// Starts the thread that writes to `output`.
    pub(super) fn start(output: impl Write + Send + 'static) -> io::Result<(Self, Flush)> {
        let shared = Arc::new(Shared::default());
        let writer = Arc::clone(&shared);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || writer.write_to(output))?;
        Ok((Self(Arc::clone(&shared)), Flush(shared)))
    }
}

impl<'a> MakeWriter<'a> for LogQueue {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> &'a Self {
        self
    }
}

impl Write for &LogQueue {
    /// Adds `line`. It is complete, since the formatter writes each event with one call.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock();
        if state.lines.len() + line.len() <= CAPACITY {
            state.lines.extend_from_slice(line);
            self.0.filled.notify_one();
        } else {
            state.lost += 1;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every state is valid, also after a panic in another thread.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes batches to the output until the guard is dropped.
    fn write_to(&self, mut output: impl Write) {
        let mut batch = Vec::new();
        while let Some(lost) = self.next_batch(&mut batch) {
            // A log that cannot be written has no place to report that.
            let _ = output.write_all(&batch).and_then(|()| output.flush());
            batch.clear();
            if lost > 0 {
                tracing::warn!(lost, "log lines were dropped: the output is too slow");
            }
        }
        self.lock().finished = true;
        self.finished.notify_all();
    }

    /// Waits for lines, moves them to `batch`, and returns the number of lines dropped meanwhile. Returns `None` at the
    /// end.
    fn next_batch(&self, batch: &mut Vec<u8>) -> Option<u64> {
        let state = self.lock();
        let idle = |state: &mut State| state.lines.is_empty() && !state.closing;
        let mut state = self.filled.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner);
        if state.lines.is_empty() {
            return None;
        }
        std::mem::swap(&mut state.lines, batch);
        Some(std::mem::take(&mut state.lost))
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.closing = true;
        self.0.filled.notify_one();
        // The process ends, also if the time was too short.
        drop(self.0.finished.wait_timeout_while(state, LAST_WORDS, |state| !state.finished));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// An output that accepts a batch only when the test permits it, and records the bytes.
    struct Gate {
        open: mpsc::Receiver<()>,
        taken: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // After the test has dropped its end, every write passes.
            let _ = self.open.recv();
            self.taken.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn all_logged_lines_are_written_before_the_guard_is_gone() {
        let (gate, open) = mpsc::channel();
        drop(gate);
        let taken = Arc::new(Mutex::new(Vec::new()));
        let (queue, flush) = LogQueue::start(Gate { open, taken: Arc::clone(&taken) }).unwrap();
        for line in 0..1000 {
            writeln!(&queue, "{line}").unwrap();
        }
        drop(flush);
        let expected: String = (0..1000).map(|line| format!("{line}\n")).collect();
        assert_eq!(String::from_utf8(taken.lock().unwrap().clone()).unwrap(), expected);
    }

    #[test]
    fn a_blocked_output_does_not_block_the_writers() {
        let (gate, open) = mpsc::channel();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let (queue, flush) = LogQueue::start(Gate { open, taken: Arc::clone(&taken) }).unwrap();
        let line = [b'x'; 1024];
        for _ in 0..4 * CAPACITY / line.len() {
            (&queue).write_all(&line).unwrap();
        }
        drop(gate);
        drop(flush);
        let taken = taken.lock().unwrap().len();
        assert!((CAPACITY..=2 * CAPACITY).contains(&taken), "{taken} bytes were kept");
    }
}
