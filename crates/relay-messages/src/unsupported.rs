//! The reason that a provider cannot serve a request.

use std::borrow::Cow;
use std::fmt;

/// A part of a request that a provider does not support and that cannot be removed: a clause whose subject is the provider,
/// such as "takes no documents such as PDFs".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported(Cow<'static, str>);

impl Unsupported {
    /// The reason as a clause.
    pub fn new(clause: impl Into<Cow<'static, str>>) -> Self {
        Self(clause.into())
    }
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
