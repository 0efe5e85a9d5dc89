//! The shared configuration file of AWS.

use std::path::PathBuf;

use crate::environment::Environment;

/// The sections of the file, each with its settings. A nested setting has the name `parent.key`.
#[derive(Debug, Default)]
pub(crate) struct AwsFile(Vec<(String, Vec<(String, String)>)>);

impl AwsFile {
    /// Reads the file that `AWS_CONFIG_FILE` names, or the one in the home directory. A file that cannot be read is empty.
    pub(crate) fn read(environment: Environment<'_>) -> Self {
        let text = path(environment).and_then(|path| std::fs::read_to_string(path).ok());
        text.map(|text| Self::parse(&text)).unwrap_or_default()
    }

    /// Parses the text of the file.
    pub(crate) fn parse(text: &str) -> Self {
        let mut file = Self::default();
        let mut parent = String::new();
        for line in text.lines() {
            let is_nested = line.starts_with([' ', '\t']);
            let line = without_comment(line).trim();
            if let Some(section) = line.strip_prefix('[') {
                let name = section.split(']').next().unwrap_or_default();
                file.0.push((section_name(name), Vec::new()));
                parent.clear();
            } else if let (Some((_, settings)), Some((key, value))) =
                (file.0.last_mut(), line.split_once('='))
            {
                let (key, value) = (key.trim(), value.trim());
                match is_nested && !parent.is_empty() {
                    true => settings.push((format!("{parent}.{key}"), value.to_owned())),
                    false => {
                        parent = if value.is_empty() { key.to_owned() } else { String::new() };
                        settings.push((key.to_owned(), value.to_owned()));
                    }
                }
            }
        }
        file
    }

    /// Returns the setting `key` of a profile. An empty value counts as unset.
    pub(crate) fn in_profile(&self, profile: &str, key: &str) -> Option<&str> {
        self.get(&format!("profile {profile}"), key)
    }

    /// Returns the setting `key` of the section `services NAME`.
    pub(crate) fn in_services(&self, name: &str, key: &str) -> Option<&str> {
        self.get(&format!("services {name}"), key)
    }

    fn get(&self, section: &str, key: &str) -> Option<&str> {
        let sections = self.0.iter().filter(|(name, _)| name == section);
        let found = sections.flat_map(|(_, settings)| settings).find(|(known, _)| known == key);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }
}

/// Returns the path of the file, which may not exist.
pub(crate) fn path(environment: Environment<'_>) -> Option<PathBuf> {
    let own = environment.get("AWS_CONFIG_FILE").map(PathBuf::from);
    own.or_else(|| environment.get("HOME").map(|home| PathBuf::from(home).join(".aws").join("config")))
}

/// Returns the name of a section with single blanks. The default profile may be written without `profile`.
fn section_name(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    match words.as_slice() {
        ["default"] => "profile default".to_owned(),
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
        let file = AwsFile::parse(
            "# region = x\n[default]\nregion = us-east-1 # here\n[ profile  work ]\ns3 =\n  region = no\nregion=eu-west-3\n\
             services = local\n[sso-session default]\nregion = us-west-1\n[services local]\nbedrock_runtime =\n  \
             endpoint_url = http://localhost:1\nsts =\n  endpoint_url = http://localhost:2\n[profile empty]\nregion =\n",
        );
        assert_eq!(file.in_profile("default", "region"), Some("us-east-1"));
        assert_eq!(file.in_profile("work", "region"), Some("eu-west-3"));
        assert_eq!(file.in_profile("work", "s3.region"), Some("no"));
        assert_eq!(file.in_profile("other", "region"), None);
        assert_eq!(file.in_profile("empty", "region"), None);
        assert_eq!(file.in_services("local", "bedrock_runtime.endpoint_url"), Some("http://localhost:1"));
        assert_eq!(file.in_services("local", "sts.endpoint_url"), Some("http://localhost:2"));
    }
}
