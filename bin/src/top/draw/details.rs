//! The details of one request, with its attempts.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Widget, Wrap};

use super::lists;
use super::screen::Screen;
use crate::top::app::{App, Layer};
use crate::top::data::{Attempt, Request};
use crate::top::format;

pub(super) fn draw(screen: Screen, buffer: &mut Buffer, area: Rect, app: &mut App) {
    let Layer::Details(request, scrolled) = &mut app.layer else { return };
    let lines = lines(screen, request);
    // Each line has at least one row. Wrapped ones have more, so that the last screen may be passed by some rows.
    let rows: usize =
        lines.iter().map(|line| line.width().div_ceil(usize::from(area.width.max(1))).max(1)).sum();
    let last = rows.saturating_sub(area.height.into());
    *scrolled = (*scrolled).min(u16::try_from(last).unwrap_or(u16::MAX));
    Paragraph::new(lines).wrap(Wrap { trim: false }).scroll((*scrolled, 0)).render(area, buffer);
}

fn lines(screen: Screen, request: &Request) -> Vec<Line<'static>> {
    let (status, tone) = lists::status(request);
    let age = screen.now_unix_ms.saturating_sub(request.started_unix_ms);
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let mut lines = vec![
        Line::styled(format!("Request {}", request.id), bold),
        Line::from(vec![label("status"), Span::styled(status, screen.theme.style(tone))]),
        fact("started", &format!("{} ago", format::duration(age / 1000 * 1000))),
        fact("time", &format::duration(request.total_ms.unwrap_or(age))),
    ];
    let optional = [("client", &request.client), ("provider", &request.provider)];
    lines.extend(optional.into_iter().filter_map(|(name, text)| Some(fact(name, text.as_ref()?))));
    let cost = format::cost(request.cost_usd, request.is_cost_partial);
    lines.extend(request.cost_usd.map(|_| fact("cost", &cost)));
    lines.extend(request.facts.iter().map(|(name, text)| fact(name, text)));
    lines.push(Line::styled(format!("Attempts: {}", request.attempts.len()), bold));
    for (index, attempt) in request.attempts.iter().enumerate() {
        lines.extend(attempt_lines(index + 1, attempt));
    }
    lines
}

fn label(name: &str) -> Span<'static> {
    Span::raw(format!("  {name:<18}"))
}

fn fact(name: &str, text: &str) -> Line<'static> {
    Line::from(vec![label(name), Span::raw(text.to_owned())])
}

fn attempt_lines(number: usize, attempt: &Attempt) -> Vec<Line<'static>> {
    let status = attempt.status.map(|status| format!(" {status}")).unwrap_or_default();
    let head = format!(
        "  {number}. {} key {}: {}{status}, after {}, took {}",
        attempt.provider,
        attempt.key,
        attempt.result,
        format::duration(attempt.started_ms),
        format::duration(attempt.latency_ms),
    );
    let model = (!attempt.model.is_empty()).then(|| Line::raw(format!("     model {}", attempt.model)));
    let error = attempt.error.as_ref().map(|error| Line::raw(format!("     {error}")));
    [Some(Line::raw(head)), model, error].into_iter().flatten().collect()
}
