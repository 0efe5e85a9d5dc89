//! The state of the relay as plain text, for a pipe or a file.

use std::io;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::data::{Key, Provider, Snapshot};
use super::draw::{self, Screen};
use super::theme::Theme;
use super::{app::App, data::Request};
use crate::output::Output;

/// The width of the text, in cells. Output that is not a terminal has no width of its own.
const WIDTH: u16 = 120;
/// The most rows of one list.
const ROWS: usize = 50;

pub(super) fn print(snapshot: &Snapshot, url: &str, theme: Theme, out: &mut Output) -> io::Result<()> {
    let screen = Screen { theme, now_unix_ms: snapshot.state.now_unix_ms };
    let providers: Vec<&Provider> = snapshot.state.providers.iter().collect();
    let keys: Vec<(&Provider, &Key)> =
        providers.iter().flat_map(|provider| provider.keys.iter().map(|key| (*provider, key))).collect();
    let requests: &[Request] = &snapshot.requests;
    let head = |buffer: &mut Buffer, area| {
        let mut app = App::new(url.to_owned(), snapshot.clone());
        draw::draw(buffer, area, &mut app, theme, 0);
    };
    section(out, 1, head)?;
    section(out, 24, |buffer, area| draw::traffic(screen, buffer, area, snapshot))?;
    for (title, count) in [("Providers", providers.len()), ("Keys", keys.len()), ("Requests", requests.len())]
    {
        let shown = count.min(ROWS);
        let rows = draw::Rows { count: shown, top: 0, selected: None };
        out.line("")?;
        out.line(match count - shown {
            0 => format!("{title} ({count})"),
            _ => format!("{title} (the first {shown} of {count})"),
        })?;
        section(out, shown.max(1) as u16 + 1, |buffer, area| match title {
            "Providers" => draw::providers(screen, buffer, area, &providers[..shown], rows),
            "Keys" => draw::keys(screen, buffer, area, &keys[..shown], rows),
            _ => draw::requests(screen, buffer, area, &requests[..shown], rows),
        })?;
    }
    Ok(())
}

/// Prints what `draw` draws into `height` lines, without the empty ones at the end.
fn section(out: &mut Output, height: u16, draw: impl FnOnce(&mut Buffer, Rect)) -> io::Result<()> {
    let area = Rect::new(0, 0, WIDTH, height);
    let mut buffer = Buffer::empty(area);
    draw(&mut buffer, area);
    text(&buffer).trim_end().lines().try_for_each(|line| out.line(line))
}

/// Returns the text of a buffer, one line for each row.
pub(super) fn text(buffer: &Buffer) -> String {
    let mut text = String::new();
    for y in buffer.area.top()..buffer.area.bottom() {
        let mut line = String::new();
        let mut covered = 0;
        for x in buffer.area.left()..buffer.area.right() {
            // A wide character covers the cells after it.
            if covered > 0 {
                covered -= 1;
                continue;
            }
            let symbol = buffer[(x, y)].symbol();
            covered = ratatui::text::Span::raw(symbol).width().saturating_sub(1);
            line.push_str(symbol);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
