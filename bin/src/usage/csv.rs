//! The report as comma-separated values.

use relay_admin::ledger::{UsageReport, UsageRow, Usd};

use crate::output::printable;

/// The titles of the columns: the names of the fields in JSON.
const TITLES: &str = "group,requests,attempts,failed,input_tokens,output_tokens,cache_read_tokens,\
    cache_write_5m_tokens,cache_write_1h_tokens,web_search_requests,web_fetch_requests,cost_usd,uncached_usd,saved_usd,\
    cache_hit_rate,estimated_requests,unpriced_requests,is_cost_partial,cache_losses,last_cache_loss";

/// Returns the groups, or the total of a report without groups. Lines end as RFC 4180 says.
pub(super) fn text(report: &UsageReport) -> String {
    let mut text = format!("{TITLES}\r\n");
    match report.by {
        Some(_) => report.rows.iter().for_each(|row| text += &line(row)),
        None => text += &line(&report.total),
    }
    text
}

fn line(row: &UsageRow) -> String {
    let counts = [
        row.requests,
        row.attempts,
        row.failed,
        row.input_tokens,
        row.output_tokens,
        row.cache_read_tokens,
        row.cache_write_5m_tokens,
        row.cache_write_1h_tokens,
        row.web_search_requests,
        row.web_fetch_requests,
    ];
    let counts = counts.map(|count| count.to_string()).join(",");
    let money = |dollars: Option<f64>| dollars.map(|dollars| format!("{dollars:.9}")).unwrap_or_default();
    let [cost, uncached] = [row.cost_usd, row.uncached_usd].map(|cost| money(cost.map(Usd::as_dollars)));
    let hit_rate = row.cache_hit_rate.map(|rate| format!("{rate:.6}")).unwrap_or_default();
    format!(
        "{},{counts},{cost},{uncached},{},{hit_rate},{},{},{},{},{}\r\n",
        quoted(row.group.as_deref().unwrap_or_default()),
        money(row.saved_usd),
        row.estimated_requests,
        row.unpriced_requests,
        row.is_cost_partial,
        row.cache_losses,
        quoted(row.last_cache_loss.as_deref().unwrap_or_default())
    )
}

/// Quotes a text where RFC 4180 needs it. Clients choose the names of models and sessions: characters that would control a
/// terminal are replaced, and an apostrophe prevents that a spreadsheet takes the text for a formula.
fn quoted(text: &str) -> String {
    let mut text = printable(text);
    if text.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']) {
        text.insert(0, '\'');
    }
    if text.contains([',', '"', '\r', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_one_field_and_is_no_formula() {
        let names = ["a", "a,b", "a\"b", "=1+1", "@x,", "claude-opus-5-5", "2026-11-26", " =1", "＝1"];
        let expected = [
            "a",
            "\"a,b\"",
            "\"a\"\"b\"",
            "'=1+1",
            "\"'@x,\"",
            "claude-opus-5-5",
            "2026-11-26",
            "' =1",
            "'＝1",
        ];
        assert_eq!(names.map(quoted), expected);
        assert_eq!(quoted("a\u{1b}[2J\r\n\t=1\u{202e}"), "a\u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}=1\u{fffd}");
    }
}
