//! The sessions.

use serde::Serialize;
use utoipa::ToSchema;

use crate::prompt_cache::SessionReport;

/// The latest sessions.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[non_exhaustive]
pub struct SessionsBody {
    /// The sessions, the one with the latest request first.
    pub data: Vec<SessionReport>,
}

impl SessionsBody {
    pub(crate) fn new(data: Vec<SessionReport>) -> Self {
        Self { data }
    }
}
