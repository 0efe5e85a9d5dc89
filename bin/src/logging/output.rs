//! The output of the log: a stream of the process, or a file that may be moved, removed or full.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The shortest time between two checks of the file at the path of the log.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The output of the log.
pub(super) enum Output {
    /// Standard output or standard error.
    Stream(Box<dyn Write + Send>),
    /// A file.
    File(LogFile),
}

impl Output {
    /// Writes complete lines.
    ///
    /// # Errors
    /// The system's error. Part of the lines may have been written.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::Stream(stream) => stream.write_all(lines).and_then(|()| stream.flush()),
            Self::File(file) => file.write(lines),
        }
    }

    /// Opens the file at its path again. A stream stays as it is.
    ///
    /// # Errors
    /// The system's error. The file that was open stays in use.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        match self {
            Self::Stream(_) => Ok(()),
            Self::File(file) => file.reopen(),
        }
    }
}

/// A log file.
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    /// The time of the last check of the path.
    checked: Instant,
    /// True if the file at the path is another one, or missing, and could not be opened.
    is_stale: bool,
}

impl LogFile {
    /// Opens the file for appending, and creates it if there is none.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let file = open(&path)?;
        Ok(Self { path, file, checked: Instant::now(), is_stale: false })
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.is_stale = true;
        self.file = open(&self.path)?;
        self.is_stale = false;
        Ok(())
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let reopened = if self.needs_reopening() { self.reopen() } else { Ok(()) };
        self.file.write_all(lines)?;
        reopened
    }

    /// Returns `true` if the lines would go to a file that is no longer at the path.
    fn needs_reopening(&mut self) -> bool {
        if self.is_stale || self.checked.elapsed() < CHECK_INTERVAL {
            return self.is_stale;
        }
        self.checked = Instant::now();
        !is_same_file(&self.file, &self.path)
    }
}

fn open(path: &PathBuf) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(unix)]
fn is_same_file(file: &File, path: &PathBuf) -> bool {
    use std::os::unix::fs::MetadataExt;
    let (Ok(open), Ok(named)) = (file.metadata(), std::fs::metadata(path)) else { return false };
    (open.dev(), open.ino()) == (named.dev(), named.ino())
}

/// An open file cannot be moved or removed here.
#[cfg(not(unix))]
fn is_same_file(_: &File, _: &PathBuf) -> bool {
    true
}
