//! The account of an import: each setting with its fate.

use std::fmt::Display;
use std::fmt::Write as _;
use std::io;

use clap::builder::styling::AnsiColor;

use super::source::Source;
use crate::output::{Output, printable};

/// The most lines in an error.
const LINES: usize = 50;

/// The fate of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Changed,
    Skipped,
}

/// The settings that were not taken as they are. It contains no secret.
#[derive(Debug, Default)]
pub(super) struct Report {
    lines: Vec<(Fate, String, String)>,
}

impl Report {
    /// Notes a setting that has another name, form or value.
    pub(super) fn changed(&mut self, path: impl Into<String>, reason: impl Display) {
        self.lines.push((Fate::Changed, path.into(), reason.to_string()));
    }

    /// Notes a setting that has no counterpart.
    pub(super) fn skipped(&mut self, path: impl Into<String>, reason: impl Display) {
        self.lines.push((Fate::Skipped, path.into(), reason.to_string()));
    }

    /// Prints what was changed and what was skipped.
    pub(super) fn print(&self, source: Source, out: &mut Output) -> io::Result<()> {
        let count = |fate| self.lines.iter().filter(|line| line.0 == fate).count();
        out.line(format_args!(
            "from {source}: {} changed, {} skipped, the rest as it was",
            count(Fate::Changed),
            count(Fate::Skipped)
        ))?;
        for (fate, path, reason) in &self.lines {
            let (name, colour) = match fate {
                Fate::Changed => ("changed", AnsiColor::Cyan),
                Fate::Skipped => ("skipped", AnsiColor::Yellow),
            };
            let style = out.style(colour);
            out.line(format_args!("  {style}{name}{style:#} {}: {}", printable(path), printable(reason)))?;
        }
        Ok(())
    }

    /// Returns the first lines without colours.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (_, path, reason) in self.lines.iter().take(LINES) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {}: {}", printable(path), printable(reason));
        }
        match self.lines.len().saturating_sub(LINES) {
            0 => {}
            more => text.push_str(&format!("  and {more} more")),
        }
        text.trim_end().to_owned()
    }

    /// Returns the reason that was noted for a path, for tests.
    #[cfg(test)]
    pub(super) fn reason(&self, path: &str) -> Option<&str> {
        self.lines.iter().find(|line| line.1 == path).map(|line| line.2.as_str())
    }
}
