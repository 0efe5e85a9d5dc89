//! The reason that a provider cannot serve a request.

use std::borrow::Cow;
use std::fmt;

/// A part of a request that a provider does not support: a clause whose subject is the provider,
/// such as "takes no documents such as PDFs".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported {
    clause: Cow<'static, str>,
    is_replaceable: bool,
}

impl Unsupported {
    /// Creates a reason from a clause, for a part in whose place no text can be put.
    pub fn new(clause: impl Into<Cow<'static, str>>) -> Self {
        Self { clause: clause.into(), is_replaceable: false }
    }

    /// Creates a reason from a clause, for a part in whose place a text is put as a last resort.
    pub fn replaceable(clause: impl Into<Cow<'static, str>>) -> Self {
        Self { clause: clause.into(), is_replaceable: true }
    }

    /// Returns `true` if the provider can serve the request with a text in the place of the part.
    #[must_use]
    pub fn is_replaceable(&self) -> bool {
        self.is_replaceable
    }
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.clause)
    }
}
