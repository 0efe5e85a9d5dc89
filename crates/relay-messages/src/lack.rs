//! What a provider does not have.

use std::borrow::Cow;
use std::fmt;

/// What a request asks for that a provider does not have, and that cannot be left out of it; as a clause whose subject is
/// the provider, such as "takes no PDF documents".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack(Cow<'static, str>);

impl Lack {
    /// What is lacking, as a clause.
    pub fn new(clause: impl Into<Cow<'static, str>>) -> Self {
        Self(clause.into())
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
