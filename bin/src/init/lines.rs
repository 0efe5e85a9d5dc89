//! The lines of a discovery.

use relay_config::CloudFiles;

/// Returns `true` if a line of the discovery is about the provider with this name.
pub(super) fn is_about(line: &str, name: &str) -> bool {
    line.split([' ', ',', ';', ':']).any(|word| word == name)
}

/// Returns a line of the discovery that names the files which were read in the place of variables.
pub(super) fn with_sources(line: &str, cloud: &CloudFiles) -> String {
    let mut line = line.to_owned();
    if let Some(profile) = &cloud.aws_profile {
        line = line.replace("AWS_PROFILE", &format!("the AWS profile {profile}"));
    }
    if cloud.google_project.is_some() {
        line = line.replace("GOOGLE_CLOUD_PROJECT", "the files of Google Cloud");
    }
    line
}
