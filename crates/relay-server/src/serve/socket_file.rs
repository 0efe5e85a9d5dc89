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

    /// Removes the file, unless it is kept or another file has taken its place.
    pub(super) fn remove(&self) {
        let Shared { path, id, is_kept } = &*self.0;
        if is_kept.load(Ordering::Relaxed) || id_of(path).ok() != Some(*id) {
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
