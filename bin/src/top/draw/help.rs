//! The help about keys.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

const HELP: [&str; 16] = [
    "1 2 3 4           Traffic, Providers, Keys, Requests",
    "Tab, Right        next page",
    "Shift-Tab, Left   page before",
    "Up, Down, k, j    select a row",
    "PgUp, PgDn        a screen up or down",
    "Home, End, g, G   first and last row",
    "Enter             details of the selected request",
    "/                 search: requests by id, model and error;",
    "                  providers and keys by name and state",
    "Esc               back; clear the search; quit",
    "space, p          pause and continue",
    "r                 fetch now",
    "Ctrl-L            draw the screen again",
    "Ctrl-Z            suspend; fg continues",
    "?, h, F1          this help",
    "q, Ctrl-C         quit",
];

pub(super) fn draw(buffer: &mut Buffer, area: Rect) {
    for (y, text) in (area.y..area.bottom()).zip(HELP) {
        buffer.set_stringn(area.x, y, text, area.width.into(), Style::new());
    }
}
