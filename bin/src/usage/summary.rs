//! The total of a report, one figure in a line.

use std::time::{Duration, UNIX_EPOCH};

use relay_admin::ledger::{UsageReport, UsageRow, Usd};
use relay_config::write_rfc3339;

use super::number::{cost, dollars, grouped, percent};

/// Returns the lines of the total.
pub(super) fn lines(report: &UsageReport) -> Vec<String> {
    let total = &report.total;
    let since = report.since_unix_ms.map_or_else(|| "the first request".to_owned(), time);
    let mut lines = vec![format!("from {since} to {}", time(report.until_unix_ms)), String::new()];
    let figures = [
        ("requests", grouped(total.requests)),
        ("attempts", grouped(total.attempts)),
        ("failures", format!("{} (attempts, and requests refused before one)", grouped(total.failed))),
        ("input tokens", grouped(total.input_tokens)),
        ("output tokens", grouped(total.output_tokens)),
        ("cache reads", grouped(total.cache_read_tokens)),
        ("cache writes", writes(total)),
        ("web searches", grouped(total.web_search_requests)),
        ("cost", cost(total.cost_usd.map(Usd::as_dollars), total.is_cost_partial)),
    ];
    lines.extend(figures.into_iter().map(|(name, figure)| format!("{name:<16}{figure}")));
    lines.extend(savings(total));
    lines.extend(remarks(report));
    lines
}

fn writes(row: &UsageRow) -> String {
    let (short, long) = (row.cache_write_5m_tokens, row.cache_write_1h_tokens);
    format!("{} for 5 minutes, {} for 1 hour", grouped(short), grouped(long))
}

/// Returns the lines about the prompt cache.
pub(super) fn savings(row: &UsageRow) -> Vec<String> {
    let hit_rate = format!("{:<16}{}", "cache hit rate", percent(row.cache_hit_rate));
    let (Some(list), Some(saved)) = (row.uncached_usd, row.saved_usd) else { return vec![hit_rate] };
    let list = list.as_dollars();
    let share = (list > 0.0).then(|| saved / list);
    vec![
        hit_rate,
        format!(
            "{:<16}{} at list price for the same tokens",
            "without cache",
            cost(Some(list), row.is_cost_partial)
        ),
        format!("{:<16}{} ({})", "saved by cache", dollars(saved), percent(share)),
    ]
}

/// Returns the lines about figures that are not exact.
pub(super) fn remarks(report: &UsageReport) -> Vec<String> {
    let total = &report.total;
    let mut lines = Vec::new();
    if total.estimated_requests > 0 {
        let answers = counted(total.estimated_requests, "answer", "answers");
        lines
            .push(format!("~ {answers} with an estimate: cut ones, and cache writes of an unknown lifetime"));
    }
    if total.unpriced_requests > 0 {
        let attempts = counted(total.unpriced_requests, "attempt", "attempts");
        let mark = if total.is_cost_partial { "≥" } else { "–" };
        lines.push(format!("{mark} {attempts} without a known price: see `prices` in the configuration"));
    }
    if report.is_truncated {
        lines.push("further groups are not shown: see --limit".to_owned());
    }
    lines
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(count), if count == 1 { one } else { many })
}

/// Writes a time in UTC to the second.
fn time(unix_ms: i64) -> String {
    let since = Duration::from_millis(u64::try_from(unix_ms).unwrap_or(0) / 1000 * 1000);
    let mut text = String::new();
    // Writing to a text does not fail.
    let _ = write_rfc3339(&mut text, UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH));
    text
}
