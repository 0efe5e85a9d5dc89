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
use super::{FAILED, READY, READY_TIME, SERVE, VARIABLE, wire};
use crate::sockets::Duplicate;

/// The longest answer of a new process, in bytes.
const ANSWER: u64 = 16 * 1024;

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
                    self.attempt = Some(Box::pin(started.ready()));
                }
                Err(error) => log_failure(&error),
            }
        }
    }

    /// Waits until a new process is ready to serve. An attempt that fails is logged.
    pub(crate) async fn ready(&mut self) -> Successor {
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
        self.attempt = None;
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

/// A new process that is ready.
#[derive(Debug)]
pub(crate) struct Successor {
    stream: tokio::net::UnixStream,
    pid: u32,
}

impl Successor {
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Lets the new process serve.
    pub(crate) async fn serve(mut self) {
        if let Err(error) = self.stream.write_all(SERVE).await {
            tracing::error!(%error, "the new process has ended");
        }
    }
}

/// A new process that is not ready yet. It is killed when it is dropped.
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
        let process = match start(program.clone().into(), &arguments, &theirs) {
            Err(HandOverError::Start { source, .. }) if source.kind() == ErrorKind::NotFound => {
                let program = std::env::current_exe().unwrap_or(program.into());
                start(program, &arguments, &theirs)?
            }
            result => result?,
        };
        Ok(Self { process: Some(process), stream })
    }

    fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Waits until the process is ready.
    async fn ready(mut self) -> Result<Successor, HandOverError> {
        let stream = self.stream.try_clone().map_err(HandOverError::Answer)?;
        stream.set_nonblocking(true).map_err(HandOverError::Answer)?;
        let mut stream = tokio::net::UnixStream::from_std(stream).map_err(HandOverError::Answer)?;
        let mut answer = String::new();
        let mut reader = BufReader::new(&mut stream).take(ANSWER);
        let read = timeout(READY_TIME, reader.read_line(&mut answer)).await;
        read.map_err(|_| HandOverError::Late(READY_TIME))?.map_err(HandOverError::Answer)?;
        match (answer.trim_end(), answer.strip_prefix(FAILED)) {
            (READY, _) => {
                let pid = self.process.take().map_or(0, |process| process.id());
                Ok(Successor { stream, pid })
            }
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
