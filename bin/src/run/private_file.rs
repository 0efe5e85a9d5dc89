//! A file for a child process alone, which is gone when this process ends.

use std::ffi::OsString;
use std::io::{self, Write};

/// A file that only this user can read.
pub(super) struct PrivateFile {
    path: OsString,
    /// Keeps the file.
    _file: Kept,
}

#[cfg(target_os = "linux")]
type Kept = std::fs::File;
#[cfg(not(target_os = "linux"))]
type Kept = tempfile::NamedTempFile;

impl PrivateFile {
    /// Creates a file in memory. A child process reads it through the descriptor of this process, so that nothing is left behind
    /// even if the process is killed.
    #[cfg(target_os = "linux")]
    pub(super) fn new(text: &[u8]) -> io::Result<Self> {
        use std::os::fd::AsRawFd;

        use rustix::fs::{MemfdFlags, memfd_create};

        let mut file = Kept::from(memfd_create("settings.json", MemfdFlags::CLOEXEC)?);
        file.write_all(text)?;
        let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()).into();
        Ok(Self { path, _file: file })
    }

    /// Creates a temporary file, which is removed when the value is dropped.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn new(text: &[u8]) -> io::Result<Self> {
        // Temporary files have mode 0600.
        let mut file = tempfile::Builder::new().prefix("cc-relay-").suffix(".json").tempfile()?;
        file.write_all(text)?;
        Ok(Self { path: file.path().into(), _file: file })
    }

    /// The path for the child process.
    pub(super) fn path(&self) -> &OsString {
        &self.path
    }
}
