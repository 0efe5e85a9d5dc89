//! A bounded queue between the log and its output, so that no request waits for a terminal, a pipe or a disk.
//!
//! ```text
//! any thread ──line──▶ LogQueue, bounded ──batch──▶ thread `log` ─Redactor─▶ Output
//! ```
//! With a plain writer, a reader that stops reading (`cc-relay | less`) would stop the relay. If the queue is full,
//! lines are dropped and counted, and the count is logged. The first line after a pause is written at once. After each
//! write the thread rests for some milliseconds, and then writes all lines that have arrived: under load no request
//! wakes the thread. If the output fails, standard error reports it once, and the log counts the lost lines once it
//! works again.

use std::collections::HashSet;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use relay_config::Secret;
use tracing_subscriber::fmt::MakeWriter;

use super::output::Output;
use super::redact::Redactor;

/// The most bytes that wait in the queue: the lines of about five thousand requests. A batch of the same size may be
/// in the hands of the writer.
const CAPACITY: usize = 1024 * 1024;
/// The time from one write to the next, unless the queue holds [`BATCH`] bytes before. A terminal shows each line well
/// before a reader could notice the delay.
const REST: Duration = Duration::from_millis(5);
/// The number of waiting bytes that ends a rest.
const BATCH: usize = 64 * 1024;
/// The number of secrets of earlier configurations that are kept.
const KEPT_SECRETS: usize = 10_000;
/// The longest time for which the end of the process waits for the output to take the last lines.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The writer of the log. It takes lines from any thread and never waits for the output.
#[derive(Debug, Clone)]
pub(super) struct LogQueue(Arc<Shared>);

/// The running log. When dropped, it waits until all logged lines are written.
#[derive(Debug)]
pub(crate) struct Log(Arc<Shared>);

impl Log {
    /// Opens a log file again, before the next line is written.
    pub(crate) fn reopen(&self) {
        let mut state = self.0.lock();
        state.reopens = true;
        self.0.woken.notify_one();
    }

    /// Access to the secrets that are removed from all lines.
    pub(crate) fn secrets(&self) -> LogSecrets {
        LogSecrets(Arc::clone(&self.0))
    }

    /// Returns a function that counts the lines that were dropped since the start: the queue was full, or the output failed.
    pub(crate) fn dropped(&self) -> impl Fn() -> u64 + Send + Sync + use<> {
        let shared = Arc::clone(&self.0);
        move || shared.lock().dropped()
    }
}

/// Access to the secrets that are removed from all lines of the log.
#[derive(Debug)]
pub(crate) struct LogSecrets(Arc<Shared>);

impl LogSecrets {
    /// Access to a log that does not exist.
    #[cfg(test)]
    pub(crate) fn unused() -> Self {
        Self(Arc::default())
    }

    /// Removes `secrets` from all lines that are written from now on, with those of earlier calls: requests under an earlier
    /// configuration may be under way, and a client may send an old key. Of these, the last 10,000 are kept.
    pub(crate) fn add(&self, secrets: Vec<Secret>) {
        let new: HashSet<_> = secrets.iter().map(Secret::expose).collect();
        let mut all = self.0.lock().secrets.clone();
        all.retain(|secret| !new.contains(secret.expose()));
        all.drain(..all.len().saturating_sub(KEPT_SECRETS));
        all.extend(secrets);
        let redactor = Arc::new(Redactor::new(&all));
        let mut state = self.0.lock();
        (state.redactor, state.secrets) = (redactor, all);
    }
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Notified when the thread waits for what has just happened: lines to write, a reopening, or the end.
    woken: Condvar,
    /// Notified when the last line has been written.
    finished: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<u8>,
    /// The number of bytes in `lines` that the thread waits for, or `None` if it does not wait or has been notified.
    awaited: Option<usize>,
    /// The number of lines that were dropped since the last batch.
    lost: u64,
    /// The number of lines that were dropped before the last batch, or that the output did not take.
    lost_before: u64,
    redactor: Arc<Redactor>,
    /// The secrets of the present and of earlier configurations, the oldest first.
    secrets: Vec<Secret>,
    reopens: bool,
    closing: bool,
    finished: bool,
}

impl LogQueue {
    /// Starts the thread that writes to `output`.
    pub(super) fn start(output: Output) -> io::Result<(Self, Log)> {
        Self::start_with_rest(output, REST)
    }

