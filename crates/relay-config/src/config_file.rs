//! The search for the configuration file.

use std::path::{Path, PathBuf};

/// The environment variable that names the file.
const VARIABLE: &str = "CC_RELAY_CONFIG";

/// The extensions of a configuration file, in the order in which they are tried.
const EXTENSIONS: [&str; 3] = ["yaml", "yml", "toml"];

/// An error: a configuration file that was named does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// The path of the command line does not exist.
    #[error("there is no file {}", path.display())]
    Given {
        /// The path.
        path: PathBuf,
    },
    /// The path in `$CC_RELAY_CONFIG` does not exist.
    #[error("$CC_RELAY_CONFIG: there is no file {}", path.display())]
    Variable {
        /// The path.
        path: PathBuf,
    },
}

/// Returns the configuration file to use, or `None` if there is none.
///
/// The first of these that exists: `given`; `$CC_RELAY_CONFIG`; `config.*`, then `cc-relay.*` in `directory` (the
/// working directory); `$XDG_CONFIG_HOME/cc-relay/config.*`; `$HOME/.config/cc-relay/config.*`. `variable` looks up
/// an environment variable.
///
/// # Errors
/// [`FindError`] if the file that `given` or the variable names does not exist. No other file is used in its place.
pub fn find_file(
    given: Option<&Path>,
    directory: &Path,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<PathBuf>, FindError> {
    if let Some(path) = given {
        return exists(path).ok_or_else(|| FindError::Given { path: path.to_owned() }).map(Some);
    }
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = set(VARIABLE) {
        return exists(&path).ok_or(FindError::Variable { path }).map(Some);
    }
    let home = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
    let stems = [directory.join("config"), directory.join("cc-relay")];
    let stems = stems.into_iter().chain(home.map(|home| home.join("cc-relay").join("config")));
    Ok(stems
        .flat_map(|stem| EXTENSIONS.map(|extension| stem.with_extension(extension)))
        .find(|path| path.is_file()))
}

/// Returns `path` if it exists and is not a directory. A pipe such as `/dev/stdin` is accepted.
fn exists(path: &Path) -> Option<PathBuf> {
    (path.exists() && !path.is_dir()).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Creates `files` and searches with `variables`. `~` is replaced by the temporary directory.
    #[track_caller]
    fn check(
        files: &[&str],
        given: Option<&str>,
        variables: &[(&str, &str)],
        expected: Result<Option<&str>, &str>,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for file in files {
            std::fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            std::fs::write(root.join(file), "").unwrap();
        }
        let variable = |name: &str| {
            let value = variables.iter().find(|(known, _)| *known == name)?.1;
            Some(value.replace('~', &root.display().to_string()))
        };
        let given = given.map(|path| root.join(path));
        let found = find_file(given.as_deref(), &root.join("cwd"), variable);
        let found = found.map(|path| path.map(|path| path.strip_prefix(root).unwrap().display().to_string()));
        let found = found.map_err(|error| error.to_string().replace(&root.display().to_string(), "~"));
        assert_eq!(found, expected.map(|path| path.map(str::to_owned)).map_err(str::to_owned));
    }

    #[test]
    fn the_first_existing_file_in_the_search_order_is_found() {
        let all = [
            "cwd/config.toml",
            "cwd/cc-relay.yaml",
            "xdg/cc-relay/config.yml",
            "home/.config/cc-relay/config.yaml",
        ];
        let homes = [("XDG_CONFIG_HOME", "~/xdg"), ("HOME", "~/home")];
        check(
            &all,
            Some("home/.config/cc-relay/config.yaml"),
            &homes,
            Ok(Some("home/.config/cc-relay/config.yaml")),
        );
        check(&all, None, &[("CC_RELAY_CONFIG", "~/cwd/cc-relay.yaml")], Ok(Some("cwd/cc-relay.yaml")));
        check(&all, None, &homes, Ok(Some("cwd/config.toml")));
        check(&all[1..], None, &homes, Ok(Some("cwd/cc-relay.yaml")));
        check(&all[2..], None, &homes, Ok(Some("xdg/cc-relay/config.yml")));
        check(&all[3..], None, &homes[1..], Ok(Some("home/.config/cc-relay/config.yaml")));
        check(
            &all[3..],
            None,
            &[("XDG_CONFIG_HOME", ""), homes[1]],
            Ok(Some("home/.config/cc-relay/config.yaml")),
        );
        check(&all[2..], None, &[], Ok(None));
        check(
            &["cwd/config.toml", "cwd/config.yaml", "cwd/config.yml"],
            None,
            &[],
            Ok(Some("cwd/config.yaml")),
        );
    }

    #[test]
    fn a_named_file_that_does_not_exist_is_an_error() {
        let there = ["cwd/config.yaml"];
        check(&there, Some("nope.yaml"), &[], Err("there is no file ~/nope.yaml"));
        check(&there, Some("cwd"), &[], Err("there is no file ~/cwd"));
        let named = [("CC_RELAY_CONFIG", "~/nope.yaml")];
        check(&there, None, &named, Err("$CC_RELAY_CONFIG: there is no file ~/nope.yaml"));
    }
}
