//! A list of rows with columns. Columns are dropped by their rank if they do not fit, rather than cutting numbers.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Span;

use crate::top::theme::{Theme, Tone};

/// The cells between two columns.
const GAP: u16 = 2;
/// The cells before the first column, for the mark of the selected row.
const MARK: u16 = 2;

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) title: &'static str,
    /// The width in cells, or the smallest one if the column grows.
    pub(super) width: u16,
    /// The share of the room that is left.
    pub(super) grows: u16,
    /// The columns with the highest ranks are dropped first.
    pub(super) rank: u8,
    pub(super) is_number: bool,
}

impl Column {
    pub(super) const fn text(title: &'static str, width: u16, grows: u16, rank: u8) -> Self {
        Self { title, width, grows, rank, is_number: false }
    }

    pub(super) const fn number(title: &'static str, width: u16, rank: u8) -> Self {
        Self { title, width, grows: 0, rank, is_number: true }
    }
}

/// The text of one row in one column.
#[derive(Debug, Clone, Default)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) tone: Tone,
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, tone: Tone::Plain }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl Cell {
    pub(super) fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }
}

/// The rows of a table: the number of all, the first one that is visible, and the selected one.
#[derive(Debug, Clone, Copy)]
pub(in crate::top) struct Rows {
    pub(in crate::top) count: usize,
    pub(in crate::top) top: usize,
    pub(in crate::top) selected: Option<usize>,
}

/// Draws the titles and the visible rows. `row` returns the cells of one row.
pub(super) fn draw(
    buffer: &mut Buffer,
    area: Rect,
    theme: Theme,
    columns: &[Column],
    rows: Rows,
    row: impl Fn(usize) -> Vec<Cell>,
) {
    let shown = layout(columns, area.width);
    if area.height == 0 {
        return;
    }
    let titles = Style::new().add_modifier(Modifier::BOLD);
    for Place { column, x, width } in &shown {
        let cells = Rect { x: area.x.saturating_add(*x), y: area.y, width: *width, height: 1 };
        put(buffer, cells, &columns[*column], columns[*column].title, titles, theme);
    }
    for (line, index) in (1..area.height).zip(rows.top..rows.count) {
        let (y, row) = (area.y + line, row(index));
        for Place { column, x, width } in &shown {
            let cell = &row[*column];
            let style = theme.style(cell.tone);
            let cells = Rect { x: area.x.saturating_add(*x), y, width: *width, height: 1 };
            put(buffer, cells, &columns[*column], &cell.text, style, theme);
        }
        if rows.selected == Some(index) {
            buffer.set_stringn(area.x, y, ">", area.width.into(), Style::new());
            buffer.set_style(Rect { y, height: 1, ..area }, Style::new().add_modifier(Modifier::REVERSED));
        }
    }
}

/// The place of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    column: usize,
    x: u16,
    width: u16,
}

/// Chooses the columns that fit into `width`, and gives the rest of the room to those that grow.
fn layout(columns: &[Column], width: u16) -> Vec<Place> {
    let mut kept: Vec<usize> = (0..columns.len()).collect();
    let needed = |kept: &[usize]| {
        let widths: u16 = kept.iter().map(|column| columns[*column].width).sum();
        MARK + widths + GAP * (kept.len() as u16).saturating_sub(1)
    };
    while kept.len() > 1 && needed(&kept) > width {
        let ranks = kept.iter().map(|column| columns[*column].rank);
        let (last, _) = ranks.enumerate().max_by_key(|(_, rank)| *rank).unwrap_or_default();
        kept.remove(last);
    }
    let room = u32::from(width.saturating_sub(needed(&kept)));
    let shares: u32 = kept.iter().map(|column| u32::from(columns[*column].grows)).sum();
    let mut x = MARK;
    let place = |column: usize| {
        let Column { width, grows, .. } = columns[column];
        let more = (room * u32::from(grows)).checked_div(shares).unwrap_or(0);
        let width = width.saturating_add(more as u16);
        let place = Place { column, x, width };
        x += width + GAP;
        place
    };
    kept.into_iter().map(place).collect()
}

/// Writes `text` into `area`, the cells of one row in a column. A text that is too long ends with a sign.
fn put(buffer: &mut Buffer, area: Rect, column: &Column, text: &str, style: Style, theme: Theme) {
    let area = area.intersection(buffer.area);
    if area.is_empty() {
        return;
    }
    let (width, length) = (usize::from(area.width), Span::raw(text).width());
    let is_cut = length > width;
    let indent = if column.is_number && !is_cut { width - length } else { 0 };
    let room = if is_cut { width - 1 } else { width };
    let (end, _) = buffer.set_stringn(area.x + indent as u16, area.y, text, room, style);
    if is_cut {
        buffer.set_stringn(end, area.y, theme.ellipsis(), 1, style);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] =
        [Column::text("NAME", 8, 1, 0), Column::number("N", 4, 1), Column::text("REASON", 10, 2, 2)];

    #[test]
    fn columns_of_the_highest_rank_are_dropped_first() {
        let shown = |width| {
            layout(&COLUMNS, width).iter().map(|place| (place.column, place.width)).collect::<Vec<_>>()
        };
        assert_eq!(shown(60), [(0, 18), (1, 4), (2, 31)]);
        assert_eq!(shown(28), [(0, 8), (1, 4), (2, 10)]);
        assert_eq!(shown(27), [(0, 19), (1, 4)]);
        assert_eq!(shown(10), [(0, 8)]);
        assert_eq!(shown(0), [(0, 8)]);
    }

    #[test]
    fn a_text_is_cut_by_cells_and_numbers_are_not() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 20, 2));
        let rows = Rows { count: 1, top: 0, selected: Some(0) };
        let columns = [Column::text("NAME", 7, 0, 0), Column::number("N", 4, 0)];
        let row = |_| vec!["中文字符".into(), "12".into()];
        draw(&mut buffer, Rect::new(0, 0, 20, 2), Theme::new(false, true), &columns, rows, row);
        let lines = Buffer::with_lines(["  NAME        N     ", "> 中文字…    12     "]);
        let text =
            |buffer: &Buffer| buffer.content.iter().map(|cell| cell.symbol().to_owned()).collect::<Vec<_>>();
        assert_eq!(text(&buffer), text(&lines));
    }
}
