//! The page with the traffic of the last minutes.

use std::collections::BTreeMap;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Span;

use super::screen::Screen;
use crate::top::data::{Point, Series, Snapshot};
use crate::top::format;
use crate::top::theme::Tone;

/// The cells of a label.
const LABEL: u16 = 12;
/// The cells after a chart, for its highest value.
const HIGHEST: u16 = 12;

/// A line of the page.
enum Line {
    Title(String),
    Text(&'static str, String, Tone),
    Chart(&'static str, Vec<f64>, String),
}

pub(in crate::top) fn traffic(screen: Screen, buffer: &mut Buffer, area: Rect, snapshot: &Snapshot) {
    for (y, line) in (area.y..area.bottom()).zip(lines(snapshot)) {
        let row = Rect { y, height: 1, ..area };
        match line {
            Line::Title(text) => {
                let style = Style::new().add_modifier(Modifier::BOLD);
                buffer.set_stringn(row.x, y, text, row.width.into(), style);
            }
            Line::Text(label, text, tone) => {
                let rest = labelled(buffer, row, label);
                buffer.set_stringn(rest.x, y, text, rest.width.into(), screen.theme.style(tone));
            }
            Line::Chart(label, values, highest) => {
                let rest = labelled(buffer, row, label);
                chart(screen, buffer, rest, &values, &highest);
            }
        }
    }
}

/// Writes a label, and returns the rest of the row.
fn labelled(buffer: &mut Buffer, row: Rect, label: &str) -> Rect {
    buffer.set_stringn(row.x, row.y, label, row.width.into(), Style::new());
    let label = (LABEL + 2).min(row.width);
    Rect { x: row.x + label, width: row.width - label, ..row }
}

fn lines(snapshot: &Snapshot) -> Vec<Line> {
    let Snapshot { series, state, .. } = snapshot;
    let mut lines = vec![Line::Title("Last minute".to_owned())];
    lines.extend(last_minute(series, state.in_flight));
    let covered = series.step_ms.saturating_mul(series.points.len() as u64);
    let [covered, step] = [covered, series.step_ms].map(format::short_duration);
    lines.push(Line::Title(format!("Last {covered}, {step} per mark")));
    lines.extend(charts(&series.points));
    lines.push(Line::Title("Requests by provider, last minute".to_owned()));
    lines.extend(by_provider(series.last_minute()));
    lines
}

fn sum(points: &[Point], of: fn(&Point) -> u64) -> u64 {
    points.iter().map(of).fold(0, u64::saturating_add)
}

fn last_minute(series: &Series, in_flight: u64) -> Vec<Line> {
    let points = series.last_minute();
    let (errors, limited) = (sum(points, |point| point.errors), sum(points, |point| point.rate_limited));
    let requests = sum(points, |point| point.requests);
    // The latest step in which a request ended.
    let latest = |of: fn(&Point) -> Option<u64>| {
        points.iter().rev().find_map(of).map_or_else(|| "-".to_owned(), format::duration)
    };
    let (read, written) =
        (sum(points, |point| point.cache_read_tokens), sum(points, |point| point.cache_write_tokens));
    let input = sum(points, |point| point.input_tokens);
    let output = sum(points, |point| point.output_tokens);
    let cost = cost(points);
    let prompt = input.saturating_add(read).saturating_add(written);
    let text = |label, text, tone| Line::Text(label, text, tone);
    let tone = if errors > 0 { Tone::Bad } else { Tone::Plain };
    vec![
        text("  requests", format!("{requests}   in flight {in_flight}   cost {cost}"), Tone::Plain),
        text("  failures", format!("{errors} errors   {limited} rate limited"), tone),
        text(
            "  head",
            format!("p50 {}   p95 {}", latest(|point| point.head_p50_ms), latest(|point| point.head_p95_ms)),
            Tone::Plain,
        ),
        text(
            "  content",
            format!(
                "p50 {}   p95 {}",
                latest(|point| point.content_p50_ms),
                latest(|point| point.content_p95_ms)
            ),
            Tone::Plain,
        ),
        text(
            "  tokens",
            format!(
                "in {}   out {}   cache read {} ({})   written {}",
                format::amount(input),
                format::amount(output),
                format::amount(read),
                format::share(read, prompt),
                format::amount(written)
            ),
            Tone::Plain,
        ),
    ]
}

/// The cost of all points. A step without a request costs nothing, and does not make an unknown cost known.
fn cost(points: &[Point]) -> String {
    let unpriced = sum(points, |point| point.unpriced);
    let known: f64 = points.iter().filter_map(|point| point.cost_usd).sum();
    let is_known = unpriced == 0 || known > 0.0;
    format::cost(is_known.then_some(known), unpriced > 0)
}

fn charts(points: &[Point]) -> Vec<Line> {
    let chart = |label, of: fn(&Point) -> f64, shown: fn(f64) -> String| {
        let values: Vec<f64> = points.iter().map(of).collect();
        let highest = shown(values.iter().copied().fold(0.0, f64::max));
        Line::Chart(label, values, highest)
    };
    let count = |value: f64| format::amount(value as u64);
    vec![
        chart("  requests", |point| point.requests as f64, count),
        chart("  errors", |point| point.errors as f64, count),
        chart("  limited", |point| point.rate_limited as f64, count),
        chart("  head p95", |point| point.head_p95_ms.unwrap_or(0) as f64, |ms| format::duration(ms as u64)),
        chart("  tokens out", |point| point.output_tokens as f64, count),
        chart("  cost", |point| point.cost_usd.unwrap_or(0.0), format::money),
    ]
}

fn by_provider(points: &[Point]) -> Vec<Line> {
    let mut counts = BTreeMap::<&str, u64>::new();
    for (name, count) in points.iter().flat_map(|point| &point.by_provider) {
        *counts.entry(name).or_default() += count;
    }
    let all = counts.values().sum();
    let mut counts: Vec<_> = counts.into_iter().filter(|(_, count)| *count > 0).collect();
    counts.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), *name));
    let line = |(name, count): (&str, u64)| {
        Line::Text("", format!("{count:>6}  {:>5}  {name}", format::share(count, all)), Tone::Plain)
    };
    match counts.is_empty() {
        true => vec![Line::Text("", "no request in the last minute".to_owned(), Tone::Faint)],
        false => counts.into_iter().map(line).collect(),
    }
}

/// Draws the newest values that fit, and the highest one of all.
fn chart(screen: Screen, buffer: &mut Buffer, area: Rect, values: &[f64], highest: &str) {
    let width = usize::from(area.width.saturating_sub(HIGHEST)).min(values.len());
    let shown = &values[values.len() - width..];
    let max = values.iter().copied().fold(0.0, f64::max);
    let levels = screen.theme.levels();
    let mark = |value: f64| match value > 0.0 && max > 0.0 {
        true => levels[((value / max * levels.len() as f64).ceil() as usize).clamp(1, levels.len()) - 1],
        false => " ",
    };
    let chart: String = shown.iter().map(|value| mark(*value)).collect();
    let (x, _) = buffer.set_stringn(area.x, area.y, chart, area.width.into(), Style::new());
    let text = format!(" max {highest}");
    if Span::raw(&text).width() <= usize::from(area.right() - x) {
        buffer.set_stringn(x, area.y, text, area.width.into(), screen.theme.style(Tone::Faint));
    }
}
