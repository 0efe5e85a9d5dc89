//! The contents of files, to notice changes. Time stamps are not enough: a copy may keep them, and a write may not change them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The most bytes of a file that are read, as many as of a configuration file.
const LIMIT: u64 = 8 * 1024 * 1024;

/// The contents of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// There is no file.
    Missing,
    /// The file has no bytes except white space, as while it is being written.
    Empty,
    /// The file cannot be read.
    Unreadable(io::ErrorKind),
    /// A pipe, a socket or a device, which can be read once.
    Special,
    /// A hash of the bytes, which may contain secrets.
    Bytes(u64),
}

impl Content {
    /// Reads the file at `path`. A file that is not a regular one is not read.
    pub(super) fn of(path: &Path) -> Self {
        match read(path) {
            Ok(Some(bytes)) if bytes.trim_ascii().is_empty() => Self::Empty,
            Ok(Some(bytes)) => {
                let mut hasher = DefaultHasher::new();
                bytes.hash(&mut hasher);
                Self::Bytes(hasher.finish())
            }
            Ok(None) => Self::Special,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::Missing,
            Err(error) => Self::Unreadable(error.kind()),
        }
    }
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    if !fs::metadata(path)?.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LIMIT).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// The contents of several files at one time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Contents(BTreeMap<PathBuf, Content>);

impl Contents {
    /// Reads all `files`.
    pub(super) fn of<'a>(files: impl IntoIterator<Item = &'a Path>) -> Self {
        Self(files.into_iter().map(|path| (path.to_owned(), Content::of(path))).collect())
    }

    pub(super) fn get(&self, path: &Path) -> Option<Content> {
        self.0.get(path).copied()
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        self.0.keys().map(PathBuf::as_path)
    }

    /// Reads the `files` that were not read before, and removes all others.
    pub(super) fn keep_and_add(&mut self, files: impl IntoIterator<Item = PathBuf>) {
        let mut before = std::mem::take(&mut self.0);
        let content = |path: PathBuf| {
            let content = before.remove(&path).unwrap_or_else(|| Content::of(&path));
            (path, content)
        };
        self.0 = files.into_iter().map(content).collect();
    }

    /// Reads the files again, and returns `true` if one of them has changed.
    pub(super) fn have_changed(&self) -> bool {
        self.0.iter().any(|(path, content)| Content::of(path) != *content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_are_compared_and_not_time_stamps() {
        let directory = tempfile::tempdir().unwrap();
        let (path, other) = (directory.path().join("a"), directory.path().join("b"));
        fs::write(&path, "one").unwrap();
        let before = Contents::of([path.as_path(), &other]);
        assert!(!before.have_changed());
        assert_eq!(before.get(&other), Some(Content::Missing));
        fs::write(&path, "one").unwrap();
        assert!(!before.have_changed(), "the file was written with the same bytes");
        fs::write(&path, " \n").unwrap();
        assert_eq!(Content::of(&path), Content::Empty);
        assert!(before.have_changed());
        assert_eq!(Content::of(directory.path()), Content::Special);
    }
}
