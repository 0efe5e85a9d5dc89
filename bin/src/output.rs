//! The output of a command: plain text, in colour on a terminal.

use std::error::Error;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use clap::builder::styling::{AnsiColor, Style};
use relay_config::is_invisible;
use relay_messages::ErrorChain;

/// Standard output or standard error.
pub(crate) struct Output {
    stream: Box<dyn Write>,
    colours: bool,
}

impl Output {
    pub(crate) fn stdout() -> Self {
        let stream = io::stdout();
        Self { colours: colours_suit(&stream), stream: Box::new(stream) }
    }

    pub(crate) fn stderr() -> Self {
        let stream = io::stderr();
        Self { colours: colours_suit(&stream), stream: Box::new(stream) }
    }

    /// Writes `text` and ends the line.
    pub(crate) fn line(&mut self, text: impl Display) -> io::Result<()> {
        self.write(format!("{text}\n").as_bytes())
    }

    /// Writes bytes unchanged. A reader that closes the pipe early (`| head`) is not an error.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.stream.write_all(bytes).and_then(|()| self.stream.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }

    /// Writes a warning.
    pub(crate) fn warning(&mut self, text: impl Display) -> io::Result<()> {
        let style = self.style(AnsiColor::Yellow);
        self.line(format_args!("{style}warning{style:#}: {text}"))
    }

    /// Writes an error and its causes, one line per problem.
    pub(crate) fn failure(&mut self, error: &dyn Error) -> io::Result<()> {
        ErrorChain(error).to_string().lines().try_for_each(|line| self.error(line))
    }

    /// Writes one line of an error.
    pub(crate) fn error(&mut self, line: impl Display) -> io::Result<()> {
        let style = self.style(AnsiColor::Red);
        self.line(format_args!("{style}error{style:#}: {line}"))
    }

    /// Bold `colour` if the output is in colour, otherwise an empty style. End the styled text with `{:#}`.
    pub(crate) fn style(&self, colour: AnsiColor) -> Style {
        if self.colours { colour.on_default().bold() } else { Style::new() }
    }
}

/// Returns `true` if `stream` is a terminal and `NO_COLOR` (no-color.org) is not set.
pub(crate) fn colours_suit(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && colours_are_welcome()
}

/// Returns `true` if `NO_COLOR` is unset or empty.
pub(crate) fn colours_are_welcome() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Replaces the control characters in `text`, so that a terminal cannot take them for a command, and those that change the order
/// of a text or cannot be seen.
pub(crate) fn printable(text: &str) -> String {
    let is_harmful = |c: char| c.is_control() || is_invisible(c);
    text.chars().map(|c| if is_harmful(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_for_a_terminal_has_no_character_that_acts_or_hides() {
        let text = "a\u{1b}[2J\u{61c}\u{202e}\u{2066}\u{200b}\u{ad}\u{fe0f}\u{e0041}\u{2028}é模";
        assert_eq!(printable(text), "a�[2J��������é模");
    }
}
