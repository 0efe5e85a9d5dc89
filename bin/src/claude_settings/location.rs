//! The places of Claude Code's settings files.

use std::fs;
use std::path::{Path, PathBuf};

use super::arguments::FileArguments;
use super::error::ClaudeSettingsError as Error;
use crate::settings::variable;

/// A source of settings. The order is that of precedence, the highest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// The files of an administrator.
    Managed,
    /// The settings on the command line of Claude Code.
    CommandLine,
    /// `.claude/settings.local.json` in the working directory.
    Local,
    /// `.claude/settings.json` in the working directory.
    Project,
    /// `settings.json` in the directory of the user.
    User,
    /// The environment of the process.
    Environment,
}

impl Rank {
    /// The name in outputs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Managed => "managed",
            Self::CommandLine => "command line",
            Self::Local => "project, local",
            Self::Project => "project",
            Self::User => "user",
            Self::Environment => "environment",
        }
    }
}

/// The place of a settings file, which need not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) rank: Rank,
    pub(crate) path: PathBuf,
}

/// Returns the file that the command line names. It may be a symbolic link or missing.
pub(super) fn named_by(arguments: &FileArguments) -> Result<PathBuf, Error> {
    match &arguments.settings {
        Some(path) => Ok(path.clone()),
        None if arguments.project => Ok(project_file()),
        None if arguments.local => Ok(local_file()),
        None => user_file(),
    }
}

/// Returns the file of the user.
fn user_file() -> Result<PathBuf, Error> {
    Ok(user_directory()?.join("settings.json"))
}

/// Returns the directory of the user: `$CLAUDE_CONFIG_DIR`, or `~/.claude`.
pub(super) fn user_directory() -> Result<PathBuf, Error> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || set("HOME").or_else(|| set("USERPROFILE")).map(|home| home.join(".claude"));
    set("CLAUDE_CONFIG_DIR").or_else(home).ok_or(Error::NoHome)
}

/// Returns the file of the project in the working directory.
fn project_file() -> PathBuf {
    Path::new(".claude").join("settings.json")
}

/// Returns the file of the project in the working directory that is not shared with others.
fn local_file() -> PathBuf {
    Path::new(".claude").join("settings.local.json")
}

/// Returns the places of all settings files, the highest rank first.
pub(crate) fn all() -> Vec<Location> {
    let of = |rank, path| Location { rank, path };
    let mut locations: Vec<Location> =
        managed_files(managed_directory()).into_iter().map(|path| of(Rank::Managed, path)).collect();
    locations.push(of(Rank::Local, local_file()));
    let user = user_file().ok();
    // In the home directory, the file of the project is that of the user.
    let real = |path: &PathBuf| path.canonicalize().ok();
    let is_user = user.as_ref().and_then(real).is_some_and(|user| real(&project_file()) == Some(user));
    locations.extend((!is_user).then(|| of(Rank::Project, project_file())));
    locations.extend(user.map(|path| of(Rank::User, path)));
    locations
}

fn managed_directory() -> &'static Path {
    Path::new(match () {
        () if cfg!(target_os = "macos") => "/Library/Application Support/ClaudeCode",
        () if cfg!(windows) => "C:\\Program Files\\ClaudeCode",
        () => "/etc/claude-code",
    })
}

/// Returns the managed files in `directory`, the highest rank first: the last file of `managed-settings.d` by name comes before
/// `managed-settings.json`.
fn managed_files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory.join("managed-settings.d")).into_iter().flatten().flatten();
    let is_settings = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "json");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_settings).collect();
    files.sort();
    files.reverse();
    files.push(directory.join("managed-settings.json"));
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_managed_file_has_the_highest_rank() {
        let directory = tempfile::tempdir().unwrap();
        let parts = directory.path().join("managed-settings.d");
        fs::create_dir(&parts).unwrap();
        for name in ["10-a.json", "20-b.json", "notes.txt"] {
            fs::write(parts.join(name), "{}").unwrap();
        }
        let expected = [
            parts.join("20-b.json"),
            parts.join("10-a.json"),
            directory.path().join("managed-settings.json"),
        ];
        assert_eq!(managed_files(directory.path()), expected);
    }
}
