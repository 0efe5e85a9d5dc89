//! The new process, as the old one sees it.

use std::ffi::OsString;
use std::future::pending;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::{Child, Command};
use std::time::Duration;

use relay_messages::ErrorChain;
use relay_server::SocketFile;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::time::{sleep, timeout};

use super::error::HandOverError;
use super::{FAILED, READY, READY_TIME, SERVE, SERVING, VARIABLE, wire};
use crate::sockets::Duplicate;

/// The longest answer of a new process, in bytes.
const ANSWER: u64 = 16 * 1024;
/// The end of the path of a file that was removed, as Linux shows the program of a process.
const REMOVED: &str = " (deleted)";

/// The hand-over of the sockets to a new process.
pub(crate) struct HandOver {
    sockets: Vec<Duplicate>,
    attempt: Option<Attempt>,
}

type Attempt = Pin<Box<dyn Future<Output = Result<Successor, HandOverError>> + Send>>;

impl HandOver {
    pub(crate) fn new(sockets: Vec<Duplicate>) -> Self {
        Self { sockets, attempt: None }
    }

    /// Starts a new process, unless one has been started that is not ready yet.
    pub(crate) fn begin(&mut self) {
        if self.attempt.is_some() {
            tracing::warn!("SIGUSR2 is ignored: a hand-over is in progress");
        } else if std::process::id() == 1 {
            // With process 1 its container ends, and every other process in it.
            tracing::warn!("SIGUSR2 is ignored: this is process 1 of its container, which ends with it");
        } else {
            match Started::new(&self.sockets) {
                Ok(started) => {
                    tracing::info!(pid = started.id(), limit = ?READY_TIME, "SIGUSR2: a new process is started");
                    self.attempt = Some(Box::pin(started.serve()));
                }
                Err(error) => log_failure(&error),
            }
        }
    }

    /// Waits until a new process accepts connections. An attempt that fails is logged.
    pub(crate) async fn served(&mut self) -> Successor {
        loop {
            let Some(attempt) = &mut self.attempt else { return pending().await };
            let result = attempt.await;
            self.attempt = None;
            match result {
                Ok(successor) => return successor,
                Err(error) => log_failure(&error),
            }
        }
    }

    /// Ends an attempt, and closes the duplicates of the sockets.
    pub(crate) fn close(&mut self) {
        if self.attempt.take().is_some() {
            tracing::warn!("the hand-over is given up, and the new process is killed: this process stops");
        }
        self.sockets.clear();
    }

    /// Leaves the files of Unix sockets to the new process.
    pub(crate) fn keep_files(&self) {
        self.sockets.iter().filter_map(|socket| socket.file.as_ref()).for_each(SocketFile::keep);
    }
}

fn log_failure(error: &HandOverError) {
    tracing::error!(error = %ErrorChain(error), "the hand-over has failed; this process serves as before");
}

/// A new process that accepts connections. When the value is dropped, it reports to the service manager.
#[derive(Debug)]
pub(crate) struct Successor {
    pid: u32,
    _stream: Stream,
}

type Stream = BufReader<tokio::net::UnixStream>;

impl Successor {
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }
}

/// A new process that does not serve yet. It is killed when it is dropped.
struct Started {
    process: Option<Child>,
    stream: UnixStream,
}

impl Started {
    fn new(sockets: &[Duplicate]) -> Result<Self, HandOverError> {
        let (mut stream, theirs) = UnixStream::pair().map_err(HandOverError::Send)?;
        wire::send(&mut stream, sockets).map_err(HandOverError::Send)?;
        let mut arguments = std::env::args_os();
        // The name by which this process was started: a file that has replaced the old one is used.
        let program = arguments.next().unwrap_or_default();
        let arguments: Vec<_> = arguments.collect();
        let process = match start(program.into(), &arguments, &theirs) {
            Err(HandOverError::Start { program, source }) if source.kind() == ErrorKind::NotFound => {
                start(own_file().unwrap_or(program), &arguments, &theirs)?
            }
            result => result?,
        };
        Ok(Self { process: Some(process), stream })
    }

    fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Lets the process serve once it is ready, and waits until it does.
    async fn serve(mut self) -> Result<Successor, HandOverError> {
        let stream = self.stream.try_clone().map_err(HandOverError::Answer)?;
        stream.set_nonblocking(true).map_err(HandOverError::Answer)?;
        let stream = tokio::net::UnixStream::from_std(stream).map_err(HandOverError::Answer)?;
        let mut stream = BufReader::new(stream);
        let serves = async {
            self.expect(&mut stream, READY).await?;
            // An error means that the process has ended, which the next answer shows.
            let _ = stream.write_all(SERVE).await;
            self.expect(&mut stream, SERVING).await
        };
        timeout(READY_TIME, serves).await.map_err(|_| HandOverError::Late(READY_TIME))??;
        let pid = self.process.take().map_or(0, |process| process.id());
        Ok(Successor { pid, _stream: stream })
    }

    /// Reads the next answer of the process.
    ///
    /// # Errors
    /// The reason, if the answer is another one.
    async fn expect(&mut self, stream: &mut Stream, expected: &str) -> Result<(), HandOverError> {
        let mut answer = String::new();
        if let Err(error) = stream.take(ANSWER).read_line(&mut answer).await {
            return Err(match error.kind() {
                // The process has ended before it has read the sockets.
                ErrorKind::ConnectionReset => self.ended().await,
                _ => HandOverError::Answer(error),
            });
        }
        match (answer.trim_end(), answer.strip_prefix(FAILED)) {
            (answer, _) if answer == expected => Ok(()),
            (_, Some(reason)) => Err(HandOverError::Failed(reason.trim_end().to_owned())),
            ("", _) => Err(self.ended().await),
            (other, _) => Err(HandOverError::Failed(other.to_owned())),
        }
    }

    /// Returns the error of a process that has closed its end, as the end of a process does.
    async fn ended(&mut self) -> HandOverError {
        for _ in 0..100 {
            match self.process.as_mut().map(Child::try_wait) {
                Some(Ok(Some(status))) => return HandOverError::Ended(status),
                Some(Ok(None)) => sleep(Duration::from_millis(10)).await,
                Some(Err(error)) => return HandOverError::Answer(error),
                None => break,
            }
        }
        HandOverError::Answer(ErrorKind::UnexpectedEof.into())
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            // It may have ended by itself.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Returns the path of the file that this process was started from, which another file may have taken meanwhile.
fn own_file() -> Option<PathBuf> {
    let path = std::env::current_exe().ok()?;
    let before = path.to_str().and_then(|path| path.strip_suffix(REMOVED)).map(PathBuf::from);
    Some(before.filter(|_| !path.exists()).unwrap_or(path))
}

/// Starts `program` with `stream` as its standard input.
fn start(program: PathBuf, arguments: &[OsString], stream: &UnixStream) -> Result<Child, HandOverError> {
    let run = || {
        let input = OwnedFd::from(stream.try_clone()?);
        let mut command = Command::new(&program);
        command.args(arguments).stdin(input).env(VARIABLE, std::process::id().to_string());
        // These are for this process alone.
        for name in ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_PID"] {
            command.env_remove(name);
        }
        command.spawn()
    };
    run().map_err(|source| HandOverError::Start { program: program.clone(), source })
}

#[cfg(test)]
mod tests {
    use rustix::process::{Pid, test_kill_process};
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_new_process_that_hangs_is_killed_at_the_end_of_its_time() {
        for answer in ["", "ready\n"] {
            let (stream, mut theirs) = UnixStream::pair().unwrap();
            std::io::Write::write_all(&mut theirs, answer.as_bytes()).unwrap();
            let hanging = Command::new("sleep").arg("600").stdin(OwnedFd::from(theirs)).spawn().unwrap();
            let pid = Pid::from_child(&hanging);
            let (begin, started) = (Instant::now(), Started { process: Some(hanging), stream });
            let error = started.serve().await.unwrap_err();
            assert!(matches!(error, HandOverError::Late(READY_TIME)), "{error}");
            assert_eq!(begin.elapsed(), READY_TIME);
            assert!(test_kill_process(pid).is_err(), "the new process is left behind");
        }
    }
}
