//! Files that a command writes.

use std::fs::DirBuilder;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::PersistError;

/// Writes a file that only its owner can read. The file is written completely or not at all. An existing file is an error
/// unless `replace` is set.
pub(crate) fn write_new(path: &Path, text: &str, replace: bool) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)?;
    // Temporary files have mode 0600.
    let mut file = tempfile::Builder::new().prefix(".cc-relay-").tempfile_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    let persisted = if replace { file.persist(path) } else { file.persist_noclobber(path) };
    persisted.map(drop).map_err(|PersistError { error, .. }| error)
}

/// The last path that `serve` tries. It does not depend on the working directory.
pub(crate) fn default_configuration() -> Option<PathBuf> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")))?;
    Some(home.join("cc-relay").join("config.yaml"))
}
