//! The default place of the ledger.

use std::ffi::OsString;
use std::path::PathBuf;

/// The name of the file.
const FILE: &str = "usage.db";

/// Returns the default file of the ledger, by the environment that `variable` reads.
///
/// It is `usage.db` in `$STATE_DIRECTORY`, which systemd sets for a service with a state directory; otherwise in `cc-relay` in
/// `$XDG_DATA_HOME`, in `~/.local/share`, or on Windows in `%LOCALAPPDATA%`. `None` if none of these is known.
///
/// ```
/// use relay_admin::ledger::default_path;
///
/// let path = default_path(|name| (name == "HOME").then(|| "/home/user".into()));
/// assert_eq!(path, Some("/home/user/.local/share/cc-relay/usage.db".into()));
/// ```
///
/// # Source
/// systemd.exec(5), `StateDirectory=`; XDG Base Directory Specification 0.8, which ignores relative paths.
#[must_use]
pub fn default_path(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if let Some(state) = variable("STATE_DIRECTORY") {
        // Several directories are separated by colons.
        let first = state.to_string_lossy().split(':').next().map(PathBuf::from);
        if let Some(directory) = first.filter(|path| path.is_absolute()) {
            return Some(directory.join(FILE));
        }
    }
    let data = absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .or_else(|| absolute("LOCALAPPDATA"))?;
    Some(data.join("cc-relay").join(FILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn the_service_manager_precedes_the_home_directory() {
        #[track_caller]
        fn check(environment: &[(&str, &str)], expected: Option<&str>) {
            let variable = |name: &str| {
                environment.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
            };
            assert_eq!(default_path(variable), expected.map(PathBuf::from), "{environment:?}");
        }
        check(&[], None);
        check(&[("HOME", "/h")], Some("/h/.local/share/cc-relay/usage.db"));
        check(&[("HOME", "/h"), ("XDG_DATA_HOME", "/d")], Some("/d/cc-relay/usage.db"));
        check(&[("HOME", "/h"), ("XDG_DATA_HOME", "d")], Some("/h/.local/share/cc-relay/usage.db"));
        check(&[("HOME", "/h"), ("STATE_DIRECTORY", "/s/a:/s/b")], Some("/s/a/usage.db"));
        check(&[("HOME", ""), ("STATE_DIRECTORY", "")], None);
    }
}
