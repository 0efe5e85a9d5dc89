//! Applies the guardrail of Amazon Bedrock that a client requests, or that the operator enforces.
//!
//! Only Bedrock applies a guardrail. A request for one therefore never reaches a provider that would answer without it:
//! [`guardrail_conflict`] excludes the provider from the plan.
//!
//! # Source
//! The headers are those of `InvokeModel` in the service model of bedrock-runtime. `CountTokens` has none of them.

use std::fmt;

use http::HeaderMap;
use http::header::{AsHeaderName, HeaderName, HeaderValue};
use relay_config::{BedrockConfig, BedrockGuardrail, GuardrailTrace, ProviderKind};
use relay_messages::MessagesBody;

use crate::request::{Endpoint, RelayRequest};

const IDENTIFIER: &str = "x-amzn-bedrock-guardrailidentifier";
const VERSION: &str = "x-amzn-bedrock-guardrailversion";
const TRACE: &str = "x-amzn-bedrock-trace";

/// The headers by which a client requests a guardrail. Constants are not parsed for each request.
static REQUESTS: [HeaderName; 2] = [HeaderName::from_static(IDENTIFIER), HeaderName::from_static(VERSION)];

/// The field of the body with the tags and the mode of a guardrail. Its `tagSuffix` limits the check to tagged parts of the
/// content, and its `streamProcessingMode` can send text before it is checked.
///
/// # Source
/// "Apply tags to user input to filter content", in Bedrock's user guide.
const CONFIG: &str = "amazon-bedrock-guardrailConfig";

/// The client's headers that Bedrock receives.
const PASSED: [&str; 6] = [
    IDENTIFIER,
    VERSION,
    TRACE,
    "x-amzn-bedrock-performanceconfig-latency",
    "x-amzn-bedrock-request-metadata",
    "x-amzn-bedrock-service-tier",
];

/// The reason that a provider cannot serve a request with the guardrail that the client requests: a clause whose subject is
/// the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum GuardrailConflict {
    /// The provider would answer without the guardrail.
    NotApplied,
    /// The provider enforces another guardrail.
    Enforced {
        /// The id of the enforced guardrail.
        id: String,
        /// The version of the enforced guardrail.
        version: String,
    },
    /// The provider enforces a guardrail, which the client's body would limit.
    Limited {
        /// The id of the enforced guardrail.
        id: String,
        /// The version of the enforced guardrail.
        version: String,
    },
    /// A header for Bedrock has two values, or one that cannot be signed.
    Unreadable {
        /// The name of the header.
        header: &'static str,
    },
}

impl fmt::Display for GuardrailConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotApplied => f.write_str("applies no guardrail"),
            Self::Enforced { id, version } => {
                write!(f, "enforces the guardrail `{id}` in version `{version}` and takes no other")
            }
            Self::Limited { id, version } => {
                write!(
                    f,
                    "enforces the guardrail `{id}` in version `{version}` and takes no {CONFIG}, which limits it"
                )
            }
            Self::Unreadable { header } => {
                write!(f, "takes one value in visible ASCII characters for {header}")
            }
        }
    }
}

impl GuardrailConflict {
    /// Returns `true` if the operator's guardrail refuses the request, which is valid by itself.
    #[must_use]
    pub fn is_enforced(&self) -> bool {
        matches!(self, Self::Enforced { .. } | Self::Limited { .. })
    }
}

/// Returns the reason that a provider of `kind` cannot serve `request` with the guardrail that its client requests.
///
/// A token count runs no model, so no guardrail applies to it.
#[must_use]
pub fn guardrail_conflict(kind: &ProviderKind, request: &RelayRequest) -> Option<GuardrailConflict> {
    let headers = request.headers();
    if request.endpoint() == Endpoint::CountTokens {
        return None;
    }
    match kind {
        ProviderKind::Bedrock(config) if config.applies_guardrails() => {
            conflict_at_bedrock(config, headers).or_else(|| limit_at_bedrock(config, request.body()))
        }
        _ => requests_guardrail(headers).then_some(GuardrailConflict::NotApplied),
    }
}

