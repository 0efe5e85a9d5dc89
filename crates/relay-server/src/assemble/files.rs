//! The contents of the files that providers are built with.

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use relay_config::ProviderConfig;

/// The most bytes of a file that are compared. A bundle of all public authorities has a thirtieth of it.
const LIMIT: u64 = 8 * 1024 * 1024;

/// The files of a provider, with a hash of their contents: they may contain a private key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Files(Vec<(PathBuf, Option<u64>)>);

impl Files {
    /// Reads the files of `provider`. A file that cannot be read has no contents.
    pub(super) fn of(provider: &ProviderConfig) -> Self {
        Self(provider.files().map(|path| (path.to_owned(), contents(path).ok())).collect())
    }

    /// Returns `true` if the `ca_file` of `provider` has the same contents in both.
    pub(super) fn has_same_ca_file(&self, other: &Self, provider: &ProviderConfig) -> bool {
        let Some(path) = &provider.ca_file else { return true };
        self.get(path) == other.get(path)
    }

    /// Returns the paths that both have, and whose contents differ.
    pub(super) fn differing_from(&self, other: &Self) -> Vec<PathBuf> {
        let differs = |path: &PathBuf, hash| other.get(path).is_some_and(|other| other != hash);
        self.0.iter().filter(|(path, hash)| differs(path, *hash)).map(|(path, _)| path.clone()).collect()
    }

    fn get(&self, path: &Path) -> Option<Option<u64>> {
        self.0.iter().find(|(known, _)| known == path).map(|(_, hash)| *hash)
    }
}

fn contents(path: &Path) -> io::Result<u64> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LIMIT).read_to_end(&mut bytes)?;
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    Ok(hasher.finish())
}
