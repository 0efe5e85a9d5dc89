//! The old process, as the new one sees it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::parent_id;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::error::ReceiveError;
use super::{FAILED, READY, READY_TIME, SERVE, SERVING, VARIABLE, wire};
use crate::settings::variable;
use crate::signals::Signals;
use crate::sockets::Inherited;

/// The time that the old process has to stop accepting, after which this one reports to the service manager. It needs none of it.
const RELEASE_TIME: Duration = Duration::from_secs(5);

/// The old process, whose sockets this one takes over.
#[derive(Debug)]
pub(crate) struct Predecessor(UnixStream);

impl Predecessor {
    /// Receives the sockets of the old process. `None` if this process was started in another way.
    pub(crate) fn receive() -> Result<Option<(Self, Vec<Inherited>)>, ReceiveError> {
        let Some(old) = variable(VARIABLE) else { return Ok(None) };
        // Another program that inherits the variable has another parent. The parent of this one may have ended.
        if old != parent_id().to_string() && maker(io::stdin().as_fd()) != old.parse().ok() {
            return Ok(None);
        }
        let mut stream = standard_input().map_err(ReceiveError::Receive)?;
        let sockets = wire::receive(&mut stream)?;
        Ok(Some((Self(stream), sockets)))
    }

    /// Reports that this process cannot serve, with the reason.
    pub(crate) fn report_failure(&mut self, reason: &str) {
        // One line. An error means that the old process has ended or no longer waits.
        let _ = writeln!(self.0, "{FAILED}{}", reason.replace('\n', "; "));
    }

    /// Returns a second value for the same process.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// Reports that this process can serve, and waits until it is to do so. If the old process ends meanwhile, this one serves.
    ///
    /// # Errors
    /// [`ReceiveError::Stopped`] if a signal stops this process first. The old one then serves on.
    pub(crate) async fn ready(self, signals: &mut Signals) -> Result<Ready, ReceiveError> {
        self.0.set_nonblocking(true).map_err(ReceiveError::Report)?;
        let mut stream = tokio::net::UnixStream::from_std(self.0).map_err(ReceiveError::Report)?;
        let released = async {
            stream.write_all(format!("{READY}\n").as_bytes()).await?;
            stream.read_exact(&mut [0; SERVE.len()]).await
        };
        tokio::select! {
            biased;
            signal = signals.stop() => Err(ReceiveError::Stopped(signal)),
            // An error means that the old process has ended.
            _ = released => Ok(Ready(stream)),
        }
    }
}

/// The old process, which still accepts connections.
#[derive(Debug)]
pub(crate) struct Ready(tokio::net::UnixStream);

impl Ready {
    /// Reports that this process accepts connections, and waits until the old one no longer does.
    pub(crate) async fn report_serving(self) {
        let Self(mut stream) = self;
        let released = async {
            stream.write_all(format!("{SERVING}\n").as_bytes()).await?;
            stream.read(&mut [0]).await
        };
        // An error means that the old process has ended, or that it does not react.
        let _ = timeout(RELEASE_TIME, released).await;
    }
}

/// Returns the id of the process that has made a pair of sockets. `None` if it is not known.
#[cfg(target_os = "linux")]
fn maker(socket: BorrowedFd<'_>) -> Option<u32> {
    let credentials = rustix::net::sockopt::socket_peercred(socket).ok()?;
    u32::try_from(credentials.pid.as_raw_nonzero().get()).ok()
}

#[cfg(not(target_os = "linux"))]
fn maker(_: BorrowedFd<'_>) -> Option<u32> {
    None
}

/// Takes the socket in the place of the standard input, which becomes empty.
fn standard_input() -> io::Result<UnixStream> {
    let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    stream.set_read_timeout(Some(READY_TIME))?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(stream)
}
