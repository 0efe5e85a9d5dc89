//! The shared configuration and credentials files of AWS.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::environment::Environment;
use crate::error::Place;
use crate::secret_text;

/// The keys whose values are secrets.
const SECRETS: [&str; 3] = ["aws_access_key_id", "aws_secret_access_key", "aws_session_token"];
/// The keys of a profile that has credentials, or names the source of them.
const CREDENTIALS: [&str; 7] = [
    "aws_access_key_id",
    "credential_process",
    "login_session",
    "role_arn",
    "sso_session",
    "sso_start_url",
    "web_identity_token_file",
];
/// The largest number of profiles that follow each other by `source_profile`.
const CHAIN_MAX: usize = 16;

/// The settings of both files. Those of the credentials file have precedence.
#[derive(Default)]
pub(crate) struct AwsFiles(Vec<Setting>);

struct Setting {
    /// The kind and the name of the section, with a single blank. A profile has the kind `profile` in both files.
    section: String,
    /// The key in lower case. A nested setting has the name `parent.key`.
    key: String,
    value: String,
    place: Place,
}

/// A secret in one of the files.
pub(crate) struct FileSecret<'a> {
    pub(crate) key: &'static str,
    pub(crate) value: &'a str,
    pub(crate) place: &'a Place,
}

/// The texts of the configuration file and of the credentials file without the slips around their secrets.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CorrectedAwsFiles {
    /// The configuration file.
    pub config: String,
    /// The credentials file.
    pub credentials: String,
}

impl CorrectedAwsFiles {
    /// Reads both files. Returns `None` if AWS's own tools read them as they are meant: the files exist without slips, or do
    /// not exist.
    pub fn read(variable: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        let environment = Environment::new(variable);
        let [config, credentials] = [config_path(environment), credentials_path(environment)].map(read);
        let own = Self { config: corrected(&config), credentials: corrected(&credentials) };
        (own.config != config || own.credentials != credentials).then_some(own)
    }
}

impl AwsFiles {
    /// Reads the files that `AWS_CONFIG_FILE` and `AWS_SHARED_CREDENTIALS_FILE` name, or those in the home directory. A file
    /// that cannot be read is empty.
    pub(crate) fn read(environment: Environment<'_>) -> Self {
        let mut files = Self::default();
        for (path, is_credentials) in
            [(credentials_path(environment), true), (config_path(environment), false)]
        {
            let name = path.as_deref().map_or_else(String::new, |path| path.display().to_string());
            files.add(&read(path), &name.into(), is_credentials);
        }
        files
    }

    /// Parses the text of one file.
    fn add(&mut self, text: &str, name: &Arc<str>, is_credentials: bool) {
        let (mut section, mut parent) = (None, String::new());
        for (index, whole) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let is_nested = whole.starts_with([' ', '\t']);
            let line = without_comment(whole).trim_matches([' ', '\t']);
            if let Some(header) = line.strip_prefix('[') {
                section = Some(section_name(header.split(']').next().unwrap_or_default(), is_credentials));
                parent.clear();
            } else if let (Some(section), Some((key, value))) = (&section, line.split_once('=')) {
                let (key, value) = (key.trim().to_ascii_lowercase(), value.trim_matches([' ', '\t']));
                let is_child = is_nested && !parent.is_empty();
                let key = if is_child { format!("{parent}.{key}") } else { key };
                if !is_child {
                    parent = if value.is_empty() { key.clone() } else { String::new() };
                }
                let column = whole.find(value).map_or(1, |at| whole[..at].chars().count() + 1);
                let place = Place::File { name: name.clone(), line: index + 1, column };
                self.0.push(Setting { section: section.clone(), key, value: value.to_owned(), place });
            }
        }
    }

    /// Returns the names of the profiles that have credentials or name their source: `default`, then those with a region, then the
    /// others.
    pub(crate) fn profiles_with_credentials(&self) -> Vec<String> {
        let mut profiles: Vec<String> = Vec::new();
        for setting in self.0.iter().filter(|setting| CREDENTIALS.contains(&setting.key.as_str())) {
            let Some(name) = setting.section.strip_prefix("profile ") else { continue };
            if !profiles.iter().any(|known| known == name) {
                profiles.push(name.to_owned());
            }
        }
        profiles.sort_by_key(|name| (name != "default", self.in_profile(name, "region").is_none()));
        profiles
    }

    /// Returns the secrets of a profile and of the ones that it takes its credentials from.
    pub(crate) fn secrets(&self, profile: &str) -> Vec<FileSecret<'_>> {
        let mut profiles = vec![profile];
        while let Some(next) = profiles.last().and_then(|last| self.in_profile(last, "source_profile"))
            && !profiles.contains(&next)
            && profiles.len() < CHAIN_MAX
        {
            profiles.push(next);
        }
        let of_profiles = profiles.into_iter().flat_map(|profile| {
            SECRETS.into_iter().filter_map(move |key| {
                let setting = self.find(&format!("profile {profile}"), key)?;
                Some(FileSecret { key, value: &setting.value, place: &setting.place })
            })
        });
        of_profiles.collect()
    }

    /// Returns the setting `key` of a profile. An empty value counts as unset.
    pub(crate) fn in_profile(&self, profile: &str, key: &str) -> Option<&str> {
        self.get(&format!("profile {profile}"), key)
    }

    /// Returns the setting `key` of a profile with its place.
    pub(crate) fn located(&self, profile: &str, key: &str) -> Option<(&str, &Place)> {
        let setting = self.find(&format!("profile {profile}"), key)?;
        Some((&setting.value, &setting.place))
    }

    /// Returns the setting `key` of the section `services NAME`.
    pub(crate) fn in_services(&self, name: &str, key: &str) -> Option<&str> {
        self.get(&format!("services {name}"), key)
    }

    fn get(&self, section: &str, key: &str) -> Option<&str> {
        self.find(section, key).map(|setting| setting.value.trim())
    }

    fn find(&self, section: &str, key: &str) -> Option<&Setting> {
        let mut settings = self.0.iter().filter(|setting| !setting.value.trim().is_empty());
        settings.find(|setting| setting.section == section && setting.key == key)
    }
}

