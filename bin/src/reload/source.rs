//! The file that is read again.

use std::path::{Path, PathBuf};

use super::contents::{Content, Contents};

/// The source of the configuration that the process was started with.
#[derive(Debug)]
pub(crate) struct Source {
    pub(super) origin: Origin,
    /// The contents of the file before it was loaded.
    pub(super) before: Contents,
}

#[derive(Debug)]
pub(super) enum Origin {
    File(PathBuf),
    /// No file that could be read again, for this reason.
    None(String),
}

impl Source {
    /// A file that is about to be loaded.
    pub(crate) fn file(path: &Path) -> Self {
        match Content::of(path) {
            Content::Special => Self::none(format!(
                "the configuration was read from {}, which is not a file that can be read again",
                path.display()
            )),
            _ => Self { origin: Origin::File(path.to_owned()), before: Contents::of([path]) },
        }
    }

    /// No file that could be read again, for this reason.
    pub(crate) fn none(reason: impl Into<String>) -> Self {
        Self { origin: Origin::None(reason.into()), before: Contents::default() }
    }
}
