//! The member of AWS's provider chain that returned credentials.

use aws_credential_types::Credentials;
use aws_credential_types::credential_feature::AwsCredentialFeature as Feature;

/// Returns the source of credentials in words.
pub(super) fn of(credentials: &Credentials) -> String {
    let features = credentials.get_property::<Vec<Feature>>();
    let named = features.into_iter().flatten().rev().find_map(name);
    named.unwrap_or("AWS's provider chain").to_owned()
}

/// Returns the source that a feature means. `None` for a feature that is not about the source.
fn name(feature: &Feature) -> Option<&'static str> {
    Some(match feature {
        Feature::CredentialsEnvVars => "AWS_ACCESS_KEY_ID of the environment",
        Feature::CredentialsEnvVarsStsWebIdToken
        | Feature::CredentialsStsAssumeRoleWebId
        | Feature::CredentialsProfileStsWebIdToken => "a role that a web identity token assumes",
        Feature::CredentialsStsAssumeRole | Feature::CredentialsProfileSourceProfile => {
            "a role that the AWS profile assumes"
        }
        Feature::CredentialsProfile => "the shared AWS files",
        Feature::CredentialsProfileSso | Feature::CredentialsSso => "a session of aws sso login",
        Feature::CredentialsProfileLogin | Feature::CredentialsLogin => "a session of aws login",
        Feature::CredentialsProfileProcess | Feature::CredentialsProcess => {
            "the credential_process of the AWS profile"
        }
        Feature::CredentialsHttp => "the container's credential endpoint",
        Feature::CredentialsImds => "the instance metadata service",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_is_the_last_feature_that_names_one() {
        #[track_caller]
        fn check(features: Vec<Feature>, expected: &str) {
            let mut credentials = Credentials::for_tests();
            credentials.set_property(features);
            assert_eq!(of(&credentials), expected);
        }
        check(vec![Feature::CredentialsEnvVars], "AWS_ACCESS_KEY_ID of the environment");
        check(
            vec![Feature::CredentialsProfile, Feature::CredentialsSso, Feature::ResolvedAccountId],
            "a session of aws sso login",
        );
        assert_eq!(of(&Credentials::for_tests()), "AWS's provider chain");
    }
}
