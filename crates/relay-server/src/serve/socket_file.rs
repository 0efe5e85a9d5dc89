//! The file of a Unix socket.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The file of a Unix socket that a [`Listener`](crate::Listener) removes when it is dropped. Clones are of the same file.
///
/// A process that hands its socket over to another one calls [`keep`](Self::keep).
#[derive(Debug, Clone)]
pub struct SocketFile(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    /// The device and the number of the file. Another file at the same path has others.
    id: (u64, u64),
    is_kept: AtomicBool,
}

impl SocketFile {
    /// Returns the socket that is at `path` now.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let id = id_of(path)?;
        Ok(Self(Arc::new(Shared { path: path.to_owned(), id, is_kept: AtomicBool::new(false) })))
    }

    /// Returns the path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Keeps the file when the listener is dropped: another process serves it now.
    pub fn keep(&self) {
        self.0.is_kept.store(true, Ordering::Relaxed);
    }

    /// Removes the file when the listener is dropped, also after [`keep`](Self::keep).
    pub fn remove_at_end(&self) {
        self.0.is_kept.store(false, Ordering::Relaxed);
    }

    /// Returns `true` if the file is at its path, and no other one has taken its place.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        id_of(&self.0.path).ok() == Some(self.0.id)
    }

    /// Removes the file, unless it is kept or another file has taken its place.
    pub(super) fn remove(&self) {
        let Shared { path, is_kept, .. } = &*self.0;
        if is_kept.load(Ordering::Relaxed) || !self.is_in_place() {
            return;
        }
        if let Err(error) = fs::remove_file(path) {
            tracing::warn!(path = %path.display(), %error, "cannot remove the file of the Unix socket");
        }
    }
}

fn id_of(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use crate::serve::bind_unix;

    #[tokio::test]
    async fn a_file_is_left_to_another_process_that_serves_it_or_has_taken_its_place() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("relay.sock");
        let first = bind_unix(&path, 0o600).unwrap();
        let file = first.file().unwrap().clone();
        assert!(file.is_in_place());
        std::fs::remove_file(&path).unwrap();
        assert!(!file.is_in_place());
        let second = bind_unix(&path, 0o600).unwrap();
        assert!(!file.is_in_place(), "another file");
        drop(first);
        let file = second.file().unwrap().clone();
        assert!(file.is_in_place());
        file.keep();
        drop(second);
        assert!(path.exists());

        let last = bind_unix(&path, 0o600).unwrap();
        let file = last.file().unwrap().clone();
        file.keep();
        file.remove_at_end();
        drop(last);
        assert!(!path.exists());
    }
}
