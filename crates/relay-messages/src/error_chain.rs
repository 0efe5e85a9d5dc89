//! Errors and their sources in one line.

use std::error::Error;
use std::fmt;
use std::iter::successors;

/// Prints an error and each of its sources, separated by colons: `cannot connect: connection refused`.
///
/// ```
/// use relay_messages::ErrorChain;
///
/// let error = std::io::Error::other("connection refused");
/// assert_eq!(ErrorChain(&error).to_string(), "connection refused");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct ErrorChain<'a>(pub &'a dyn Error);

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        error_sources(self.0).try_for_each(|source| write!(f, ": {source}"))
    }
}

/// Returns the sources of `error`, from the outermost to the innermost, without `error` itself.
pub fn error_sources<'a>(error: &'a dyn Error) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    successors(error.source(), |&source| source.source())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Level {
        text: &'static str,
        source: Option<Box<Level>>,
    }

    fn level(text: &'static str, source: Option<Level>) -> Level {
        Level { text, source: source.map(Box::new) }
    }

    #[test]
    fn each_source_follows_a_colon() {
        let error = level("outer", Some(level("middle", Some(level("inner", None)))));
        assert_eq!(ErrorChain(&error).to_string(), "outer: middle: inner");
        assert_eq!(ErrorChain(&level("alone", None)).to_string(), "alone");
    }

    #[test]
    fn the_last_source_is_the_innermost() {
        let error = level("outer", Some(level("middle", Some(level("inner", None)))));
        let texts: Vec<_> = error_sources(&error).map(ToString::to_string).collect();
        assert_eq!(texts, ["middle", "inner"]);
        assert!(error_sources(&level("alone", None)).last().is_none());
    }
}
