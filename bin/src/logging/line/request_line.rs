//! The line of a request on a terminal.

use std::fmt::Debug;

use tracing::field::{Field, Visit};

use super::columns::{columns, push_left, push_right};

/// The widths of the columns, in the order of the line. With the time and the level before them and the spaces between them,
/// they take 120 columns.
const STATUS: usize = 3;
const MODEL: usize = 20;
const PROVIDER: usize = 12;
const TOKENS: usize = 12;
const COST: usize = 7;
const DURATION: usize = 6;
const NOTE_AND_ID: usize = 38;

/// The least widths that the model and the provider keep if the id is long.
const LEAST_MODEL: usize = 8;
const LEAST_PROVIDER: usize = 6;

/// The colours of a status, and of the id.
const RED: &str = "\x1b[31m";
const YELLOW: &str = "\x1b[33m";
const GREEN: &str = "\x1b[32m";
const DIM: &str = "\x1b[2m";
const RESET: &str = "\x1b[0m";

/// The fields of an event of the access log that its line shows.
#[derive(Debug, Default)]
pub(super) struct RequestLine {
    request_id: String,
    /// The id that the client sees, if the upstream sent one.
    upstream_request_id: Option<String>,
    method: String,
    path: String,
    status: Option<u64>,
    model: Option<String>,
    provider: Option<String>,
    error: Option<String>,
    end: Option<String>,
    tries: Option<u64>,
    total_ms: u64,
    /// Input tokens of all kinds.
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    is_estimated: bool,
    cost_usd: Option<f64>,
}

impl RequestLine {
    /// Appends `STATUS MODEL PROVIDER TOKENS COST DURATION NOTE ID`. The id is the one that the client sees, whole unless it has
    /// more than 55 characters. A long one takes columns of the note, the model and the provider.
    pub(super) fn push(&self, line: &mut String, has_colours: bool) {
        let id = self.upstream_request_id.as_deref().unwrap_or(&self.request_id);
        let mut missing = (columns(id) + 1).saturating_sub(NOTE_AND_ID);
        let mut width = |usual: usize, least: usize| {
            let taken = missing.min(usual - least);
            missing -= taken;
            usual - taken
        };
        let (model, provider) = (width(MODEL, LEAST_MODEL), width(PROVIDER, LEAST_PROVIDER));
        let last = NOTE_AND_ID + (MODEL - model) + (PROVIDER - provider);

        self.push_status(line, has_colours);
        push_left(line, &self.subject(), model);
        line.push(' ');
        push_left(line, self.provider.as_deref().unwrap_or("-"), provider);
        line.push(' ');
        self.push_usage(line);
        push_right(line, &duration(self.total_ms), DURATION);
        line.push(' ');
        let note = last.saturating_sub(columns(id) + 1);
        push_left(line, &self.note(), note);
        line.push(' ');
        line.push_str(if has_colours { DIM } else { "" });
        push_right(line, id, last - note - 1);
        line.push_str(if has_colours { RESET } else { "" });
    }

    fn push_status(&self, line: &mut String, has_colours: bool) {
        let colour = match self.status {
            Some(500..) => RED,
            Some(400..500) | None => YELLOW,
            Some(_) => GREEN,
        };
        line.push_str(if has_colours { colour } else { "" });
        push_left(line, &self.status.map_or("-".to_owned(), |status| status.to_string()), STATUS);
        line.push_str(if has_colours { RESET } else { "" });
        line.push(' ');
    }

    /// The model, or for other requests the method and the path.
    fn subject(&self) -> String {
        self.model.clone().unwrap_or_else(|| format!("{} {}", self.method, self.path))
    }

    /// Appends tokens and cost, or in their place the reason for which there are none.
    fn push_usage(&self, line: &mut String) {
        let has_tokens = self.input_tokens.is_some() || self.output_tokens.is_some();
        match &self.error {
            Some(error) if !has_tokens => push_left(line, error, TOKENS + 1 + COST),
            _ => {
                push_right(line, &self.tokens(), TOKENS);
                line.push(' ');
                push_right(line, &self.cost_usd.map_or("-".to_owned(), cost), COST);
            }
        }
        line.push(' ');
    }

