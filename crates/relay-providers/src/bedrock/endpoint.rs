//! The address of Bedrock, and the paths of its operations.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use relay_config::{BaseUrl, BedrockApi, ClaudeModel, bedrock_url};

/// The characters that are percent-encoded in a path segment: all except the unreserved characters of RFC 3986 and
/// the colon of model ids and ARNs, as in the Python SDK of Bedrock. A slash is encoded, since an ARN is one segment.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':');

/// The name of an AWS region. It is valid as a part of a host name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Region(String);

/// The error of a text that is not the name of a region.
#[derive(Debug, thiserror::Error)]
#[error("`{found}` is not the name of an AWS region, which is like us-east-1")]
pub(super) struct RegionError {
    found: String,
}

impl Region {
    pub(super) fn new(name: &str) -> Result<Self, RegionError> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let inner = name.trim_matches('-');
        match !name.is_empty() && inner == name && name.bytes().all(is_plain) {
            true => Ok(Self(name.to_owned())),
            false => Err(RegionError { found: name.to_owned() }),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns the path `/model/{model}/{operation}`, with `model` percent-encoded as one segment.
pub(super) fn model_path(model: &str, operation: &str) -> String {
    // A segment of dots alone would be resolved as a relative path.
    let model = match model.bytes().all(|byte| byte == b'.') {
        true => model.replace('.', "%2E"),
        false => utf8_percent_encode(model, ESCAPED).to_string(),
    };
    format!("/model/{model}/{operation}")
}

/// Returns the foundation model of a system-defined inference profile, since `CountTokens` accepts only foundation
/// models. The id of an application inference profile does not contain its model, so it is returned unchanged.
pub(super) fn foundation_model(model: &str) -> &str {
    let id = match model.starts_with("arn:") {
        true => model.rsplit('/').next().unwrap_or(model),
        false => model,
    };
    match id.find("anthropic.") {
        Some(0) => id,
        Some(at) if id[..at].ends_with('.') => &id[at..],
        _ => model,
    }
}

/// Returns `true` if `model` is of the generation (Claude 4.7 and later) that accepts
/// `anthropic_version: 2026-10-21`. If the ARN of an inference profile does not contain the model, the model counts
/// as older.
pub(super) fn is_new_generation(model: &str) -> bool {
    ClaudeModel::parse(model).and_then(|model| model.version()).is_some_and(|version| version >= (4, 7))
}

/// Returns the base URL for the paths of `api`: the configured one, or else that of the region. `None` if neither is
/// known.
pub(super) fn known_base_url(
    configured: Option<&BaseUrl>,
    region: Option<&Region>,
    api: BedrockApi,
) -> Option<BaseUrl> {
    configured.cloned().or_else(|| bedrock_url(region?.as_str(), api))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_that_could_change_the_host_is_refused() {
        for text in ["", "evil.com/", "us-east-1.evil.com", "US-EAST-1", "us east 1", "-", "us-east-1@x", "é"]
        {
            assert!(Region::new(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_model_is_one_segment_of_the_path() {
        #[track_caller]
        fn check(model: &str, expected: &str) {
            assert_eq!(model_path(model, "invoke"), format!("/model/{expected}/invoke"));
        }
        let plain = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
        check(plain, plain);
        check(
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-opus-5",
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile%2Fus.anthropic.claude-opus-5",
        );
        check("../../x?y#z", "..%2F..%2Fx%3Fy%23z");
        check("..", "%2E%2E");
        check("é b%", "%C3%A9%20b%25");
    }

    #[test]
    fn tokens_are_counted_for_the_foundation_model() {
        #[track_caller]
        fn check(model: &str, expected: &str) {
            assert_eq!(foundation_model(model), expected);
        }
        check("anthropic.claude-opus-5", "anthropic.claude-opus-5");
        check("us-gov.anthropic.claude-opus-5", "anthropic.claude-opus-5");
        check(
            "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "anthropic.claude-sonnet-4-5-20250929-v1:0",
        );
        let hidden = "arn:aws:bedrock:eu-west-1:1:application-inference-profile/abc123";
        check(hidden, hidden);
        check("my-anthropic.thing", "my-anthropic.thing");
    }

    #[test]
    fn the_generation_is_read_from_the_id() {
        for new in [
            "anthropic.claude-opus-4-7",
            "global.anthropic.claude-opus-4-8",
            "anthropic.claude-sonnet-5",
            "us.anthropic.claude-opus-5-5",
            "eu.anthropic.claude-sonnet-5-5-20261001-v1:0",
            "anthropic.claude-fable-5-2-v1",
            "anthropic.claude-mythos-5",
            "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-opus-5",
        ] {
            assert!(is_new_generation(new), "{new}");
        }
        for old in [
            "anthropic.claude-opus-4-6-v1",
            "anthropic.claude-sonnet-4-6",
            "anthropic.claude-sonnet-4-5-20250929-v1:0",
            "anthropic.claude-opus-4-20250514-v1:0",
            "anthropic.claude-3-5-haiku-20241022-v1:0",
            "arn:aws:bedrock:us-east-1:1:application-inference-profile/claude-opus-5",
            "anthropic.claude-mythos-preview",
            "anthropic.claude-",
        ] {
            assert!(!is_new_generation(old), "{old}");
        }
    }
}