    /// Starts the thread that writes to `output`, and rests for `rest` after each write.
    fn start_with_rest(output: Output, rest: Duration) -> io::Result<(Self, Log)> {
        let shared = Arc::new(Shared::default());
        let writer = Arc::clone(&shared);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || writer.write_to(output, rest))?;
        Ok((Self(Arc::clone(&shared)), Log(shared)))
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
        let is_awaited = self.0.lock().push(line);
        // After the lock is released, since the thread would wait for the lock otherwise.
        if is_awaited {
            self.0.woken.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl State {
    /// Adds `line`, or counts it as lost. Returns `true` if the thread is to be notified.
    fn push(&mut self, line: &[u8]) -> bool {
        if self.lines.len() + line.len() > CAPACITY {
            self.lost += 1;
            return false;
        }
        self.lines.extend_from_slice(line);
        let length = self.lines.len();
        self.awaited.take_if(|awaited| length >= *awaited).is_some()
    }

    /// The number of lines that were dropped since the start.
    fn dropped(&self) -> u64 {
        self.lost_before + self.lost
    }

    /// Returns `true` if the thread has nothing to do until there are `bytes` bytes of lines.
    fn is_below(&self, bytes: usize) -> bool {
        self.lines.len() < bytes && !self.reopens && !self.closing
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every state is valid, also after a panic in another thread.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes batches to the output until the log is dropped.
    fn write_to(&self, output: Output, rest: Duration) {
        let mut batch = Batch::default();
        let mut output = Reported { output, lost: 0, has_failed: false };
        while self.next_batch(&mut batch) {
            let failed = output.write(&batch);
            if failed > 0 {
                self.lock().lost_before += failed as u64;
            }
            batch.lines.clear();
            if batch.lost > 0 {
                tracing::warn!(lost = batch.lost, "log lines were dropped: the output is too slow");
            }
            self.rest(rest);
        }
        self.lock().finished = true;
        self.finished.notify_all();
    }

    /// Waits until `rest` has passed, unless there is a whole batch, a reopening or the end before.
    fn rest(&self, rest: Duration) {
        let mut state = self.lock();
        state.awaited = Some(BATCH);
        let waited = self.woken.wait_timeout_while(state, rest, |state| state.is_below(BATCH));
        waited.unwrap_or_else(PoisonError::into_inner).0.awaited = None;
    }

    /// Waits for lines and moves them to `batch`. Returns `false` at the end.
    fn next_batch(&self, batch: &mut Batch) -> bool {
        let mut state = self.lock();
        state.awaited = Some(1);
        let waited = self.woken.wait_while(state, |state| state.is_below(1));
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        state.awaited = None;
        if state.lines.is_empty() && !state.reopens {
            return false;
        }
        std::mem::swap(&mut state.lines, &mut batch.lines);
        batch.lost = std::mem::take(&mut state.lost);
        state.lost_before += batch.lost;
        let redactor = Arc::clone(&state.redactor);
        batch.reopens = std::mem::take(&mut state.reopens);
        drop(state);
        if let Some(redacted) = redactor.redact(&batch.lines) {
            batch.lines = redacted;
        }
        true
    }
}

/// The work of one turn of the writer.
#[derive(Debug, Default)]
struct Batch {
    lines: Vec<u8>,
    /// The number of lines that were dropped since the last batch.
    lost: u64,
    /// True if the file is to be reopened first.
    reopens: bool,
}

/// An output whose failures are reported.
struct Reported {
    output: Output,
    /// The number of lines that were lost since the output has failed.
    lost: usize,
    has_failed: bool,
}

impl Reported {
    /// Writes `batch` and returns the number of lines that are lost with it.
    fn write(&mut self, batch: &Batch) -> usize {
        let reopened = if batch.reopens { self.output.reopen() } else { Ok(()) };
        // A failed write may have cut a line.
        let written = match self.lost > 0 && !batch.lines.is_empty() {
            true => self.output.write(b"\n").and_then(|()| self.output.write(&batch.lines)),
            false => self.output.write(&batch.lines),
        };
        let failed = match written {
            Ok(()) => 0,
            Err(_) => batch.lines.iter().filter(|byte| **byte == b'\n').count(),
        };
        self.lost += failed;
        match written.and(reopened) {
            Err(error) if !std::mem::replace(&mut self.has_failed, true) => report(&error),
            Err(_) => {}
            Ok(()) if std::mem::take(&mut self.has_failed) => {
                let lost = std::mem::take(&mut self.lost);
                tracing::warn!(lost, "the log can be written again; lines before this one may be missing");
            }
            Ok(()) => {}
        }
        failed
    }
}

/// Reports on standard error that the log cannot be written.
fn report(error: &io::Error) {
    // There is no further place to report to.
    let _ = writeln!(
        io::stderr(),
        "cc-relay: cannot write the log: {error}; lines are lost until it can be written again"
    );
}

impl Drop for Log {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.closing = true;
        self.0.woken.notify_one();
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

    /// An output that passes each write on to the test.
    struct Writes(mpsc::Sender<String>);

    impl Write for Writes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.send(String::from_utf8(bytes.to_vec()).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Starts a queue whose rest after each write does not end by itself, and writes one line.
    fn resting() -> (LogQueue, Log, mpsc::Receiver<String>) {
        let (sender, writes) = mpsc::channel();
        let output = Output::Stream(Box::new(Writes(sender)));
        let (queue, log) = LogQueue::start_with_rest(output, Duration::from_secs(3600)).unwrap();
        writeln!(&queue, "first").unwrap();
        assert_eq!(writes.recv().unwrap(), "first\n", "a line after a pause is written at once");
        (queue, log, writes)
    }

    #[test]
    fn lines_of_a_rest_are_written_together_and_the_end_does_not_wait() {
        let (queue, log, writes) = resting();
        writeln!(&queue, "second").unwrap();
        writeln!(&queue, "third").unwrap();
        assert!(writes.try_recv().is_err(), "a line was written during the rest");
        drop(log);
        assert_eq!(writes.try_iter().collect::<Vec<_>>(), ["second\nthird\n"]);
    }

    #[test]
    fn the_secrets_of_earlier_configurations_are_still_removed() {
        let (queue, log, writes) = resting();
        for secret in ["first-key", "second-key", "first-key"] {
            log.secrets().add(vec![Secret::new(secret)]);
        }
        writeln!(&queue, "a first-key and a second-key").unwrap();
        drop(log);
        assert_eq!(writes.recv().unwrap(), "a *** and a ***\n");
    }

    #[test]
    fn a_whole_batch_ends_a_rest() {
        let (queue, _log, writes) = resting();
        let line = [b'x'; 1024];
        for _ in 0..BATCH / line.len() {
            (&queue).write_all(&line).unwrap();
        }
        assert_eq!(writes.recv().unwrap().len(), BATCH);
    }

    #[test]
    fn a_reopening_ends_a_rest() {
        let (queue, log, writes) = resting();
        writeln!(&queue, "second").unwrap();
        log.reopen();
        assert_eq!(writes.recv().unwrap(), "second\n");
    }

    #[test]
    fn lines_are_notified_only_if_the_thread_waits_for_them() {
        let mut state = State::default();
        assert!(!state.push(b"a\n"), "the thread is busy");
        state.awaited = Some(6);
        assert!(!state.push(b"b\n"), "the thread waits for more");
        assert!(state.push(b"c\n"));
        assert!(!state.push(b"d\n"), "the thread has been notified");
    }

    #[test]
    fn all_logged_lines_are_written_before_the_log_is_dropped() {
        let (gate, open) = mpsc::channel();
        drop(gate);
        let taken = Arc::new(Mutex::new(Vec::new()));
        let (queue, log) =
            LogQueue::start(Output::Stream(Box::new(Gate { open, taken: Arc::clone(&taken) }))).unwrap();
        for line in 0..1000 {
            writeln!(&queue, "{line}").unwrap();
        }
        drop(log);
        let expected: String = (0..1000).map(|line| format!("{line}\n")).collect();
        assert_eq!(String::from_utf8(taken.lock().unwrap().clone()).unwrap(), expected);
    }

    #[test]
    fn a_blocked_output_does_not_block_the_writers() {
        let (gate, open) = mpsc::channel();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let (queue, log) =
            LogQueue::start(Output::Stream(Box::new(Gate { open, taken: Arc::clone(&taken) }))).unwrap();
        let line = [b'x'; 1024];
        let lines = 4 * CAPACITY / line.len();
        for _ in 0..lines {
            (&queue).write_all(&line).unwrap();
        }
        let dropped = log.dropped();
        assert!(dropped() > 0, "dropped lines are counted while the output is blocked");
        drop(gate);
        drop(log);
        let taken = taken.lock().unwrap().len();
        assert!((CAPACITY..=2 * CAPACITY).contains(&taken), "{taken} bytes were kept");
        assert_eq!(dropped(), (lines - taken / line.len()) as u64, "each line is either written or counted");
    }

    /// An output that is full.
    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_the_output_does_not_take_are_counted() {
        let (queue, log) = LogQueue::start(Output::Stream(Box::new(Full))).unwrap();
        for line in 0..10 {
            writeln!(&queue, "{line}").unwrap();
        }
        let dropped = log.dropped();
        drop(log);
        assert_eq!(dropped(), 10);
    }
}
