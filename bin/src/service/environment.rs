//! The program and the variables that a service has.

use std::collections::BTreeSet;
use std::env;
use std::path::{Path, PathBuf};

use relay_config::Document;

use super::error::ServiceError;
use super::scope::Scope;
use crate::settings::variable;

/// The variable that systemd sets for a service with credentials.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

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
pub(super) fn missing(config: &Document, environment: &str) -> Vec<String> {
    let set: BTreeSet<_> =
        environment.lines().filter_map(|line| Some(line.trim().split_once('=')?.0)).collect();
    let needed = config.variables().into_iter();
    needed.filter(|name| name != CREDENTIALS && !set.contains(name.as_str())).collect()
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
    use relay_config::Format;

    use super::*;

    #[test]
    fn variables_without_a_default_that_the_environment_lacks_are_missing() {
        let config = "a: ${ONE} ${TWO}\n# b: ${COMMENT}\nc: ['$${LITERAL}', '${THREE:-x} ${ONE}']\nd: ${CREDENTIALS_DIRECTORY}/k";
        let config = &Document::read("c", Format::Yaml, config).unwrap();
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