/// Returns `true` if a client with these headers requests a guardrail.
#[must_use]
pub fn requests_guardrail(headers: &HeaderMap) -> bool {
    headers.iter().any(|(name, value)| REQUESTS.contains(name) && !value.as_bytes().trim_ascii().is_empty())
}

fn conflict_at_bedrock(config: &BedrockConfig, headers: &HeaderMap) -> Option<GuardrailConflict> {
    if let Some(enforced) = &config.guardrail {
        let differs = |name: &str, own: &str| values(headers, name).any(|value| value != own.as_bytes());
        if differs(IDENTIFIER, &enforced.id) || differs(VERSION, &enforced.version) {
            let BedrockGuardrail { id, version, .. } = enforced.clone();
            return Some(GuardrailConflict::Enforced { id, version });
        }
    }
    let is_unreadable = |name: &&str| values(headers, *name).next().is_some() && one(headers, name).is_none();
    PASSED.into_iter().find(is_unreadable).map(|header| GuardrailConflict::Unreadable { header })
}

/// Returns the conflict of a body that would limit the enforced guardrail.
fn limit_at_bedrock(config: &BedrockConfig, body: &MessagesBody) -> Option<GuardrailConflict> {
    let BedrockGuardrail { id, version, .. } = config.guardrail.clone()?;
    body.get(CONFIG).map(|_| GuardrailConflict::Limited { id, version })
}

/// Adds the client's headers for Bedrock to `upstream`, and the guardrail that the operator enforces.
pub(crate) fn write_bedrock_headers(
    enforced: Option<&BedrockGuardrail>,
    client: &HeaderMap,
    upstream: &mut HeaderMap,
) {
    for name in PASSED {
        if let Some(value) = one(client, name) {
            upstream.insert(HeaderName::from_static(name), value);
        }
    }
    let Some(enforced) = enforced else { return };
    let trace = enforced.trace.map(GuardrailTrace::as_str);
    for (name, value) in
        [(IDENTIFIER, Some(&*enforced.id)), (VERSION, Some(&*enforced.version)), (TRACE, trace)]
    {
        // The configuration accepts visible ASCII characters only.
        if let Some(Ok(value)) = value.map(HeaderValue::from_str) {
            upstream.insert(HeaderName::from_static(name), value);
        }
    }
}

/// Returns the value of a header that has one value, also if it occurs several times.
fn one(headers: &HeaderMap, name: &str) -> Option<HeaderValue> {
    let first = values(headers, name).next()?;
    let is_text = |value: &[u8]| value.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
    let is_only = values(headers, name).all(|value| value == first);
    (is_only && is_text(first)).then(|| HeaderValue::from_bytes(first).ok())?
}

