//! Profiles and projects in the files of the clouds' own tools, for variables that are not set.

use std::fs;
use std::path::PathBuf;

use crate::cloud::aws_file::AwsFiles;
use crate::cloud::{aws, google};
use crate::environment::Environment;

/// The files of the tools of AWS and Google, which name credentials that no variable does.
///
/// [`Discovery::from_environment`](super::Discovery::from_environment) reads only what variables refer to: a profile of AWS may
/// belong to other work. A command that shows its result before it is used may add these.
///
/// ```
/// use relay_config::{CloudFiles, Discovery};
///
/// let variable = |name: &str| std::env::var(name).ok();
/// let files = CloudFiles::read(&variable);
/// let discovery =
///     Discovery::from_environment(|name| variable(name).or_else(|| files.variable(name)), |_| false);
/// # let _ = discovery;
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloudFiles {
    /// The profiles of AWS with credentials: `default`, then those with a region, then the others.
    pub aws_profiles: Vec<String>,
    /// The profile that is used: the first one, unless a variable names other credentials.
    pub aws_profile: Option<String>,
    /// The project of gcloud, unless a variable names one.
    pub google_project: Option<String>,
}

impl CloudFiles {
    /// Reads the files. One that does not exist has nothing.
    #[must_use]
    pub fn read(variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let environment = Environment::new(variable);
        let aws_profiles = AwsFiles::read(environment).profiles_with_credentials();
        let needs_profile = aws::credentials_variable(environment).is_none();
        let needs_project =
            google::project(environment).is_none() && google::credentials_source(environment).is_some();
        Self {
            aws_profile: aws_profiles.first().filter(|_| needs_profile).cloned(),
            aws_profiles,
            google_project: needs_project.then(|| gcloud_project(environment)).flatten(),
        }
    }

    /// Returns the value of a variable that the files replace: `AWS_PROFILE` or `GOOGLE_CLOUD_PROJECT`.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<String> {
        match name {
            "AWS_PROFILE" => self.aws_profile.clone(),
            "GOOGLE_CLOUD_PROJECT" => self.google_project.clone(),
            _ => None,
        }
    }
}

/// Returns the project of the credentials file, of gcloud's active configuration, or the quota project of the credentials file.
///
/// # Source
/// google-auth 2.62, `_default.py`, for the order of the first two. Google Cloud CLI, "Managing gcloud CLI configurations".
fn gcloud_project(environment: Environment<'_>) -> Option<String> {
    let own = environment.get("CLOUDSDK_CONFIG").map(PathBuf::from);
    let directory = own.or_else(|| Some(PathBuf::from(environment.get("HOME")?).join(".config/gcloud")))?;
    let read = |name: &str| fs::read_to_string(directory.join(name)).ok();
    let active = read("active_config").map(|name| name.trim().to_owned());
    let active = active.filter(|name| is_plain(name)).unwrap_or_else(|| "default".to_owned());
    let configured = || project_in(&read(&format!("configurations/config_{active}"))?);
    let credentials = match environment.get("GOOGLE_APPLICATION_CREDENTIALS") {
        Some(path) => fs::read_to_string(path).ok(),
        None => read("application_default_credentials.json"),
    };
    let credentials: Option<serde_json::Value> =
        credentials.and_then(|text| serde_json::from_str(&text).ok());
    let in_file = |key: &str| Some(credentials.as_ref()?[key].as_str()?.to_owned());
    let project = in_file("project_id").or_else(configured).or_else(|| in_file("quota_project_id"));
    project.filter(|project| google::check_project(project).is_ok())
}

/// Returns `true` if `name` can be part of the name of a file.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}

/// Returns the project in the section `core`.
fn project_in(text: &str) -> Option<String> {
    let mut is_core = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            is_core = line == "[core]";
        } else if let Some((key, value)) = line.split_once('=').filter(|_| is_core)
            && key.trim() == "project"
        {
            return Some(value.trim().to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(files: &[(&str, &str)]) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = home.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        home
    }

    fn read(home: &tempfile::TempDir, variables: &[(&str, &str)]) -> CloudFiles {
        let home = home.path().to_str().unwrap();
        let variable = |name: &str| {
            let own = variables.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
            own.or((name == "HOME").then_some(home)).map(str::to_owned)
        };
        CloudFiles::read(&variable)
    }

    #[test]
    fn a_profile_with_credentials_is_found_unless_a_variable_names_others() {
        let home = home(&[
            (
                ".aws/config",
                "[profile work]\nsso_session = corp\nregion = eu-west-1\n[profile plain]\nregion = us-east-1\n\
                 [default]\nregion = us-west-2\n",
            ),
            (".aws/credentials", "[default]\naws_access_key_id = AKIA\naws_secret_access_key = s\n"),
        ]);
        let files = read(&home, &[]);
        assert_eq!(files.aws_profiles, ["default", "work"]);
        assert_eq!(files.variable("AWS_PROFILE").as_deref(), Some("default"));
        assert_eq!(read(&home, &[("AWS_PROFILE", "work")]).variable("AWS_PROFILE"), None);
        assert_eq!(read(&self::home(&[]), &[]), CloudFiles::default());
    }

    #[test]
    fn the_project_of_gcloud_needs_credentials() {
        let configuration =
            (".config/gcloud/configurations/config_mine", "[core]\naccount = a\nproject = my-project\n");
        let active = (".config/gcloud/active_config", "mine\n");
        let credentials = (
            ".config/gcloud/application_default_credentials.json",
            r#"{ "quota_project_id": "other-project" }"#,
        );
        let project = |files: &[(&str, &str)]| read(&home(files), &[]).variable("GOOGLE_CLOUD_PROJECT");
        assert_eq!(project(&[configuration, active, credentials]).as_deref(), Some("my-project"));
        assert_eq!(project(&[credentials]).as_deref(), Some("other-project"));
        assert_eq!(project(&[configuration, active]), None);
        let account =
            (".config/gcloud/account.json", r#"{ "type": "service_account", "project_id": "its-project" }"#);
        let home = home(&[credentials, account, configuration, active]);
        let path = home.path().join(account.0);
        let variables = [("GOOGLE_APPLICATION_CREDENTIALS", path.to_str().unwrap())];
        assert_eq!(read(&home, &variables).google_project.as_deref(), Some("its-project"));
        assert_eq!(read(&home, &[("GOOGLE_CLOUD_PROJECT", "p")]).google_project, None);
    }
}