    /// Input and output tokens. `~` marks an estimate.
    fn tokens(&self) -> String {
        let count = |count: Option<u64>| count.map_or("-".to_owned(), compact);
        let mark = if self.is_estimated { "~" } else { "" };
        format!("{}/{mark}{}", count(self.input_tokens), count(self.output_tokens))
    }

    /// An end other than the regular one, or the number of attempts if there was more than one.
    fn note(&self) -> String {
        match (self.end.as_deref(), self.tries) {
            (Some(end), _) if end != "complete" => end.to_owned(),
            (_, Some(tries)) => format!("{tries} tries"),
            _ => String::new(),
        }
    }
}

impl Visit for RequestLine {
    fn record_str(&mut self, field: &Field, value: &str) {
        let value = value.to_owned();
        match field.name() {
            "request_id" => self.request_id = value,
            "upstream_request_id" => self.upstream_request_id = Some(value),
            "method" => self.method = value,
            "path" => self.path = value,
            "model" => self.model = Some(value),
            "provider" => self.provider = Some(value),
            "error" => self.error = Some(value),
            "end" => self.end = Some(value),
            _ => {}
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "status" => self.status = Some(value),
            "tries" => self.tries = Some(value),
            "total_ms" => self.total_ms = value,
            "input_tokens" | "cache_read_tokens" | "cache_write_tokens" => {
                self.input_tokens = Some(self.input_tokens.unwrap_or(0).saturating_add(value));
            }
            "output_tokens" => self.output_tokens = Some(value),
            _ => {}
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if field.name() == "cost_usd" {
            self.cost_usd = Some(value);
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        if field.name() == "estimated" {
            self.is_estimated = value;
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

/// Formats a count in at most five characters up to 9999 million: `999`, `12.3k`, `999k`, `1.2M`.
fn compact(count: u64) -> String {
    let tenths = |unit: u64| format!("{}.{}", count / unit, count % unit * 10 / unit);
    match count {
        ..1000 => count.to_string(),
        1000..100_000 => tenths(1000) + "k",
        100_000..1_000_000 => format!("{}k", count / 1000),
        1_000_000..100_000_000 => tenths(1_000_000) + "M",
        _ => format!("{}M", count / 1_000_000),
    }
}

/// Formats an amount of dollars: with four decimals below 10, since many requests cost less than a cent.
fn cost(dollars: f64) -> String {
    match dollars {
        ..9.9999 => format!("${dollars:.4}"),
        ..999.99 => format!("${dollars:.2}"),
        _ => format!("${dollars:.0}"),
    }
}

/// Formats a time: `812ms`, `12.3s`, `12m05s`, `3h07m`.
fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0 => format!("{ms}ms"),
        1..60 => format!("{seconds}.{}s", ms % 1000 / 100),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (count, expected) in [
            (0, "0"),
            (999, "999"),
            (1000, "1.0k"),
            (12_345, "12.3k"),
            (99_999, "99.9k"),
            (100_000, "100k"),
            (999_999, "999k"),
            (1_250_000, "1.2M"),
            (99_999_999, "99.9M"),
            (123_456_789, "123M"),
        ] {
            assert_eq!(compact(count), expected);
        }
        for (ms, expected) in [
            (0, "0ms"),
            (999, "999ms"),
            (1000, "1.0s"),
            (59_999, "59.9s"),
            (60_000, "1m00s"),
            (725_000, "12m05s"),
            (11_220_000, "3h07m"),
        ] {
            assert_eq!(duration(ms), expected);
        }
        assert_eq!(
            (cost(0.012_34), cost(99.5), cost(1234.5)),
            ("$0.0123".into(), "$99.50".into(), "$1234".into())
        );
    }
}
