//! The paths whose change may change the contents of a file: the file, and every symbolic link on the way to it.
//!
//! Kubernetes mounts a ConfigMap as `config.yaml ▸ ..data/config.yaml` and `..data ▸ ..2026_11_27`. An update creates a new
//! directory and replaces `..data` by a rename. The file that was read is never written.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// The most links on the way to a file. Linux follows as many.
const LINKS: usize = 40;

/// The places of files.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    /// The paths whose creation, change, renaming or removal matters.
    pub(super) paths: BTreeSet<PathBuf>,
    /// The directories that have to be watched for it, with their identities: a directory may be replaced.
    pub(super) directories: BTreeMap<PathBuf, Identity>,
}

/// The identity of a directory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Identity(u64, u64);

impl Places {
    /// Finds the places of `files` as they are now.
    pub(super) fn of<'a>(files: impl IntoIterator<Item = &'a Path>) -> Self {
        let mut places = Self::default();
        for file in files {
            for path in steps(file) {
                places.add(&path);
            }
        }
        places
    }

    /// Adds a path, and the directory that contains it, which may be replaced as a whole.
    fn add(&mut self, path: &Path) {
        self.paths.insert(path.to_owned());
        let Some(directory) = path.parent() else { return };
        self.paths.insert(directory.to_owned());
        let exists = |directory: &&Path| identity(directory).is_some();
        let outer = directory.ancestors().skip(1).find(exists);
        for directory in [Some(directory), outer].into_iter().flatten() {
            if let Some(identity) = identity(directory) {
                self.directories.insert(directory.to_owned(), identity);
            }
        }
        // The first directory that is missing shows up in the one that exists.
        if let Some(outer) = outer {
            self.paths
                .extend(directory.ancestors().find(|path| path.parent() == Some(outer)).map(Path::to_owned));
        }
    }
}

/// Returns each link on the way to `file`, by paths without links before their last component, and the file itself.
fn steps(file: &Path) -> Vec<PathBuf> {
    let Ok(file) = std::path::absolute(file) else { return Vec::new() };
    let (mut at, mut steps, mut links) = (PathBuf::new(), Vec::new(), 0);
    let mut rest: VecDeque<OsString> = components(&file);
    while let Some(component) = rest.pop_front() {
        let path = match Path::new(&component).components().next() {
            Some(Component::ParentDir) => {
                at.pop();
                continue;
            }
            Some(Component::CurDir) | None => continue,
            _ => at.join(&component),
        };
        match std::fs::read_link(&path) {
            Ok(target) if links < LINKS => {
                links += 1;
                steps.push(path);
                if target.is_absolute() {
                    at = PathBuf::new();
                }
                for component in components(&target).into_iter().rev() {
                    rest.push_front(component);
                }
            }
            _ => at = path,
        }
    }
    steps.push(at);
    steps
}

fn components(path: &Path) -> VecDeque<OsString> {
    path.components().map(|component| component.as_os_str().to_owned()).collect()
}

#[cfg(unix)]
fn identity(directory: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(directory).ok().filter(std::fs::Metadata::is_dir)?;
    Some(Identity(metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(directory: &Path) -> Option<Identity> {
    directory.is_dir().then(Identity::default)
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_link_on_the_way_to_a_file_is_a_place() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let mount = root.join("mount");
        fs::create_dir_all(mount.join("..2026")).unwrap();
        fs::write(mount.join("..2026/config.yaml"), "").unwrap();
        symlink("..2026", mount.join("..data")).unwrap();
        symlink("..data/config.yaml", mount.join("config.yaml")).unwrap();
        symlink(&mount, root.join("link")).unwrap();

        let names = |paths: Vec<PathBuf>| -> Vec<String> {
            paths.iter().map(|path| path.strip_prefix(&root).unwrap().display().to_string()).collect()
        };
        assert_eq!(
            names(steps(&root.join("link/./x/../config.yaml"))),
            ["link", "mount/config.yaml", "mount/..data", "mount/..2026/config.yaml"]
        );
        let places = Places::of([root.join("link/config.yaml").as_path()]);
        let directories =
            names(places.directories.into_keys().filter(|path| path.starts_with(&root)).collect());
        assert_eq!(directories, ["", "mount", "mount/..2026"]);
    }

    #[test]
    fn a_missing_directory_is_found_in_the_one_that_exists() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let places = Places::of([root.join("a/b/config.yaml").as_path()]);
        assert!(places.directories.contains_key(&root), "{places:?}");
        assert!(places.paths.contains(&root.join("a")), "{places:?}");
    }

    #[test]
    fn a_loop_of_links_ends() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("loop");
        symlink(&path, &path).unwrap();
        assert!(steps(&path).len() <= LINKS + 1);
    }
}
