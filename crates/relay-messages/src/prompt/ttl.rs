//! The time to live of cached prefixes.

use std::time::Duration;

use crate::{JsonKind, MessagesBody, Node};

/// The time for which an upstream keeps a cached prefix after its last use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum CacheTtl {
    /// Five minutes, the default.
    #[default]
    FiveMinutes,
    /// One hour: `"ttl": "1h"`.
    OneHour,
}

impl CacheTtl {
    /// Reads the value of a `cache_control`.
    pub(super) fn of(breakpoint: &Node<'_>) -> Self {
        match breakpoint.get("ttl") {
            Some(ttl) if ttl.is("1h") => Self::OneHour,
            _ => Self::FiveMinutes,
        }
    }

    /// The time.
    #[must_use]
    pub fn duration(self) -> Duration {
        match self {
            Self::FiveMinutes => Duration::from_secs(5 * 60),
            Self::OneHour => Duration::from_secs(60 * 60),
        }
    }
}

impl MessagesBody {
    /// The time to live that every `cache_control` in the body requests. `None` if there is none, or if they differ.
    ///
    /// ```
    /// use relay_messages::{CacheTtl, MessagesBody};
    ///
    /// let text = r#"{"model":"m","cache_control":{"type":"ephemeral","ttl":"1h"},"messages":[]}"#;
    /// assert_eq!(MessagesBody::parse(text.into())?.cache_ttl(), Some(CacheTtl::OneHour));
    /// # Ok::<(), relay_messages::BodyError>(())
    /// ```
    #[must_use]
    pub fn cache_ttl(&self) -> Option<CacheTtl> {
        let set = self.breakpoints().filter(|breakpoint| breakpoint.value.kind() == JsonKind::Object);
        let mut ttls = set.map(|breakpoint| CacheTtl::of(&breakpoint.value));
        let first = ttls.next()?;
        ttls.all(|ttl| ttl == first).then_some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_the_time_to_live_on_which_its_breakpoints_agree() {
        #[track_caller]
        fn check(blocks: &str, expected: Option<CacheTtl>) {
            let body = MessagesBody::parse(format!(r#"{{"model":"m","system":[{blocks}]}}"#).into()).unwrap();
            assert_eq!(body.cache_ttl(), expected, "{blocks}");
        }
        let short = r#"{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}"#;
        let five = r#"{"cache_control":{"ttl":"5m"}}"#;
        let hour = r#"{"cache_control":{"type":"ephemeral","ttl":"1h"}}"#;
        check("", None);
        check(r#"{"type":"text","text":"\"cache_control\":{}"},{"cache_control":null}"#, None);
        check(&[short, five].join(","), Some(CacheTtl::FiveMinutes));
        check(&[hour, hour, r#"{"cache_control":null}"#].join(","), Some(CacheTtl::OneHour));
        check(&[hour, short].join(","), None);
    }
}
