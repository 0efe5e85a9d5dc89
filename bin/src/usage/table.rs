//! The report by groups, as a table of at most 80 columns.

use relay_admin::ledger::{GroupBy, UsageReport, UsageRow, Usd};

use super::number::{cost, percent, short};
use super::summary;
use crate::output::printable;

/// The columns of a terminal.
const WIDTH: usize = 80;
/// The fewest columns for the name of a group.
const NAME: usize = 12;
/// The spaces between two columns.
const GAP: &str = "  ";
/// The titles of the columns after the group. Only sessions have `lost`.
const TITLES: [&str; 9] = ["req", "fail", "input", "output", "read", "write", "hit", "lost", "cost"];
/// The index of the column `lost`.
const LOST: usize = 7;
/// The most sessions whose latest loss of the prompt cache is shown below the table.
const LOSSES: usize = 5;

/// Returns the lines of the table: titles, groups, the total, and remarks.
pub(super) fn lines(report: &UsageReport, by: GroupBy) -> Vec<String> {
    let rows = report.rows.iter().chain([&report.total]).map(cells).collect::<Vec<_>>();
    let widths: Vec<usize> = (0..TITLES.len())
        .map(|column| {
            rows.iter()
                .map(|row| row[column].chars().count())
                .chain([TITLES[column].len()])
                .max()
                .unwrap_or(0)
        })
        .collect();
    let names: Vec<String> = report.rows.iter().map(name).collect();
    let shown: Vec<usize> =
        (0..TITLES.len()).filter(|column| *column != LOST || by == GroupBy::Session).collect();
    let others = shown.iter().map(|column| widths[*column] + GAP.len()).sum::<usize>();
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(by.as_str().len());
    let room = longest.max("total".len()).min(WIDTH.saturating_sub(others).max(NAME));

    let line = |name: &str, cells: &[String]| {
        let numbers = shown.iter().map(|column| {
            let (cell, width) = (&cells[*column], widths[*column]);
            format!("{GAP}{cell:>width$}")
        });
        format!("{}{}", fitted(name, room), numbers.collect::<String>())
    };
    let mut lines = vec![line(by.as_str(), &TITLES.map(str::to_owned))];
    lines.extend(names.iter().zip(&rows).map(|(name, cells)| line(name, cells)));
    if let Some(total) = rows.last() {
        lines.push(line("total", total));
    }
    lines.push(String::new());
    lines.extend(losses(&report.rows, room));
    lines.extend(summary::savings(&report.total));
    lines.extend(summary::remarks(report));
    lines
}

/// Returns the latest loss of the prompt cache of the first sessions that have lost it.
fn losses(rows: &[UsageRow], room: usize) -> Vec<String> {
    let lost = rows.iter().filter_map(|row| Some((row, row.last_cache_loss.as_deref()?)));
    let line = |(row, loss): (&UsageRow, &str)| {
        format!("{}  lost its cache: {}", fitted(&name(row), room), printable(loss))
    };
    let mut lines: Vec<String> = lost.take(LOSSES).map(line).collect();
    if !lines.is_empty() {
        lines.push(String::new());
    }
    lines
}

/// The name of a group. A name comes from a client, and must not control the terminal.
fn name(row: &UsageRow) -> String {
    row.group.as_deref().map_or_else(|| "(none)".to_owned(), printable)
}

fn cells(row: &UsageRow) -> [String; TITLES.len()] {
    let estimate = if row.estimated_requests > 0 { "~" } else { "" };
    let cost = cost(row.cost_usd.map(Usd::as_dollars), row.is_cost_partial);
    let cost_estimate = if row.cost_usd.is_some() { estimate } else { "" };
    [
        short(row.requests),
        short(row.failed),
        short(row.input_tokens),
        format!("{estimate}{}", short(row.output_tokens)),
        short(row.cache_read_tokens),
        short(row.cache_write_5m_tokens + row.cache_write_1h_tokens),
        percent(row.cache_hit_rate),
        short(row.cache_losses),
        format!("{cost_estimate}{cost}"),
    ]
}

/// Fits a name into `room` columns. A longer one keeps its end, which tells ids apart.
fn fitted(name: &str, room: usize) -> String {
    let length = name.chars().count();
    if length <= room {
        return format!("{name:<room$}");
    }
    let kept: String = name.chars().skip(length + 1 - room).collect();
    format!("…{kept}")
}
