//! The checks of the directories that the relay writes to.

use std::path::Path;

use relay_config::{Config, LogOutput};

use super::check::{Check, Group};
use crate::files;
use crate::ledger_place::LedgerPlace;

/// Checks the directories of the ledger, of the records about Claude Code's settings, and of the log.
pub(super) fn check(config: &Config, is_demo: bool) -> Group {
    let mut checks = vec![ledger(config, is_demo), state()];
    if let LogOutput::File(path) = &config.logging.output {
        checks.push(writable("log", files::directory_of(path)));
    }
    Group::new("directories", checks)
}

fn ledger(config: &Config, is_demo: bool) -> Check {
    match LedgerPlace::of(&config.usage, is_demo) {
        LedgerPlace::File(path) => writable("data", files::directory_of(&path)),
        place => Check::skip("data", place.absence().unwrap_or("a temporary file")),
    }
}

fn state() -> Check {
    match files::state_directory() {
        Some(path) => writable("state", &path),
        None => Check::skip("state", "neither XDG_STATE_HOME nor HOME names an absolute directory"),
    }
}

/// Creates a file that disappears at once in `directory`, or in the directory in which the relay would create it.
fn writable(name: &'static str, directory: &Path) -> Check {
    let existing = directory.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    let existing = if existing.as_os_str().is_empty() { Path::new(".") } else { existing };
    let shown = directory.display();
    match tempfile::tempfile_in(existing) {
        Ok(_) if existing == directory => Check::ok(name, format!("{shown} is writable")),
        Ok(_) => Check::ok(name, format!("{shown} can be created")),
        Err(error) => {
            let place = existing.display();
            Check::fail(
                name,
                format!("{shown}: {error}"),
                format!("make {place} writable for this user, or free space there"),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Mark;

    #[test]
    fn a_directory_that_does_not_exist_is_created_later() {
        let home = tempfile::tempdir().unwrap();
        let check = writable("data", &home.path().join("a/b"));
        assert_eq!(check.mark, Mark::Ok, "{check:?}");
        assert!(check.text.ends_with("can be created") && !home.path().join("a").exists(), "{check:?}");
        assert!(writable("data", home.path()).text.ends_with("is writable"));
        let file = home.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(writable("data", &file.join("below")).mark, Mark::Fail);
    }
}