/// Returns the path of the configuration file, which may not exist.
pub(crate) fn config_path(environment: Environment<'_>) -> Option<PathBuf> {
    path(environment, "AWS_CONFIG_FILE", "config")
}

fn credentials_path(environment: Environment<'_>) -> Option<PathBuf> {
    path(environment, "AWS_SHARED_CREDENTIALS_FILE", "credentials")
}

fn path(environment: Environment<'_>, variable: &str, name: &str) -> Option<PathBuf> {
    let home = || environment.get("HOME").map(PathBuf::from);
    match environment.get(variable) {
        Some(own) => match own.strip_prefix("~/") {
            Some(inside) => Some(home()?.join(inside)),
            None => Some(PathBuf::from(own)),
        },
        None => Some(home()?.join(".aws").join(name)),
    }
}

fn read(path: Option<impl AsRef<Path>>) -> String {
    path.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default()
}

/// Removes a byte order mark, and the slips around the secrets of a file.
fn corrected(text: &str) -> String {
    let corrected_line = |line: &str| -> Option<String> {
        let (key, value) = without_comment(line).split_once('=')?;
        let is_secret = SECRETS.iter().any(|secret| key.trim().eq_ignore_ascii_case(secret));
        let value = value.trim_matches([' ', '\t', '\r', '\n']);
        let cleaned = secret_text::clean(value).text;
        (is_secret && cleaned != value).then(|| format!("{key}= {cleaned}\n"))
    };
    let lines = text.trim_start_matches('\u{feff}').split_inclusive('\n');
    lines.map(|line| corrected_line(line).unwrap_or_else(|| line.to_owned())).collect()
}

/// Returns the name of a section with single blanks. The default profile, and each one of the credentials file, is
/// written without `profile`.
fn section_name(text: &str, is_credentials: bool) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    match words.as_slice() {
        [name] if is_credentials || *name == "default" => format!("profile {name}"),
        words => words.join(" "),
    }
}

/// Removes a comment: a whole line, or the end of a line after a blank.
fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with(['#', ';']) {
        return "";
    }
    let end = [" #", "\t#", " ;", "\t;"].iter().filter_map(|mark| line.find(mark)).min();
    end.map_or(line, |end| &line[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_from_their_section() {
        let mut file = AwsFiles::default();
        let text = "# region = x\n[default]\nregion = us-east-1 # here\n[ profile  work ]\ns3 =\n  region = no\nregion=eu-west-3\n\
             services = local\n[sso-session default]\nregion = us-west-1\n[services local]\nbedrock_runtime =\n  \
             endpoint_url = http://localhost:1\nsts =\n  endpoint_url = http://localhost:2\n[profile empty]\nRegion =\n";
        file.add(text, &"config".into(), false);
        assert_eq!(file.in_profile("default", "region"), Some("us-east-1"));
        assert_eq!(file.in_profile("work", "region"), Some("eu-west-3"));
        assert_eq!(file.in_profile("work", "s3.region"), Some("no"));
        assert_eq!(file.in_profile("other", "region"), None);
        assert_eq!(file.in_profile("empty", "region"), None);
        assert_eq!(file.in_services("local", "bedrock_runtime.endpoint_url"), Some("http://localhost:1"));
        assert_eq!(file.in_services("local", "sts.endpoint_url"), Some("http://localhost:2"));
    }
}
