//! Unix sockets of the listener for clients.

use std::fmt;
use std::path::PathBuf;

/// A Unix socket to listen on, as in `unix:/run/cc-relay.sock`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnixSocket {
    /// The path of its file, at most [`MAX_PATH`](Self::MAX_PATH) bytes long.
    pub path: PathBuf,
    /// The permissions of its file. The default, 0600, admits the user of the relay and root.
    pub mode: u32,
}

impl UnixSocket {
    /// The permissions of a socket if none are given.
    pub const DEFAULT_MODE: u32 = 0o600;
    /// The longest path in bytes: the system has room for one byte more, which ends it.
    pub const MAX_PATH: usize = if cfg!(any(target_os = "linux", target_os = "android")) { 107 } else { 103 };

    /// Creates a socket at `path` with the default permissions.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), mode: Self::DEFAULT_MODE }
    }

    /// Sets the permissions of the file, such as 0o660.
    #[must_use]
    pub fn with_mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }
}

impl fmt::Display for UnixSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unix:{}", self.path.display())?;
        if self.mode == Self::DEFAULT_MODE { Ok(()) } else { write!(f, "?mode={:04o}", self.mode) }
    }
}
