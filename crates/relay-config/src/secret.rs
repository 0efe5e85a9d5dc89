//! A credential that is never printed.

use std::fmt;
use std::sync::Arc;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The placeholder for clients that must send a credential and have none. It is never forwarded, and never a valid
/// credential of an upstream.
pub const PLACEHOLDER: &str = "managed-by-cc-relay";

/// A credential: prints as `***`, compares in constant time, and is wiped when its last owner drops it.
///
/// Clones share one copy in memory. The time of a comparison depends on the lengths, never on the contents.
///
/// ```
/// use relay_config::Secret;
///
/// let key = Secret::new("sk-ant-1");
/// assert_eq!(format!("{key:?}"), "***");
/// assert!(key.matches(b"sk-ant-1"));
/// assert!(!key.matches(b"sk-ant-2"));
/// assert_eq!(key.expose(), "sk-ant-1");
/// ```
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<Box<str>>>);

impl Secret {
    /// Takes ownership of `value`.
    pub fn new(value: impl Into<Box<str>>) -> Self {
        Self(Arc::new(Zeroizing::new(value.into())))
    }

    /// Returns the value, for the code that writes it into a request.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns `true` if `candidate` equals the secret, in time that does not depend on the position of a
    /// difference.
    #[must_use]
    pub fn matches(&self, candidate: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(candidate).into()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.matches(other.expose().as_bytes())
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let secret = Secret::new("sk-ant-api03-visible");
        assert_eq!(format!("{secret} {secret:?} {:?}", Some(&secret)), "*** *** Some(***)");
    }

    #[test]
    fn secrets_match_by_content() {
        let secret = Secret::new("abc");
        assert!(secret.matches(b"abc"));
        assert!(!secret.matches(b"abd"));
        assert!(!secret.matches(b"abcd"));
        assert!(!secret.matches(b""));
        assert_eq!(secret, Secret::new("abc"));
    }
}
