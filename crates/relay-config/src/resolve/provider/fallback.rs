//! Settings that fall back to a variable of another tool.

use crate::error::Fault;
use crate::resolve::reporter::Reporter;
use crate::tree::KeyPath;

/// Returns the setting of the file, `own`, otherwise the value of the environment.
///
/// `environment` holds the variable and its value. Both are checked, except a variable of a disabled provider.
pub(super) fn own_or_environment(
    own: Option<String>,
    environment: Option<(&'static str, String)>,
    check: fn(&str) -> Result<(), Fault>,
    enabled: bool,
    path: &KeyPath,
    to: &mut Reporter<'_>,
) -> Option<String> {
    if let Some(own) = own {
        if let Err(fault) = check(&own) {
            to.problem(path, fault);
        }
        return Some(own);
    }
    let (variable, value) = environment?;
    if enabled && let Err(fault) = check(&value) {
        to.problem_in_variable(variable, path, fault);
    }
    Some(value)
}
