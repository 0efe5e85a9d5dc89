//! The terminal and the time for which the view is drawn.

use crate::top::theme::Theme;

/// The facts that all parts of the view need.
#[derive(Debug, Clone, Copy)]
pub(in crate::top) struct Screen {
    pub(in crate::top) theme: Theme,
    pub(in crate::top) now_unix_ms: u64,
}
