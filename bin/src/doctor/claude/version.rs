//! The check of the version of Claude Code.

use std::io::{self, Read};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::doctor::check::Check;

const NAME: &str = "version";
/// The names of Claude Code's program. npm installs a batch file on Windows.
const PROGRAMS: &[&str] = if cfg!(windows) { &["claude", "claude.cmd"] } else { &["claude"] };
/// The time limit of `claude --version`.
const LIMIT: Duration = Duration::from_secs(3);
/// The time between two looks at the process.
const PAUSE: Duration = Duration::from_millis(20);
/// The oldest version that the relay was tested with.
const TESTED: [u32; 3] = [2, 1, 197];
/// The first version that lists models of a gateway whose names contain `claude` anywhere.
///
/// # Source
/// Claude Code, "LLM gateway protocol".
const LISTS_MODELS: [u32; 3] = [2, 1, 223];

pub(super) fn check() -> Check {
    match printed() {
        Ok(Some(text)) => judge(&text),
        Ok(None) => Check::warn(NAME, "`claude --version` has not ended within 3 s", "reinstall Claude Code"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Check::skip(NAME, "`claude` is not in PATH"),
        Err(error) => {
            Check::warn(NAME, format!("`claude` cannot be started: {error}"), "reinstall Claude Code")
        }
    }
}

fn judge(text: &str) -> Check {
    let shown = text.lines().next().unwrap_or_default().trim();
    match parse(shown) {
        None => Check::skip(NAME, format!("not known: {shown}")),
        Some(version) if version < TESTED => Check::warn(
            NAME,
            format!("{shown}: older than the versions that the relay was tested with"),
            "update it with `claude update`",
        ),
        Some(version) if version < LISTS_MODELS => Check::ok(
            NAME,
            format!("{shown}; its model picker lists only models of a relay that begin with claude"),
        ),
        Some(_) => Check::ok(NAME, shown),
    }
}

/// Returns the numbers at the start of `text`, such as those of `2.1.332 (Claude Code)`.
fn parse(text: &str) -> Option<[u32; 3]> {
    let mut numbers = text.split([' ', '-']).next()?.split('.').map(|number| number.parse().ok());
    Some([numbers.next()??, numbers.next()??, numbers.next()??])
}

/// Returns the output of `claude --version`; `None` if it does not end in time.
fn printed() -> io::Result<Option<String>> {
    let mut child = start()?;
    let end = Instant::now() + LIMIT;
    while child.try_wait()?.is_none() {
        if Instant::now() > end {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
            return Ok(None);
        }
        thread::sleep(PAUSE);
    }
    let mut text = String::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(1024).read_to_string(&mut text)?;
    }
    Ok(Some(text))
}

/// Starts the first program that exists.
fn start() -> io::Result<Child> {
    let spawn = |program| {
        let mut command = Command::new(program);
        command.arg("--version").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()
    };
    let is_absent = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let found = PROGRAMS.iter().map(spawn).find(|started| !started.as_ref().is_err_and(is_absent));
    found.unwrap_or_else(|| Err(io::ErrorKind::NotFound.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Mark;

    #[test]
    fn an_old_version_is_a_warning() {
        for (text, expected) in [
            ("2.1.332 (Claude Code)\n", Mark::Ok),
            ("2.1.200 (Claude Code)", Mark::Ok),
            ("1.0.44 (Claude Code)", Mark::Warn),
            ("2.1.196-beta", Mark::Warn),
            ("unknown", Mark::Skip),
            ("", Mark::Skip),
        ] {
            assert_eq!(judge(text).mark, expected, "{text}");
        }
    }
}
