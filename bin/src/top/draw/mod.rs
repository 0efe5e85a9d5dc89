//! Draws the view: two lines at the top, one page, and a line of keys at the bottom.

mod details;
mod help;
mod lists;
mod screen;
mod table;
mod traffic;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::app::{App, Layer, Page};
use super::format;
use super::theme::{Theme, Tone};
pub(super) use table::Rows;

pub(super) use lists::{keys, providers, requests};
pub(super) use screen::Screen;
pub(super) use traffic::traffic;

/// The lines above a page.
const HEAD: u16 = 2;
/// The lines below a page.
const FOOT: u16 = 1;

/// Draws everything into `area`. `age_ms` is the time since the last fetch that succeeded.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, app: &mut App, theme: Theme, age_ms: u64) {
    if area.is_empty() {
        return;
    }
    let screen = Screen { theme, now_unix_ms: app.snapshot.state.now_unix_ms.saturating_add(age_ms) };
    screen.head(buffer, area, app);
    let rest = area.height.saturating_sub(HEAD);
    // A very low screen shows rows rather than keys.
    let foot = if rest > FOOT { FOOT } else { 0 };
    let page = Rect { y: area.y + HEAD.min(area.height), height: rest - foot, ..area };
    screen.page(buffer, page, app);
    if foot > 0 {
        screen.foot(buffer, Rect { y: area.bottom() - FOOT, height: FOOT, ..area }, app, age_ms);
    }
}

impl Screen {
    fn head(self, buffer: &mut Buffer, area: Rect, app: &App) {
        let (bold, width) = (Style::new().add_modifier(Modifier::BOLD), area.width);
        let state = &app.snapshot.state;
        let (word, tone) = match (&app.trouble, state) {
            (Some(_), _) => ("no connection", Tone::Bad),
            (None, state) if state.is_draining => ("draining", Tone::Attention),
            (None, state) if state.is_ready => ("ready", Tone::Good),
            _ => ("not ready", Tone::Bad),
        };
        let noun = if state.sessions == 1 { "session" } else { "sessions" };
        let up = format::duration(self.now_unix_ms.saturating_sub(state.started_unix_ms));
        let pieces = [
            (format!("cc-relay {}", state.version), bold),
            (word.to_owned(), self.theme.style(tone).add_modifier(Modifier::BOLD)),
            (format!("{} in flight", state.in_flight), Style::new()),
            (format!("up {up}"), Style::new()),
            (format!("{} {noun}", state.sessions), Style::new()),
            (app.url.trim_start_matches("http://").to_owned(), self.theme.style(Tone::Faint)),
        ];
        line(buffer, area, 0, pieces.into_iter());
        if area.height > 1 {
            let tab = |page: Page| {
                let (number, title) = (page as usize + 1, page.title());
                match page == app.page {
                    true => (format!("[{number} {title}]"), bold.add_modifier(Modifier::REVERSED)),
                    false if width < 50 => (format!("{number}"), Style::new()),
                    false => (format!(" {number} {title} "), Style::new()),
                }
            };
            line(buffer, area, 1, Page::ALL.into_iter().map(tab));
        }
    }

    fn page(self, buffer: &mut Buffer, area: Rect, app: &mut App) {
        app.scroll(usize::from(area.height.saturating_sub(1)));
        match &app.layer {
            Layer::Help => return help::draw(buffer, area),
            Layer::Details(..) => return details::draw(self, buffer, area, app),
            Layer::None | Layer::Search(_) => {}
        }
        let (cursor, count) = (app.cursor(), usize::MAX);
        let rows = Rows { count, top: cursor.top, selected: Some(cursor.row) };
        match app.page {
            Page::Traffic => traffic(self, buffer, area, &app.snapshot),
            Page::Providers => providers(self, buffer, area, &app.providers(), rows),
            Page::Keys => keys(self, buffer, area, &app.keys(), rows),
            Page::Requests => requests(self, buffer, area, app.requests(), rows),
        }
    }

    /// The keys, or a message that is more important.
    fn foot(self, buffer: &mut Buffer, area: Rect, app: &App, age_ms: u64) {
        let (text, tone) = match (&app.layer, &app.trouble) {
            (Layer::Search(text), _) => (format!("search: {text}_   Enter keep  Esc clear"), Tone::Plain),
            (_, Some(trouble)) => {
                (format!("! {trouble}; shown: {} ago; trying again", format::duration(age_ms)), Tone::Bad)
            }
            (Layer::Help, _) => ("any key closes the help".to_owned(), Tone::Plain),
            (Layer::Details(..), _) => ("Esc back  Up/Down scroll  q quit".to_owned(), Tone::Plain),
            _ if app.wanted.is_paused => {
                (format!("PAUSED {}  space continue  q quit", format::duration(age_ms)), Tone::Attention)
            }
            _ if !app.wanted.search.is_empty() => {
                (format!("search: {}  Esc clear  / change  ? help", app.wanted.search), Tone::Plain)
            }
            _ => self.usual_foot(app),
        };
        let style = self.theme.style(tone);
        buffer.set_stringn(area.x, area.y, text, area.width.into(), style);
    }

    fn usual_foot(self, app: &App) -> (String, Tone) {
        let warnings = &app.snapshot.state.warnings;
        match warnings.first() {
            Some(first) if app.page == Page::Traffic => {
                let more = warnings.len() - 1;
                let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
                (format!("! {first}{more}"), Tone::Attention)
            }
            _ if app.page == Page::Requests => {
                ("q quit  ? help  Tab page  Up/Down select  Enter details  / search".to_owned(), Tone::Plain)
            }
            _ => ("q quit  ? help  Tab page  Up/Down select  / search  space pause".to_owned(), Tone::Plain),
        }
    }
}

/// Writes the pieces of one line that fit as a whole, with a gap between two. The first one is cut if it is alone.
fn line(buffer: &mut Buffer, area: Rect, y: u16, pieces: impl Iterator<Item = (String, Style)>) {
    let mut x = area.x;
    for (text, style) in pieces {
        let gap = if x > area.x { 2 } else { 0 };
        let width = ratatui::text::Span::raw(&text).width();
        if x > area.x && usize::from(x + gap) + width > usize::from(area.right()) {
            return;
        }
        let room = area.right().saturating_sub(x + gap);
        (x, _) = buffer.set_stringn(x + gap, area.y + y, text, room.into(), style);
    }
}

#[cfg(test)]
mod tests;
