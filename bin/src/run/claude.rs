//! Recognizes Claude Code in a command line, and passes settings to it.

use std::ffi::{OsStr, OsString};
use std::path::Path;

/// The package of Claude Code.
const PACKAGE: &str = "@anthropic-ai/claude-code";
/// The program of Claude Code.
const PROGRAM: &str = "claude";
const SETTINGS: &str = "--settings";
/// The end of a launcher's own options.
const END: &str = "--";
/// The programs that start a package, with the subcommands that do so. A program without subcommands takes the package at once.
const LAUNCHERS: [(&str, &[&str]); 6] = [
    ("npx", &[]),
    ("pnpx", &[]),
    ("bunx", &[]),
    ("npm", &["exec", "x"]),
    ("pnpm", &["dlx", "exec"]),
    ("yarn", &["dlx", "exec"]),
];

/// A command line that starts Claude Code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClaudeCommand {
    /// The command, without the settings that the user has passed.
    command: Vec<OsString>,
    /// The index of the first argument for Claude Code.
    start: usize,
    /// True if the launcher would take the options for its own.
    needs_end: bool,
    /// The last settings that the user has passed: a path or a JSON text. Claude Code ignores all but the last.
    pub(super) given: Option<OsString>,
}

impl ClaudeCommand {
    /// Recognizes a command that starts Claude Code: `claude`, a path to it, or a launcher with its package.
    pub(super) fn of(command: &[OsString]) -> Option<Self> {
        let (start, needs_end) = start_of(command)?;
        let mut claude = Self { command: command[..start].to_vec(), start, needs_end, given: None };
        let mut rest = command[start..].iter();
        while let Some(argument) = rest.next() {
            if argument == END {
                claude.command.push(argument.clone());
                break;
            }
            if argument == SETTINGS {
                match rest.next() {
                    Some(value) => claude.given = Some(value.clone()),
                    // Claude Code reports the missing value.
                    None => claude.command.push(argument.clone()),
                }
            } else if let Some(value) = argument.to_str().and_then(|text| text.strip_prefix("--settings=")) {
                claude.given = Some(value.into());
            } else {
                claude.command.push(argument.clone());
            }
        }
        claude.command.extend(rest.cloned());
        Some(claude)
    }

    /// Returns the command with these settings, a path or a JSON text.
    pub(super) fn with_settings(self, settings: &OsStr) -> Vec<OsString> {
        let mut command = self.command;
        let end = self.needs_end.then(|| END.into());
        let inserted = end.into_iter().chain([SETTINGS.into(), settings.to_owned()]);
        command.splice(self.start..self.start, inserted);
        command
    }
}

/// Returns the index of the first argument for Claude Code, and `true` if a `--` is missing before it.
fn start_of(command: &[OsString]) -> Option<(usize, bool)> {
    let program = program_name(command.first()?)?;
    if program == PROGRAM {
        return Some((1, false));
    }
    let text = |index: usize| command.get(index).and_then(|argument| argument.to_str());
    if matches!(program.as_str(), "node" | "bun")
        && text(1)?.replace('\\', "/").ends_with("claude-code/cli.js")
    {
        return Some((2, false));
    }
    let (_, subcommands) = LAUNCHERS.iter().find(|(name, _)| *name == program)?;
    if !subcommands.is_empty() && !subcommands.contains(&text(1)?) {
        return None;
    }
    let first = if subcommands.is_empty() { 1 } else { 2 };
    let is_package = |index: &usize| {
        let is_value = matches!(text(*index - 1), Some("-p" | "--package" | "-c" | "--call"));
        !is_value && text(*index).is_some_and(names_claude)
    };
    let package = (first..command.len()).find(is_package)?;
    let has_end = (first..package).any(|index| text(index) == Some(END));
    if text(package + 1) == Some(END) {
        return Some((package + 2, false));
    }
    Some((package + 1, program == "npm" && !has_end))
}

/// Returns the name of a program without its directory and without an extension of Windows.
fn program_name(program: &OsStr) -> Option<String> {
    let name = Path::new(program).file_name()?.to_str()?.to_ascii_lowercase();
    let stem = [".exe", ".cmd", ".bat", ".ps1"].iter().find_map(|extension| name.strip_suffix(extension));
    Some(stem.map(str::to_owned).unwrap_or(name))
}

/// Returns `true` if the argument of a launcher names Claude Code, with a version or without.
fn names_claude(argument: &str) -> bool {
    [PACKAGE, PROGRAM].iter().any(|name| match argument.strip_prefix(name) {
        Some(version) => version.is_empty() || version.starts_with('@'),
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[track_caller]
    fn check(line: &str, expected: &str, given: Option<&str>) {
        let claude = ClaudeCommand::of(&words(line)).unwrap_or_else(|| panic!("{line} is not recognized"));
        assert_eq!(claude.given.as_deref(), given.map(OsStr::new), "{line}");
        assert_eq!(claude.with_settings(OsStr::new("{}")), words(expected), "{line}");
    }

    #[test]
    fn settings_are_the_first_arguments_of_claude_code() {
        check("claude", "claude --settings {}", None);
        check("/opt/bin/claude -p hi", "/opt/bin/claude --settings {} -p hi", None);
        check("Claude.EXE mcp list", "Claude.EXE --settings {} mcp list", None);
        check("npx claude -p", "npx claude --settings {} -p", None);
        check(
            "npx -y @anthropic-ai/claude-code@2.1.330 -p",
            "npx -y @anthropic-ai/claude-code@2.1.330 --settings {} -p",
            None,
        );
        check(
            "npx -p @anthropic-ai/claude-code claude -p",
            "npx -p @anthropic-ai/claude-code claude --settings {} -p",
            None,
        );
        check(
            "npm exec @anthropic-ai/claude-code",
            "npm exec @anthropic-ai/claude-code -- --settings {}",
            None,
        );
        check("npm exec -- claude -p", "npm exec -- claude --settings {} -p", None);
        check("npm x claude -- -p", "npm x claude -- --settings {} -p", None);
        check("pnpm dlx claude -p", "pnpm dlx claude --settings {} -p", None);
        check("node /x/claude-code/cli.js -p", "node /x/claude-code/cli.js --settings {} -p", None);
    }

    #[test]
    fn settings_of_the_user_are_taken_out() {
        check("claude --settings a.json -p hi", "claude --settings {} -p hi", Some("a.json"));
        check("claude -p hi --settings={\"a\":1}", "claude --settings {} -p hi", Some("{\"a\":1}"));
        check("claude --settings a --settings b", "claude --settings {}", Some("b"));
        check("claude -p -- --settings a", "claude --settings {} -p -- --settings a", None);
        check("claude --settings", "claude --settings {} --settings", None);
    }

    #[test]
    fn other_commands_are_not_recognized() {
        for line in [
            "sh claude",
            "claude-code",
            "npx prettier",
            "npm run claude",
            "node script.js",
            "npx -p claude x",
            "npm",
            "node",
        ] {
            assert_eq!(ClaudeCommand::of(&words(line)), None, "{line}");
        }
    }
}