/// Iterates over the values of a header without surrounding blanks. An empty value counts as absent.
fn values<'a, N: AsHeaderName>(
    headers: &'a HeaderMap,
    name: N,
) -> impl Iterator<Item = &'a [u8]> + use<'a, N> {
    headers.get_all(name).iter().map(|value| value.as_bytes().trim_ascii()).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use relay_config::{AwsCredentials, BaseUrl};

    use super::*;

    fn headers(entries: &[(&'static str, &'static str)]) -> HeaderMap {
        let entry = |&(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap())
        };
        entries.iter().map(entry).collect()
    }

    fn bedrock(guardrail: Option<BedrockGuardrail>, base_url: Option<&str>) -> ProviderKind {
        let mut config = BedrockConfig::new(AwsCredentials::DefaultChain).with_region("us-east-1");
        config.base_url = base_url.map(|url| BaseUrl::parse(url).unwrap());
        config.guardrail = guardrail;
        ProviderKind::Bedrock(config)
    }

    fn enforced() -> BedrockGuardrail {
        BedrockGuardrail::new("abc1", "2").with_trace(GuardrailTrace::Enabled)
    }

    const TIER: &str = "x-amzn-bedrock-service-tier";

    #[track_caller]
    fn check(
        kind: &ProviderKind,
        entries: &[(&'static str, &'static str)],
        expected: Option<GuardrailConflict>,
    ) {
        let body = MessagesBody::parse(r#"{"model":"m"}"#.into()).unwrap();
        let request = |endpoint| RelayRequest::new(endpoint, None, headers(entries), body.clone());
        assert_eq!(guardrail_conflict(kind, &request(Endpoint::Messages)), expected, "{entries:?}");
        assert_eq!(guardrail_conflict(kind, &request(Endpoint::CountTokens)), None, "{entries:?}");
    }

    #[test]
    fn only_bedrock_serves_a_request_for_a_guardrail() {
        let mantle = bedrock(None, Some("https://bedrock-mantle.us-east-1.api.aws/anthropic"));
        for kind in [ProviderKind::Mock, mantle] {
            check(&kind, &[(IDENTIFIER, "abc1")], Some(GuardrailConflict::NotApplied));
            check(&kind, &[(VERSION, "1")], Some(GuardrailConflict::NotApplied));
            check(&kind, &[(IDENTIFIER, " "), (TRACE, "ENABLED"), (TIER, "flex")], None);
        }
        check(&bedrock(None, None), &[(IDENTIFIER, "abc1"), (VERSION, "1")], None);
    }

    #[test]
    fn an_enforced_guardrail_excludes_every_other_one() {
        let kind = bedrock(Some(enforced()), None);
        let conflict = || GuardrailConflict::Enforced { id: "abc1".to_owned(), version: "2".to_owned() };
        check(&kind, &[], None);
        check(&kind, &[(IDENTIFIER, "abc1")], None);
        check(
            &kind,
            &[(IDENTIFIER, "abc1"), (IDENTIFIER, " abc1"), (VERSION, "2"), (TRACE, "DISABLED")],
            None,
        );
        check(&kind, &[(IDENTIFIER, "")], None);
        check(&kind, &[(IDENTIFIER, "other")], Some(conflict()));
        check(&kind, &[(IDENTIFIER, "ABC1")], Some(conflict()));
        check(&kind, &[(IDENTIFIER, "abc1"), (IDENTIFIER, "other")], Some(conflict()));
        check(&kind, &[(IDENTIFIER, "abc1, other")], Some(conflict()));
        check(&kind, &[(IDENTIFIER, "abc1"), (VERSION, "DRAFT")], Some(conflict()));
        check(&kind, &[(VERSION, "1")], Some(conflict()));
    }

    #[test]
    fn a_header_with_two_values_or_without_ascii_is_refused() {
        let unreadable = |header| Some(GuardrailConflict::Unreadable { header });
        check(&bedrock(None, None), &[(IDENTIFIER, "a"), (IDENTIFIER, "b")], unreadable(IDENTIFIER));
        check(&bedrock(None, None), &[(TIER, "flex"), (TIER, "priority")], unreadable(TIER));
        check(&bedrock(Some(enforced()), None), &[(TIER, "é")], unreadable(TIER));
    }

    #[test]
    fn the_enforced_guardrail_is_always_sent() {
        #[track_caller]
        fn check_written(
            enforced: Option<&BedrockGuardrail>,
            client: &[(&'static str, &'static str)],
            expected: &[(&'static str, &'static str)],
        ) {
            let mut upstream = HeaderMap::new();
            write_bedrock_headers(enforced, &headers(client), &mut upstream);
            assert_eq!(upstream, headers(expected));
        }
        let own = enforced();
        let sent = [(IDENTIFIER, "abc1"), (VERSION, "2"), (TRACE, "ENABLED")];
        check_written(Some(&own), &[], &sent);
        check_written(Some(&own), &[(IDENTIFIER, "abc1"), (TRACE, "DISABLED")], &sent);
        let without_trace = BedrockGuardrail::new("abc1", "2");
        check_written(
            Some(&without_trace),
            &[(TRACE, "ENABLED_FULL"), (TIER, "flex"), ("x-amzn-trace-id", "t")],
            &[(IDENTIFIER, "abc1"), (VERSION, "2"), (TRACE, "ENABLED_FULL"), (TIER, "flex")],
        );
        check_written(
            None,
            &[(IDENTIFIER, "x"), (IDENTIFIER, "x"), (VERSION, "DRAFT")],
            &[(IDENTIFIER, "x"), (VERSION, "DRAFT")],
        );
        check_written(None, &[], &[]);
    }
}
