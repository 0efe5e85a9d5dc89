//! The old process, as the new one sees it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::parent_id;

use tokio::io::AsyncReadExt;

use super::error::ReceiveError;
use super::{FAILED, READY, READY_TIME, SERVE, VARIABLE, wire};
use crate::settings::variable;
use crate::sockets::Inherited;

/// The old process, whose sockets this one takes over.
#[derive(Debug)]
pub(crate) struct Predecessor(UnixStream);

impl Predecessor {
    /// Receives the sockets of the old process. `None` if this process was started in another way.
    pub(crate) fn receive() -> Result<Option<(Self, Vec<Inherited>)>, ReceiveError> {
        // Another program that inherits the variable has another parent.
        if variable(VARIABLE) != Some(parent_id().to_string()) {
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
    pub(crate) async fn report_ready(mut self) -> Result<(), ReceiveError> {
        writeln!(self.0, "{READY}").map_err(ReceiveError::Report)?;
        self.0.set_nonblocking(true).map_err(ReceiveError::Report)?;
        let mut stream = tokio::net::UnixStream::from_std(self.0).map_err(ReceiveError::Report)?;
        // An error means that the old process has ended.
        let _ = stream.read_exact(&mut [0; SERVE.len()]).await;
        Ok(())
    }
}

/// Takes the socket in the place of the standard input, which becomes empty.
fn standard_input() -> io::Result<UnixStream> {
    let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    stream.set_read_timeout(Some(READY_TIME))?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(stream)
}
