//! The checks of the configuration: its file, its mistakes and its warnings.

use relay_config::{Concern, Warning};
use relay_messages::ErrorChain;

use super::check::{Check, Group};
use crate::settings::{Origin, SettingsError, Start};

/// Returns the checks of a configuration that was loaded, or the mistakes that prevent it.
pub(super) fn check(start: &Result<Start, SettingsError>) -> Group {
    let checks = match start {
        Ok(start) => loaded(start),
        Err(error) => ErrorChain(error).to_string().lines().map(mistake).collect(),
    };
    Group::new("configuration", checks)
}

fn mistake(line: &str) -> Check {
    Check::fail("settings", line, "correct it; `cc-relay config validate` checks it again")
}

fn loaded(start: &Start) -> Vec<Check> {
    let mut checks = vec![origin(&start.origin)];
    if let Origin::Environment { found, faults, .. } = &start.origin {
        checks.extend(found.iter().map(|line| Check::ok("found", line)));
        let fix = "correct the value, or remove it";
        checks.extend(faults.iter().map(|line| Check::warn("found", line, fix)));
    }
    let warnings = &start.loaded.warnings;
    checks.extend(warnings.iter().map(|warning| concern(warning, &start.origin)));
    if warnings.is_empty() {
        checks.push(Check::ok("settings", "no warnings"));
    }
    checks
}

fn origin(origin: &Origin) -> Check {
    match origin {
        Origin::File(path) => Check::ok("file", path.display().to_string()),
        Origin::Demo => Check::ok("file", "none: the demonstration"),
        Origin::Environment { .. } => Check::ok(
            "file",
            "none: the providers are those of the environment; `cc-relay config init` writes one",
        ),
    }
}

fn concern(warning: &Warning, origin: &Origin) -> Check {
    let (name, fix) = match (&warning.concern, origin) {
        (Concern::ReadableByOthers | Concern::WritableByOthers, Origin::File(path)) => {
            ("permissions", format!("chmod 600 {}", path.display()))
        }
        _ => ("settings", "change the setting that the warning names".to_owned()),
    };
    Check::warn(name, warning.to_string(), fix)
}
