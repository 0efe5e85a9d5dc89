//! `cc-relay usage`: shows the tokens and the cost of past requests, from the usage ledger.

mod csv;
mod number;
mod summary;
mod table;

use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::SystemTime;

use relay_admin::ledger::{
    GroupBy, LedgerError, LedgerReader, TimeError, UsageQuery, UsageReport, parse_time,
};

use crate::cli::{Settings, UsageArguments};
use crate::ledger_place::LedgerPlace;
use crate::output::Output;
use crate::settings::{SettingsError, readable};

/// The failure of `usage`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UsageError {
    #[error(transparent)]
    CommandLine(SettingsError),
    #[error("--{option}")]
    Time { option: &'static str, source: TimeError },
    #[error("--until: found `{until}`, expected a time after --since `{since}`")]
    Span { since: String, until: String },
    #[error("there is no usage ledger: {reason}; --file names another one")]
    Absent { reason: &'static str },
    #[error(
        "a demonstration keeps its usage only until it stops: see its dashboard, or name the file in its log with --file"
    )]
    Demo,
    #[error(
        "there is no usage ledger at {}: `cc-relay serve` writes it; if it runs as another user or as a service, name its \
         file with --file",
        path.display()
    )]
    Missing { path: PathBuf },
    #[error(transparent)]
    Ledger(LedgerError),
    #[error("the report cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Output(#[from] io::Error),
}

impl UsageError {
    pub(crate) fn is_usage(&self) -> bool {
        matches!(self, Self::CommandLine(_) | Self::Time { .. } | Self::Span { .. })
    }
}

/// Prints the usage that the arguments select. A relay may write to the ledger at the same time.
pub(crate) fn usage(
    arguments: &UsageArguments,
    settings: &Settings,
    out: &mut Output,
) -> Result<(), UsageError> {
    let query = query(arguments)?;
    let path = path(arguments, settings)?;
    let report = LedgerReader::open(&path).and_then(|ledger| ledger.query(&query));
    let report = report.map_err(|error| match error {
        LedgerError::Missing { path } => UsageError::Missing { path },
        error => UsageError::Ledger(error),
    })?;
    if arguments.json {
        out.line(serde_json::to_string_pretty(&report)?)?;
    } else if arguments.csv {
        out.write(csv::text(&report).as_bytes())?;
    } else {
        print(&report, out)?;
    }
    Ok(())
}

fn print(report: &UsageReport, out: &mut Output) -> io::Result<()> {
    match report.by {
        Some(by) => table::lines(report, by).into_iter().try_for_each(|line| out.line(line)),
        None => summary::lines(report).into_iter().try_for_each(|line| out.line(line)),
    }
}

fn query(arguments: &UsageArguments) -> Result<UsageQuery, UsageError> {
    let now = SystemTime::now();
    let time = |option, text: &Option<String>| {
        let read =
            |text: &String| parse_time(text, now).map_err(|source| UsageError::Time { option, source });
        text.as_ref().map(read).transpose()
    };
    let mut query = UsageQuery::default();
    query.since_unix_ms = time("since", &arguments.since)?;
    query.until_unix_ms = time("until", &arguments.until)?;
    query.by = arguments.by.as_deref().and_then(GroupBy::named);
    query.limit = arguments.limit.map(NonZeroUsize::get);
    if query.has_empty_span() {
        let [since, until] =
            [&arguments.since, &arguments.until].map(|text| text.clone().unwrap_or_default());
        return Err(UsageError::Span { since, until });
    }
    Ok(query)
}

fn path(arguments: &UsageArguments, settings: &Settings) -> Result<PathBuf, UsageError> {
    if let Some(path) = &arguments.file {
        return Ok(path.clone());
    }
    let readable = readable(settings).map_err(UsageError::CommandLine)?;
    match LedgerPlace::of(&readable.config.usage, settings.demo) {
        LedgerPlace::File(path) => {
            readable.warn(&format!("the ledger {}", path.display()))?;
            Ok(path)
        }
        LedgerPlace::Temporary => Err(UsageError::Demo),
        place => Err(UsageError::Absent { reason: place.absence().unwrap_or_default() }),
    }
}
