//! The result of an action.

use serde::Serialize;
use utoipa::ToSchema;

/// The result of an action.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[non_exhaustive]
pub struct ChangeBody {
    /// True if the action has changed something.
    pub changed: bool,
    /// The result as a sentence.
    pub message: String,
}

impl ChangeBody {
    pub(crate) fn new(changed: bool, message: impl Into<String>) -> Self {
        Self { changed, message: message.into() }
    }
}

/// The result of a reload.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[non_exhaustive]
pub struct ReloadBody {
    /// True if a setting has come into use.
    pub changed: bool,
    /// The result, as sentences.
    pub message: String,
    /// The settings that have come into use, such as `routing.max_attempts: 6 -> 3`. The values of secrets are not part of it.
    pub differences: Vec<String>,
    /// The settings of the file that need a restart of the program, such as `server.listen: [127.0.0.1:8787] -> [0.0.0.0:8787]`.
    pub restart: Vec<String>,
}
