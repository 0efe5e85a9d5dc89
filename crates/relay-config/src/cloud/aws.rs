//! AWS: regions, profiles, and the credentials of the environment for Bedrock.

use super::aws_file::{self, AwsFiles};
use super::{as_label, is_label, misnamed};
use crate::config::AwsCredentials;
use crate::environment::Environment;
use crate::error::{Fault, Place};
use crate::secret::Secret;

/// The variable of a Bedrock API key. It takes precedence over other credentials of the environment, as in the
/// SDKs.
const BEARER_TOKEN: &str = "AWS_BEARER_TOKEN_BEDROCK";
/// The variables of an access key, in the order of the fields of [`AwsCredentials::Keys`].
const ACCESS_KEY: [&str; 3] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];

/// Refuses a text that cannot be part of an endpoint's host name, and an availability zone.
pub(crate) fn check_region(region: &str) -> Result<(), Fault> {
    const EXPECTED: &str = "the code of a region, as in us-east-1";
    if !is_label(region) {
        let hint = as_label(region).map(|label| format!("write {label}")).unwrap_or_default();
        return Err(misnamed(region, EXPECTED, hint));
    }
    match region.strip_suffix(|c: char| c.is_ascii_lowercase()) {
        Some(rest) if rest.ends_with(|c: char| c.is_ascii_digit()) => {
            Err(misnamed(region, EXPECTED, format!("that is an availability zone; write {rest}")))
        }
        _ => Ok(()),
    }
}

/// Returns the region of the environment, with the variable that names it.
pub(crate) fn region(environment: Environment<'_>) -> Option<(&'static str, String)> {
    environment.first(&["AWS_REGION", "AWS_DEFAULT_REGION"])
}

/// Returns `true` if there is a profile, which may name a region.
pub(crate) fn has_profile(environment: Environment<'_>) -> bool {
    environment.has("AWS_PROFILE") || aws_file::config_path(environment).is_some_and(|file| file.is_file())
}

/// Returns `profile`, or else the one that the environment selects.
pub(crate) fn selected_profile(environment: Environment<'_>, profile: Option<&str>) -> String {
    let selected = || environment.get("AWS_PROFILE");
    profile.map(str::to_owned).or_else(selected).unwrap_or_else(|| "default".to_owned())
}

/// Returns the region of `profile`, or of the selected one, in the shared configuration file.
pub(crate) fn profile_region(environment: Environment<'_>, profile: Option<&str>) -> Option<String> {
    let profile = selected_profile(environment, profile);
    let region = AwsFiles::read(environment).in_profile(&profile, "region")?.to_owned();
    Some(region).filter(|region| check_region(region).is_ok())
}

/// Returns the fault of the region of `profile`, or of the selected one, with its place.
pub(crate) fn profile_region_fault(
    environment: Environment<'_>,
    profile: Option<&str>,
) -> Option<(Place, Fault)> {
    let files = AwsFiles::read(environment);
    let (region, place) = files.located(&selected_profile(environment, profile), "region")?;
    Some((place.clone(), check_region(region).err()?))
}

/// Returns the credential that applies if the configuration file names none.
pub(crate) fn credentials(environment: Environment<'_>) -> AwsCredentials {
    match environment.secret(BEARER_TOKEN) {
        Some(token) => AwsCredentials::BearerToken(Secret::new(token)),
        None => corrected_keys(environment).unwrap_or(AwsCredentials::DefaultChain),
    }
}

/// Returns the secret variables that apply if the configuration file names no credential, each with the setting that
/// replaces it.
pub(crate) fn secret_variables(environment: Environment<'_>) -> Vec<(&'static str, &'static str)> {
    if environment.has(BEARER_TOKEN) {
        return vec![(BEARER_TOKEN, "aws_bearer_token")];
    }
    let settings = ["aws_access_key_id", "aws_secret_access_key", "aws_session_token"];
    ACCESS_KEY.into_iter().zip(settings).collect()
}

/// Returns the access key of the environment if characters around it have to be removed. The default chain, which takes
/// it first, would use it unchanged.
fn corrected_keys(environment: Environment<'_>) -> Option<AwsCredentials> {
    let is_changed = |variable: &&str| environment.raw(variable) != environment.secret(variable);
    let [id, secret, token] = ACCESS_KEY.map(|variable| environment.secret(variable).map(Secret::new));
    let (access_key_id, secret_access_key) = (id?, secret?);
    ACCESS_KEY.iter().find(|variable| is_changed(variable))?;
    Some(AwsCredentials::Keys { access_key_id, secret_access_key, session_token: token })
}

/// Returns the variable that indicates that the environment holds credentials, if there is one.
pub(crate) fn credentials_variable(environment: Environment<'_>) -> Option<&'static str> {
    let sources: [&[&'static str]; 6] = [
        &[BEARER_TOKEN],
        &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
        &["AWS_PROFILE"],
        &["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"],
        &["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"],
        &["AWS_CONTAINER_CREDENTIALS_FULL_URI"],
    ];
    let source =
        sources.into_iter().find(|source| source.iter().all(|variable| environment.has(variable)))?;
    source.first().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::testing::lookup;

    #[test]
    fn a_region_must_be_a_code() {
        #[track_caller]
        fn check(region: &str, expected: Option<&str>) {
            assert_eq!(check_region(region).err().map(|fault| fault.to_string()).as_deref(), expected);
        }
        check("us-east-1", None);
        check("us-gov-west-1", None);
        let start = |found: &str| format!("found {found:?}, expected the code of a region, as in us-east-1");
        check("us-east-1a", Some(&(start("us-east-1a") + "; that is an availability zone; write us-east-1")));
        check("US East 1", Some(&(start("US East 1") + "; write us-east-1")));
        check("US East (N. Virginia)", Some(&start("US East (N. Virginia)")));
        check("eu-west-1.example.com/", Some(&start("eu-west-1.example.com/")));
        check("-", Some(&start("-")));
    }

    #[test]
    fn a_bedrock_api_key_takes_precedence_over_access_keys() {
        let keys = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "s"), (BEARER_TOKEN, " b ")];
        let variable = lookup(&keys);
        assert_eq!(credentials(Environment::new(&variable)), AwsCredentials::BearerToken(Secret::new("b")));
        assert_eq!(credentials_variable(Environment::new(&variable)), Some(BEARER_TOKEN));
        let variable = lookup(&keys[..2]);
        assert_eq!(credentials(Environment::new(&variable)), AwsCredentials::DefaultChain);
        assert_eq!(credentials_variable(Environment::new(&variable)), Some("AWS_ACCESS_KEY_ID"));
        let variable = lookup(&keys[..1]);
        assert_eq!(credentials_variable(Environment::new(&variable)), None);
    }
}
