//! The parts that a kind of upstream is made of, for kinds outside of this crate.
//!
//! ```text
//! prepare    messages_request, or uri ▸ request: the headers and the body that go to an upstream
//! authorize  ApiKey, or CredentialCache for a token that is fetched and renewed
//! judge      a table of Rules ─▶ judge_by
//! convert    an answer of another format into the one of the Messages API
//! ```
//! A kind implements [`Provider`](crate::Provider). The relay does the rest: model mapping, adaptation, images by URL, time
//! limits, repeated requests without refused fields, failover, health and limits.
//!
//! 1. `prepare` builds the request without I/O. [`messages_request`] is enough for an upstream with Anthropic's format.
//!    [`request`] takes any URI, and [`Attempt::payload`](crate::Attempt::payload) is the body.
//! 2. `authorize` adds the credential. Requests arrive without any credential of a client, and headers of a client that are
//!    not in the allowlist are removed.
//! 3. `base_url` gives the address for probes, and the owner of the thinking blocks.
//! 4. `judge` states the meaning of a failure. The rules need only list the errors whose meaning differs from Anthropic's.
//!    An error in another form is translated for the client, even without rules.
//!
//! ```
//! use relay_providers::kind::{Meaning, Rule, Scope, Wait, When};
//!
//! const RULES: &[Rule] = &[
//!     Rule::when(&[When::Code(&["QUOTA"])]).means(Meaning::Limited(Scope::Key, Wait::Headers)),
//!     Rule::when(&[When::Code(&["QUOTA"])]).answers(429).says("the quota is used up: {message}"),
//! ];
//! # assert_eq!(RULES.len(), 2);
//! ```

use crate::failure::{self, Judgement, Subject, UpstreamError};

pub use crate::anthropic_format::{ApiKey, prepare as messages_request, request, uri};
pub use crate::failure::{Meaning, Rule, Scope, Wait, When};
pub use relay_transport::{CacheTimes, CredentialCache, CredentialSource, Interrupted, Loaded};

/// Judges a failure by the first of `rules` that applies, otherwise by Anthropic's table. The error for the client is the one
/// that the rules state; without one, an error in another form than Anthropic's is translated as far as it can be read.
#[must_use]
pub fn judge_by(rules: &[Rule], error: &UpstreamError) -> Judgement {
    failure::judge_own_key(rules, &Subject::new(error))
}
