//! The parts of the process that a reload changes, beside the relay itself.

use std::error::Error;
use std::path::PathBuf;

use relay_config::Config;

/// A part of the process that is made of the configuration and of files, such as the certificates of a listener.
pub(crate) trait Part: Send + Sync {
    /// Returns the files that the part is made of. They are watched.
    fn files(&self, config: &Config) -> Vec<PathBuf>;

    /// Prepares the part for `config`, and changes nothing yet. `None`: nothing about it has changed. It may read files.
    ///
    /// # Errors
    /// The reason that the part cannot be made. The configuration is then not put into use.
    fn prepare(&self, config: &Config) -> Result<Option<Commit>, Box<dyn Error + Send + Sync>>;
}

/// A part that is prepared.
pub(crate) struct Commit {
    /// The difference, for the report: `server.tls: the files have other contents`.
    pub(crate) difference: String,
    /// Puts the part into use. It cannot fail.
    pub(crate) apply: Box<dyn FnOnce() + Send>,
}
