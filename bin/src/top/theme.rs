//! The colours and symbols that a terminal can show. Colour is never the only sign of a state.

use ratatui::style::{Color, Modifier, Style};

use crate::output::colours_are_welcome;
use crate::settings::variable;

/// The colours and symbols of one terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Theme {
    has_colours: bool,
    /// True if the terminal shows UTF-8.
    is_unicode: bool,
}

/// The meaning of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Tone {
    #[default]
    Plain,
    Good,
    Attention,
    Bad,
    Faint,
}

impl Theme {
    pub(super) fn new(has_colours: bool, is_unicode: bool) -> Self {
        Self { has_colours, is_unicode }
    }

    /// Reads `NO_COLOR` and the locale.
    pub(super) fn of_environment() -> Self {
        Self::new(colours_are_welcome(), is_unicode(variable))
    }

    pub(super) fn style(self, tone: Tone) -> Style {
        let colour = match tone {
            Tone::Plain => return Style::new(),
            Tone::Faint => return Style::new().add_modifier(Modifier::DIM),
            Tone::Good => Color::Green,
            Tone::Attention => Color::Yellow,
            Tone::Bad => Color::Red,
        };
        if self.has_colours { Style::new().fg(colour) } else { Style::new() }
    }

    /// The sign of a text that was cut.
    pub(super) fn ellipsis(self) -> &'static str {
        if self.is_unicode { "…" } else { "~" }
    }

    /// The marks of a chart, the lowest first.
    pub(super) fn levels(self) -> [&'static str; 8] {
        match self.is_unicode {
            true => ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
            false => ["_", ".", "-", ":", "=", "+", "*", "#"],
        }
    }
}

/// Returns `true` if the locale in `variable` has UTF-8 as its encoding. The first of these variables that is set counts (POSIX,
/// section 8.2).
fn is_unicode(variable: impl Fn(&str) -> Option<String>) -> bool {
    let mut values = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(variable);
    let locale = values.find(|value| !value.is_empty()).unwrap_or_default().to_ascii_lowercase();
    cfg!(windows)
        || cfg!(target_os = "macos") && locale.is_empty()
        || locale.contains("utf-8")
        || locale.contains("utf8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn the_first_variable_of_the_locale_counts() {
        #[track_caller]
        fn check(variables: &[(&str, &str)], expected: bool) {
            let value = |name: &str| Some(variables.iter().find(|(known, _)| *known == name)?.1.to_owned());
            assert_eq!(is_unicode(value), expected);
        }
        check(&[], false);
        check(&[("LANG", "C.UTF-8")], true);
        check(&[("LANG", "de_DE.utf8"), ("LC_ALL", "C")], false);
        check(&[("LANG", "C"), ("LC_ALL", ""), ("LC_CTYPE", "en_US.UTF-8")], true);
    }

    #[test]
    fn without_colours_no_style_has_one() {
        for tone in [Tone::Plain, Tone::Good, Tone::Attention, Tone::Bad, Tone::Faint] {
            assert_eq!(Theme::new(false, true).style(tone).fg, None);
        }
    }
}
