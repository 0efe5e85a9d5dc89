//! The file of a service, and its owner.

use std::fs;
use std::io;
use std::path::Path;

use super::error::ServiceError;
use crate::files::{self, Staged};

/// The text that marks a file of `cc-relay service install`.
pub(super) const MARK: &str =
    "Written by `cc-relay service install`, removed by `cc-relay service uninstall`.";

/// The file at the path of a service.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Existing {
    /// There is none.
    Absent,
    /// A file with this text, which `cc-relay service install` wrote.
    Ours(String),
    /// A file of another program or of a user, or a symbolic link.
    Foreign,
}

/// Reads the file at the path of a service.
pub(super) fn read(path: &Path) -> Result<Existing, ServiceError> {
    let failed = |source| ServiceError::Read { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Existing::Absent),
        Err(error) => return Err(failed(error)),
        Ok(metadata) if !metadata.is_file() => return Ok(Existing::Foreign),
        Ok(_) => {}
    }
    match fs::read_to_string(path) {
        Ok(text) if text.contains(MARK) => Ok(Existing::Ours(text)),
        Ok(_) => Ok(Existing::Foreign),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(Existing::Foreign),
        Err(error) => Err(failed(error)),
    }
}

/// Writes the file completely or not at all. Every user can read it: it holds no secret.
pub(super) fn write(path: &Path, text: &str) -> Result<(), ServiceError> {
    try_write(path, text).map_err(|source| ServiceError::Write { path: path.to_owned(), source })
}

fn try_write(path: &Path, text: &str) -> io::Result<()> {
    fs::create_dir_all(files::directory_of(path))?;
    let staged = Staged::new(path, text.as_bytes())?;
    #[cfg(unix)]
    staged.file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    staged.replace()
}

/// Removes the file.
pub(super) fn remove(path: &Path) -> Result<(), ServiceError> {
    fs::remove_file(path).map_err(|source| ServiceError::Remove { path: path.to_owned(), source })
}
