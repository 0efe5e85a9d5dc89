//! Files that a command writes, and the directories that the relay has for its own.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// The number of symbolic links that are followed, as by Linux.
const LINKS_MAX: usize = 40;

/// Writes a file that only its owner can read, in a directory that only the owner can enter if it is new. The file is written
/// completely or not at all. An existing file is an error unless `replace` is set: it is replaced through symbolic links.
pub(crate) fn write_private(path: &Path, text: &str, replace: bool) -> io::Result<()> {
    let path = if replace { resolve(path)?.ok_or_else(link_loop)? } else { path.to_owned() };
    create_private_directory(directory_of(&path))?;
    let staged = Staged::new(&path, text.as_bytes())?;
    if replace { staged.replace() } else { staged.create() }
}

/// Creates a directory and those around it. Only their owner can enter them.
pub(crate) fn create_private_directory(directory: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// Returns the directory of a file.
pub(crate) fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A complete file beside its place, which is removed unless it takes that place.
pub(crate) struct Staged<'a> {
    path: &'a Path,
    file: NamedTempFile,
}

impl<'a> Staged<'a> {
    /// Writes a file for `path` that only its owner can read.
    pub(crate) fn new(path: &'a Path, bytes: &[u8]) -> io::Result<Self> {
        // Temporary files have mode 0600.
        let mut file = tempfile::Builder::new().prefix(".cc-relay-").tempfile_in(directory_of(path))?;
        file.write_all(bytes)?;
        Ok(Self { path, file })
    }

    /// The file, for changes of its mode and owner.
    pub(crate) fn file(&self) -> &File {
        self.file.as_file()
    }

    /// Takes the place of another file, or of none, in one step.
    pub(crate) fn replace(self) -> io::Result<()> {
        self.put(|file, path| file.persist(path))
    }

    /// Takes the place, which must be free.
    pub(crate) fn create(self) -> io::Result<()> {
        self.put(|file, path| file.persist_noclobber(path))
    }

    fn put(
        self,
        persist: impl FnOnce(NamedTempFile, &Path) -> Result<File, tempfile::PersistError>,
    ) -> io::Result<()> {
        self.file.as_file().sync_all()?;
        persist(self.file, self.path).map_err(|error| error.error)?;
        // A file system that cannot do this has the file all the same.
        let _ = File::open(directory_of(self.path)).and_then(|directory| directory.sync_all());
        Ok(())
    }
}

/// Follows every symbolic link to the file itself, which need not exist. The result is absolute. `None` if the links form a loop.
pub(crate) fn resolve(path: &Path) -> io::Result<Option<PathBuf>> {
    let mut path = std::path::absolute(path)?;
    for _ in 0..LINKS_MAX {
        let Ok(target) = fs::read_link(&path) else {
            return Ok(Some(real_directory(path)));
        };
        // A relative link starts at the directory of the link.
        path = real_directory(path).parent().unwrap_or(Path::new("/")).join(target);
    }
    Ok(None)
}

/// Replaces the directory of `path` with its real one, as far as it exists.
fn real_directory(path: PathBuf) -> PathBuf {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else { return path };
    match directory.canonicalize() {
        Ok(directory) => directory.join(name),
        Err(_) => path,
    }
}

fn link_loop() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "its symbolic links form a loop")
}

/// The last path that `serve` tries. It does not depend on the working directory.
pub(crate) fn default_configuration() -> Option<PathBuf> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")))?;
    Some(home.join("cc-relay").join("config.yaml"))
}

/// The directory of the relay's own state: `cc-relay` in `$XDG_STATE_HOME`, `~/.local/state` or `%LOCALAPPDATA%`. `None` if no
/// variable names an absolute directory.
pub(crate) fn state_directory() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .or_else(|| absolute("LOCALAPPDATA"));
    Some(state?.join("cc-relay"))
}
