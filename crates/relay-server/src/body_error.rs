//! The error of a response's body.

use relay_providers::AnswerBodyError;
use tower::BoxError;

/// Returns the error of a body that has passed layers: the one of the answer, if no layer has replaced it.
pub(crate) fn body_error(error: BoxError) -> AnswerBodyError {
    error.downcast().map_or_else(AnswerBodyError::Transport, |error| *error)
}
