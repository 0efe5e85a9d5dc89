//! The hook of a program that reads its configuration again.

/// Reads the configuration of a program again, and puts it into use.
pub trait Reload: Send + Sync + 'static {
    /// Reads the configuration and puts it into use as a whole, or changes nothing. It may block. It is not called while
    /// another call runs.
    ///
    /// # Errors
    /// [`ReloadError`] if the configuration stays as it is.
    fn reload(&self) -> Result<Reloaded, ReloadError>;

    /// Returns the warnings of the configuration in use, and the reason for which the file is not in use. They are shown after
    /// those of [`AdminParts`](super::AdminParts). Default: none.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The result of a reload.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reloaded {
    /// True if the configuration differs from the one before.
    pub changed: bool,
    /// The differences and the warnings, as sentences.
    pub message: String,
    /// The settings that have changed, one text for each. Default: none.
    pub differences: Vec<String>,
    /// The settings that differ from those in use and need a restart of the program, one text for each. Default: none.
    pub restart: Vec<String>,
}

impl Reloaded {
    /// Creates the result of a reload.
    #[must_use]
    pub fn new(changed: bool, message: impl Into<String>) -> Self {
        Self { changed, message: message.into(), differences: Vec::new(), restart: Vec::new() }
    }

    /// Sets the settings that have changed, and those that need a restart.
    #[must_use]
    pub fn with_differences(mut self, differences: Vec<String>, restart: Vec<String>) -> Self {
        (self.differences, self.restart) = (differences, restart);
        self
    }
}

/// The reason for which the configuration stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// The configuration does not come from a file.
    #[error("the relay runs without a configuration file; start it with one to be able to reload it")]
    NoFile,
    /// The new configuration is invalid, or no relay can be built from it.
    #[error("the configuration stays as it was: {problems}")]
    Invalid {
        /// All problems.
        problems: String,
    },
}
