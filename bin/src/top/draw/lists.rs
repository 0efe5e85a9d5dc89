//! The lists of providers, keys and requests.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::screen::Screen;
use super::table::{self, Cell, Column, Rows};
use crate::top::data::{Key, Limit, Provider, Request};
use crate::top::format;
use crate::top::theme::Tone;

/// Draws `empty` if there are no rows, and the table otherwise.
fn list(
    screen: Screen,
    buffer: &mut Buffer,
    area: Rect,
    (columns, empty): (&[Column], &str),
    rows: Rows,
    row: impl Fn(usize) -> Vec<Cell>,
) {
    table::draw(buffer, area, screen.theme, columns, rows, row);
    if rows.count == 0 && area.height > 1 {
        buffer.set_stringn(
            area.x + 2.min(area.width - 1),
            area.y + 1,
            empty,
            area.width.saturating_sub(2).into(),
            screen.theme.style(Tone::Faint),
        );
    }
}

const PROVIDERS: [Column; 6] = [
    Column::text("PROVIDER", 12, 2, 0),
    Column::text("TYPE", 10, 1, 3),
    Column::text("STATE", 10, 0, 0),
    Column::number("BUSY", 4, 2),
    Column::number("KEYS", 9, 1),
    Column::text("TROUBLE", 16, 5, 4),
];

pub(in crate::top) fn providers(
    screen: Screen,
    buffer: &mut Buffer,
    area: Rect,
    providers: &[&Provider],
    rows: Rows,
) {
    let rows = Rows { count: providers.len(), ..rows };
    list(screen, buffer, area, (&PROVIDERS, "no provider"), rows, |index| {
        let provider = providers[index];
        let state = provider.state();
        let tone = match state.as_str() {
            "ready" => Tone::Good,
            "disabled" | "paused" => Tone::Faint,
            "failing" | "half-open" => Tone::Attention,
            _ => Tone::Bad,
        };
        let resting = match provider.resting_models {
            0 => String::new(),
            count => format!("{count} models rest"),
        };
        vec![
            provider.name.as_str().into(),
            provider.kind.as_str().into(),
            Cell::toned(state, tone),
            provider.in_flight.to_string().into(),
            format!("{}/{}", provider.usable_keys(), provider.keys.len()).into(),
            provider.trouble().map_or(resting, str::to_owned).into(),
        ]
    });
}

const KEYS: [Column; 5] = [
    Column::text("PROVIDER", 12, 2, 2),
    Column::text("KEY", 12, 2, 0),
    Column::text("STATE", 13, 0, 0),
    Column::number("LEFT", 5, 1),
    Column::text("LIMITS", 20, 4, 3),
];

pub(in crate::top) fn keys(
    screen: Screen,
    buffer: &mut Buffer,
    area: Rect,
    keys: &[(&Provider, &Key)],
    rows: Rows,
) {
    let rows = Rows { count: keys.len(), ..rows };
    list(screen, buffer, area, (&KEYS, "no key"), rows, |index| {
        let (provider, key) = keys[index];
        let (state, tone) = match (key.state(), key.cooldown_ms) {
            ("cooldown", Some(wait)) => {
                (format!("cooldown {}", format::short_duration(wait)), Tone::Attention)
            }
            (state @ "ready", _) => (state.to_owned(), Tone::Good),
            (state @ "rejected", _) => (state.to_owned(), Tone::Bad),
            (state, _) => (state.to_owned(), Tone::Faint),
        };
        let left = key.tightest().map(|limit| format!("{} %", limit.percent()));
        let tone_left = match key.tightest().map(Limit::percent) {
            Some(0..10) => Tone::Bad,
            Some(10..25) => Tone::Attention,
            _ => Tone::Plain,
        };
        vec![
            provider.name.as_str().into(),
            key.name.as_str().into(),
            Cell::toned(state, tone),
            Cell::toned(left.unwrap_or_else(|| "-".to_owned()), tone_left),
            limits(key).into(),
        ]
    });
}

/// The limits of a key, the tightest first.
fn limits(key: &Key) -> String {
    let mut limits: Vec<_> = key.limits.iter().collect();
    limits.sort_by_key(|limit| limit.percent());
    let described = limits.iter().map(|limit| {
        format!("{} {}/{}", limit.name, format::amount(limit.remaining), format::amount(limit.per_minute))
    });
    described.collect::<Vec<_>>().join("  ")
}

pub(super) const REQUESTS: [Column; 10] = [
    Column::number("AGE", 4, 1),
    Column::text("STATUS", 9, 0, 0),
    Column::text("MODEL", 14, 3, 1),
    Column::text("PROVIDER", 10, 2, 2),
    Column::number("IN", 6, 3),
    Column::number("OUT", 6, 3),
    Column::number("COST", 8, 4),
    Column::number("TIME", 10, 2),
    Column::number("TRIES", 5, 5),
    Column::text("CLIENT", 8, 1, 6),
];

pub(in crate::top) fn requests(
    screen: Screen,
    buffer: &mut Buffer,
    area: Rect,
    requests: &[Request],
    rows: Rows,
) {
    let rows = Rows { count: requests.len(), ..rows };
    list(screen, buffer, area, (&REQUESTS, "no request yet"), rows, |index| {
        let request = &requests[index];
        let age = screen.now_unix_ms.saturating_sub(request.started_unix_ms);
        let (status, tone) = status(request);
        vec![
            format::short_duration(age / 1000 * 1000).into(),
            Cell::toned(status, tone),
            request.model.as_deref().unwrap_or("-").into(),
            request.provider.as_deref().unwrap_or("-").into(),
            format::amount(request.input_tokens).into(),
            format::amount(request.output_tokens).into(),
            format::cost(request.cost_usd, request.is_cost_partial).into(),
            format::duration(request.total_ms.unwrap_or(age)).into(),
            request.attempts.len().to_string().into(),
            request.client.as_deref().unwrap_or("-").into(),
        ]
    });
}

/// The status of a request with the kind of its end, if that is not the usual one.
pub(super) fn status(request: &Request) -> (String, Tone) {
    let status = request.status.map(|status| status.to_string());
    let tone = match request.status {
        Some(500..) => Tone::Bad,
        Some(400..500) => Tone::Attention,
        _ => Tone::Good,
    };
    match (request.end.as_deref(), status) {
        (None, status) => (format!("{} ..", status.unwrap_or_else(|| "run".to_owned())), Tone::Plain),
        (Some("complete"), Some(status)) => (status, tone),
        (Some("broken"), status) => {
            (format!("{} broke", status.unwrap_or_default()).trim().to_owned(), Tone::Bad)
        }
        (Some("abandoned"), status) => {
            (format!("{} left", status.unwrap_or_default()).trim().to_owned(), Tone::Attention)
        }
        (Some("stalled"), status) => {
            (format!("{} stall", status.unwrap_or_default()).trim().to_owned(), Tone::Attention)
        }
        (Some(end), status) => (status.unwrap_or_else(|| end.to_owned()), tone),
    }
}
