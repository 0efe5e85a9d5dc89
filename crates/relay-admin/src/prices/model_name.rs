//! The form of a model's name under which its price is listed.

use std::borrow::Cow;

use super::entry::Place;

/// The prefixes of Bedrock's inference profiles for groups of regions.
///
/// # Source
/// The header of `prices.toml`.
const REGIONAL: [&str; 7] = ["us.", "eu.", "apac.", "au.", "jp.", "in.", "ca."];
/// The prefix of Bedrock's global inference profiles.
const GLOBAL: &str = "global.";
/// The prefix of the inference profiles of GovCloud.
const GOV: &str = "us-gov.";

/// Returns `model` in lower case and without `[1m]`.
pub(super) fn plain(model: &str) -> Cow<'_, str> {
    let model = model.trim();
    let lower = if model.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(model.to_ascii_lowercase())
    } else {
        Cow::Borrowed(model)
    };
    match lower {
        Cow::Borrowed(name) => Cow::Borrowed(name.strip_suffix("[1m]").unwrap_or(name)),
        Cow::Owned(mut name) => {
            name.truncate(name.strip_suffix("[1m]").map_or(name.len(), str::len));
            Cow::Owned(name)
        }
    }
}

/// Splits a plain name of Bedrock into the place of its inference profile and the id of the model. An ARN stands for the id in
/// its last segment. An id without a prefix is regional.
pub(super) fn split_bedrock(name: &str) -> (Place, &str) {
    let is_gov_arn = name.starts_with("arn:aws-us-gov:");
    let id = if name.starts_with("arn:") { name.rsplit('/').next().unwrap_or(name) } else { name };
    let cut = |prefix: &&str| id.strip_prefix(*prefix);
    if let Some(id) = id.strip_prefix(GOV) {
        (Place::Gov, id)
    } else if is_gov_arn {
        (Place::Gov, REGIONAL.iter().find_map(cut).unwrap_or(id))
    } else if let Some(id) = id.strip_prefix(GLOBAL) {
        (Place::Global, id)
    } else {
        (Place::Regional, REGIONAL.iter().find_map(cut).unwrap_or(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_name_is_in_lower_case_and_without_the_suffix_of_long_contexts() {
        assert_eq!(plain("claude-opus-5-5"), "claude-opus-5-5");
        assert_eq!(plain("claude-opus-5-5[1m]"), "claude-opus-5-5");
        assert_eq!(plain(" GLM-5.2[1M] "), "glm-5.2");
        assert_eq!(plain("[1m]"), "");
    }

    #[test]
    fn a_name_of_bedrock_has_the_place_of_its_profile() {
        #[track_caller]
        fn check(name: &str, place: Place, id: &str) {
            assert_eq!(split_bedrock(name), (place, id));
        }
        const ID: &str = "anthropic.claude-opus-5-5";
        check(ID, Place::Regional, ID);
        for prefix in ["us", "eu", "apac", "au", "jp", "in", "ca"] {
            check(&format!("{prefix}.{ID}"), Place::Regional, ID);
        }
        check(&format!("global.{ID}"), Place::Global, ID);
        check(&format!("us-gov.{ID}"), Place::Gov, ID);
        check(&format!("arn:aws:bedrock:eu-central-1:1:inference-profile/eu.{ID}"), Place::Regional, ID);
        check(&format!("arn:aws:bedrock:us-east-1:1:inference-profile/global.{ID}"), Place::Global, ID);
        check(&format!("arn:aws:bedrock:us-east-1::foundation-model/{ID}"), Place::Regional, ID);
        check(
            &format!("arn:aws-us-gov:bedrock:us-gov-west-1:1:inference-profile/us-gov.{ID}"),
            Place::Gov,
            ID,
        );
        check(&format!("arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/{ID}"), Place::Gov, ID);
        check("arn:aws:bedrock:us-east-1:1:application-inference-profile/abc123", Place::Regional, "abc123");
    }
}
