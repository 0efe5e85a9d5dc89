//! The program and the variables that a service has.

use std::collections::BTreeSet;
use std::env;
use std::path::{Path, PathBuf};

use super::error::ServiceError;
use super::scope::Scope;
use crate::settings::variable;

/// Returns the path of this program that stays valid after an upgrade: the entry in `PATH` that leads to it, such as the link of
/// Homebrew, otherwise the file itself.
pub(super) fn program() -> Result<PathBuf, ServiceError> {
    let file = env::current_exe().map_err(ServiceError::Program)?;
    let real = file.canonicalize().map_err(ServiceError::Program)?;
    let path = env::var_os("PATH").unwrap_or_default();
    let mut entries = env::split_paths(&path).filter(|directory| directory.is_absolute());
    let linked = entries.find_map(|directory| {
        let entry = directory.join(real.file_name()?);
        (entry.canonicalize().ok()? == real).then_some(entry)
    });
    Ok(linked.unwrap_or(real))
}

/// Refuses a file that the service of the machine cannot use: systemd's `ProtectHome` hides home directories, and another user
/// has no access to them.
pub(super) fn check_place(path: &Path, scope: Scope, advice: &'static str) -> Result<(), ServiceError> {
    let homes = ["/home", "/root", "/run/user", "/Users"];
    if scope == Scope::System && homes.iter().any(|home| path.starts_with(home)) {
        return Err(ServiceError::InHome { path: path.to_owned(), advice });
    }
    Ok(())
}

/// Returns the variables that a configuration needs, and that are not in the file of the service's environment.
pub(super) fn missing(config: &str, environment: &str) -> Vec<String> {
    let set: BTreeSet<_> =
        environment.lines().filter_map(|line| Some(line.trim().split_once('=')?.0)).collect();
    let mut missing = BTreeSet::new();
    for line in config.lines().filter(|line| !line.trim_start().starts_with('#')) {
        missing.extend(needed(line).filter(|name| !set.contains(name)));
    }
    missing.into_iter().map(str::to_owned).collect()
}

/// The variables in a line that have no default: `${NAME}`, and neither `${NAME:-default}` nor `$${NAME}`.
fn needed(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("${").filter_map(move |(at, _)| {
        let (name, _) = line[at + 2..].split_once('}')?;
        let is_escaped = line[..at].ends_with('$');
        let is_name =
            !name.is_empty() && name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric());
        (is_name && !is_escaped && name != "CREDENTIALS_DIRECTORY").then_some(name)
    })
}

/// The directory of the user's configurations.
pub(super) fn config_home() -> Option<PathBuf> {
    absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")))
}

/// The value of a variable that is an absolute path.
pub(super) fn absolute(name: &str) -> Option<PathBuf> {
    variable(name).map(PathBuf::from).filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_without_a_default_that_the_environment_lacks_are_missing() {
        let config = "a: ${ONE} ${TWO}\n# b: ${COMMENT}\nc: $${LITERAL} ${THREE:-x} ${ONE}\nd: ${CREDENTIALS_DIRECTORY}/k\ne: ${";
        assert_eq!(missing(config, "TWO=2\n"), ["ONE"]);
        assert_eq!(missing(config, ""), ["ONE", "TWO"]);
        assert_eq!(missing(config, "# c\nONE=1\n TWO=x=y"), Vec::<String>::new());
    }

    #[test]
    fn the_service_of_the_machine_uses_no_file_in_a_home_directory() {
        let check = |path: &str, scope| check_place(Path::new(path), scope, "").is_ok();
        assert!(check("/home/a/x", Scope::User));
        assert!(!check("/home/a/x", Scope::System));
        assert!(!check("/root/.cargo/bin/cc-relay", Scope::System));
        assert!(check("/usr/local/bin/cc-relay", Scope::System));
        assert!(check("/homes/x", Scope::System));
    }
}
