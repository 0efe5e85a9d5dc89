//! A settings file on the disk: found through symbolic links, read, and replaced in one step.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::error::ClaudeSettingsError as Error;
use crate::files::{self, Staged};

/// Follows every symbolic link to the file itself, which need not exist. The result is absolute.
pub(super) fn resolve(path: &Path) -> Result<PathBuf, Error> {
    let real = files::resolve(path).map_err(|source| Error::read(path, source))?;
    real.ok_or_else(|| Error::LinkLoop { path: path.to_owned() })
}

/// The largest settings file that is read, in bytes. Those of users have a few thousand.
const LIMIT: u64 = 8 * 1024 * 1024;

/// Reads the file; `None` if there is none.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match read_bounded(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::read(path, source)),
    }
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = File::open(path)?.take(LIMIT + 1).read_to_end(&mut bytes)?;
    match read as u64 > LIMIT {
        true => Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 8 MiB")),
        false => Ok(bytes),
    }
}

/// Creates the directory of `path` if there is none.
pub(super) fn create_directory(path: &Path) -> Result<(), Error> {
    let directory = files::directory_of(path);
    files::create_private_directory(directory).map_err(|source| Error::write(directory, source))
}

/// The outcome of a change.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Written {
    Yes,
    /// Nothing was changed: another program has written the file after it was read.
    Changed,
}

/// Replaces the file, whose content was `before`, with `after`; `None` is no file. The file is replaced in one step, keeps its mode
/// and its owner, and is on the disk afterwards. A new file has mode 0600.
pub(super) fn replace(path: &Path, before: Option<&[u8]>, after: Option<&[u8]>) -> Result<Written, Error> {
    let metadata = fs::metadata(path).ok();
    refuse_read_only(path, metadata.as_ref())?;
    let Some(after) = after else {
        if read(path)?.as_deref() != before {
            return Ok(Written::Changed);
        }
        fs::remove_file(path).map_err(|source| Error::write(path, source))?;
        return Ok(Written::Yes);
    };
    let fail = |source| Error::write(path, source);
    let staged = Staged::new(path, after).map_err(fail)?;
    if let Some(metadata) = &metadata {
        keep_owner_and_mode(staged.file(), metadata).map_err(fail)?;
    }
    if read(path)?.as_deref() != before {
        return Ok(Written::Changed);
    }
    let written = if before.is_some() { staged.replace() } else { staged.create() };
    match written {
        Ok(()) => Ok(Written::Yes),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Written::Changed),
        Err(error) => Err(fail(error)),
    }
}

/// Refuses a file or a directory that its owner has made read-only. A rename would replace such a file all the same.
fn refuse_read_only(path: &Path, metadata: Option<&Metadata>) -> Result<(), Error> {
    let read_only = |path: &Path, what| Err(Error::ReadOnly { path: path.to_owned(), what });
    if let Some(metadata) = metadata {
        if metadata.permissions().readonly() {
            return read_only(path, "file");
        }
        if let Err(error) = OpenOptions::new().write(true).open(path) {
            return match error.kind() {
                io::ErrorKind::PermissionDenied => read_only(path, "file"),
                _ => Err(Error::write(path, error)),
            };
        }
    }
    let directory = files::directory_of(path);
    match fs::metadata(directory) {
        Ok(metadata) if cfg!(unix) && metadata.permissions().readonly() => read_only(directory, "directory"),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn keep_owner_and_mode(file: &File, metadata: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (metadata.uid(), metadata.gid()) {
        fchown(file, Some(metadata.uid()), Some(metadata.gid()))?;
    }
    // After the owner, whose change clears bits of the mode.
    file.set_permissions(metadata.permissions())
}

#[cfg(not(unix))]
fn keep_owner_and_mode(file: &File, metadata: &Metadata) -> io::Result<()> {
    file.set_permissions(metadata.permissions())
}

#[cfg(all(test, unix))]
#[path = "file_tests.rs"]
mod tests;
