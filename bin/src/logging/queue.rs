//! Log lines on their way out, so that no request waits for a terminal, a pipe or a disk.
//!
//! ```text
//! any thread ──line──▶ LogQueue, bounded ──batch──▶ thread `log` ──▶ output
//! ```
//! A plain writer would let whoever stopped reading (`cc-relay | less`) stop the relay. Here lines beyond the bound are
//! dropped, counted, and the count logged. The lines that gather while the output takes the last ones leave at once,
//! with one call.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Bytes of lines that wait, some five thousand requests; and once more on their way out.
const CAPACITY: usize = 1024 * 1024;
/// How long the end of the process waits for an output that does not take its last lines.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Takes lines from any thread without waiting for the output.
#[derive(Debug, Clone)]
pub(super) struct LogQueue(Arc<Shared>);

/// Waits on drop until what was logged is written.
#[derive(Debug)]
pub(crate) struct Flush(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// There are lines to write, or no more will come.
    filled: Condvar,
    /// Everything is written, for good.
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
    /// Takes `line`, which is a whole one: the formatter hands over each event at once.
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
        // Every state is a valid one, also one that a panic left behind.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what comes until the guard is dropped.
    fn write_to(&self, mut output: impl Write) {
        let mut batch = Vec::new();
        while let Some(lost) = self.next_batch(&mut batch) {
            // There is nobody left to tell that the log cannot be written.
            let _ = output.write_all(&batch).and_then(|()| output.flush());
            batch.clear();
            if lost > 0 {
                tracing::warn!(lost, "log lines were dropped: the output does not keep up");
            }
        }
        self.lock().finished = true;
        self.finished.notify_all();
    }

    /// Waits for lines, moves them to `batch`, and gives the number of those lost meanwhile; `None` at the end.
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
        // Whether it was in time changes nothing: the process ends.
        drop(self.0.finished.wait_timeout_while(state, LAST_WORDS, |state| !state.finished));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// An output that takes a batch only when the test lets it, and shows what it took.
    struct Gate {
        open: mpsc::Receiver<()>,
        taken: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Once the test drops its end the gate stays open.
            let _ = self.open.recv();
            self.taken.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_was_logged_is_written_when_the_guard_is_gone() {
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
    fn an_output_that_stands_still_stops_nobody() {
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
