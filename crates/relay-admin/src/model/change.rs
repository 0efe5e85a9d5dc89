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
