//! The conditions under which an upstream has refused a field.

use std::hash::{DefaultHasher, Hash, Hasher};

/// The maximum number of betas in conditions that are remembered. Claude Code sends fewer than twenty.
const BETAS: usize = 32;

/// The API version, the kind of thinking and the betas of a request, as hashes.
///
/// A field that is refused under one version is valid under another, and a field that needs a beta is refused without it. An
/// effort may be refused only if thinking is disabled. A refusal therefore applies only to requests with the same version and
/// the same `thinking.type`, and with no further beta.
///
/// # Source
/// platform.claude.com/docs, "Versioning" and "Beta headers": Anthropic reports "Extra inputs are not permitted" for a
/// field whose beta is missing. DeepSeek refuses an effort beside disabled thinking (anthropics/claude-code#65863).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Conditions {
    version: Option<u64>,
    thinking: Option<u64>,
    betas: Box<[u64]>,
}

impl Conditions {
    /// Returns the conditions of a request with this `version` and these `betas`, whose `thinking` has this type. Returns
    /// `None` if there are more than 32 betas.
    pub(super) fn of(version: Option<&str>, thinking: Option<&str>, betas: &[String]) -> Option<Self> {
        let betas = (betas.len() <= BETAS).then(|| betas.iter().map(|beta| hash(beta)).collect())?;
        Some(Self { version: version.map(hash), thinking: thinking.map(hash), betas })
    }

    /// Returns `true` if a refusal under these conditions applies to a request under `others`.
    pub(super) fn cover(&self, others: &Self) -> bool {
        let is_same = (self.version, self.thinking) == (others.version, others.thinking);
        is_same && others.betas.iter().all(|beta| self.betas.contains(beta))
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions(version: Option<&str>, betas: &[&str]) -> Conditions {
        let betas: Vec<String> = betas.iter().map(|&beta| beta.to_owned()).collect();
        Conditions::of(version, None, &betas).unwrap()
    }

    #[test]
    fn conditions_cover_the_same_version_and_the_same_or_fewer_betas() {
        let refused = conditions(Some("2023-06-01"), &["a", "b"]);
        assert!(refused.cover(&refused));
        assert!(refused.cover(&conditions(Some("2023-06-01"), &["b"])));
        assert!(!refused.cover(&conditions(Some("2023-06-01"), &["b", "c"])));
        assert!(!refused.cover(&conditions(Some("2026-10-21"), &["a"])));
        assert!(!refused.cover(&conditions(None, &[])));
        let many: Vec<String> = (0..=BETAS).map(|number| number.to_string()).collect();
        assert_eq!(Conditions::of(None, None, &many), None);
        let disabled = Conditions::of(None, Some("disabled"), &[]).unwrap();
        assert!(disabled.cover(&disabled) && !disabled.cover(&conditions(None, &[])));
    }
}
