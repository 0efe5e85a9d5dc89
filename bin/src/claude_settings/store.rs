//! The relay's own file with the records of the settings files that `init` has changed.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::error::ClaudeSettingsError as Error;
use super::record::Record;
use crate::files::{self, Staged};

const FILE: &str = "claude-settings.json";
/// The file that is locked while settings files are changed.
const LOCK: &str = "claude-settings.lock";
/// The version of the file's format.
const VERSION: u64 = 1;

/// The records by the real path of their settings file. Only the owner can read the file: former values may be secrets.
pub(super) struct Store {
    directory: PathBuf,
    files: Map<String, Value>,
    /// Held until the store is dropped. `None` if the store is only read.
    _lock: Option<File>,
}

impl Store {
    /// Reads the records, and keeps other processes from changing them until the store is dropped.
    pub(super) fn lock() -> Result<Self, Error> {
        let directory = directory()?;
        let lock = open_lock(&directory).map_err(|source| Error::write(&directory, source))?;
        lock.lock().map_err(|source| Error::write(&directory.join(LOCK), source))?;
        Ok(Self { _lock: Some(lock), ..Self::read()? })
    }

    /// Reads the records, without creating anything.
    pub(super) fn read() -> Result<Self, Error> {
        let directory = directory()?;
        let path = directory.join(FILE);
        let files = match fs::read(&path) {
            Ok(bytes) => files_of(&bytes).ok_or(Error::State { path })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Map::new(),
            Err(source) => return Err(Error::read(&path, source)),
        };
        Ok(Self { directory, files, _lock: None })
    }

    /// The record of the settings file at this real path.
    pub(super) fn get(&self, path: &Path) -> Option<Record> {
        self.files.get(&*path.to_string_lossy()).and_then(Record::from_json)
    }

    /// The real paths of the settings files that have a record.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Replaces a record, and writes the file. A record without variables is removed.
    pub(super) fn set(&mut self, path: &Path, record: Option<&Record>) -> Result<(), Error> {
        let key = path.to_string_lossy().into_owned();
        let record = record.filter(|record| !record.variables.is_empty()).map(Record::to_json);
        if record.as_ref() == self.files.get(&key) {
            return Ok(());
        }
        match record {
            Some(record) => self.files.insert(key, record),
            None => self.files.remove(&key),
        };
        self.write().map_err(|source| Error::write(&self.directory.join(FILE), source))
    }

    fn write(&self) -> io::Result<()> {
        let path = self.directory.join(FILE);
        if self.files.is_empty() {
            return match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        }
        let text = format!("{:#}\n", json!({ "version": VERSION, "files": self.files }));
        Staged::new(&path, text.as_bytes())?.replace()
    }
}

/// Returns the records in the file. `None` if one of them cannot be read.
fn files_of(bytes: &[u8]) -> Option<Map<String, Value>> {
    let Value::Object(mut file) = serde_json::from_slice(bytes).ok()? else { return None };
    let Some(Value::Object(files)) = file.remove("files") else { return None };
    (file["version"] == VERSION && files.values().all(|value| Record::from_json(value).is_some()))
        .then_some(files)
}

fn open_lock(directory: &Path) -> io::Result<File> {
    files::create_private_directory(directory)?;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(directory.join(LOCK))
}

/// Returns the directory with the state of the relay.
fn directory() -> Result<PathBuf, Error> {
    files::state_directory().ok_or(Error::NoStateDirectory)
}
