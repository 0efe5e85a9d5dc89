//! A settings file on the disk: found through symbolic links, read, and replaced in one step.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::PersistError;

use super::error::ClaudeSettingsError as Error;

/// The number of symbolic links that are followed, as by Linux.
const LINKS_MAX: usize = 40;

/// Follows every symbolic link to the file itself, which need not exist. The result is absolute.
pub(super) fn resolve(path: &Path) -> Result<PathBuf, Error> {
    let mut path = std::path::absolute(path).map_err(|source| Error::read(path, source))?;
    for _ in 0..LINKS_MAX {
        let Ok(target) = fs::read_link(&path) else {
            return Ok(real_directory(path));
        };
        // A relative link starts at the directory of the link.
        path = real_directory(path).parent().unwrap_or(Path::new("/")).join(target);
    }
    Err(Error::LinkLoop { path })
}

/// Replaces the directory of `path` with its real one, as far as it exists.
fn real_directory(path: PathBuf) -> PathBuf {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else { return path };
    match directory.canonicalize() {
        Ok(directory) => directory.join(name),
        Err(_) => path,
    }
}

/// Reads the file; `None` if there is none.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::read(path, source)),
    }
}

/// Creates the directory of `path` if there is none. Returns `true` if it did.
pub(super) fn create_directory(path: &Path) -> Result<bool, Error> {
    let Some(directory) = path.parent().filter(|directory| !directory.exists()) else { return Ok(false) };
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory).map_err(|source| Error::write(directory, source))?;
    Ok(true)
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
    let directory = path.parent().unwrap_or(Path::new("."));
    let fail = |source| Error::write(path, source);
    // Temporary files have mode 0600.
    let mut file = tempfile::Builder::new().prefix(".cc-relay-").tempfile_in(directory).map_err(fail)?;
    file.write_all(after).map_err(fail)?;
    if let Some(metadata) = &metadata {
        keep_owner_and_mode(file.as_file(), metadata).map_err(fail)?;
    }
    file.as_file().sync_all().map_err(fail)?;
    if read(path)?.as_deref() != before {
        return Ok(Written::Changed);
    }
    let persisted = if before.is_some() { file.persist(path) } else { file.persist_noclobber(path) };
    match persisted {
        Ok(_) => {}
        Err(PersistError { error, .. }) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Ok(Written::Changed);
        }
        Err(PersistError { error, .. }) => return Err(fail(error)),
    }
    // A file system that cannot do this has the file all the same.
    let _ = File::open(directory).and_then(|directory| directory.sync_all());
    Ok(Written::Yes)
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
    let directory = path.parent().unwrap_or(Path::new("."));
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
