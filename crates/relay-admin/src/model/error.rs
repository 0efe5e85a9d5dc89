//! An error.

use serde::Serialize;
use utoipa::ToSchema;

/// An error, in the form of Anthropic's API.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[non_exhaustive]
pub struct ErrorBody {
    /// `error`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The facts.
    pub error: ErrorFacts,
    /// The id of the request.
    pub request_id: Option<String>,
}

/// The facts of an error.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[non_exhaustive]
pub struct ErrorFacts {
    /// The type of the error, such as `not_found_error`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The fault, and the remedy if there is one.
    pub message: String,
}
