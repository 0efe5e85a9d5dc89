//! `cc-relay config import`: a configuration from the file of another relay.
//!
//! ```text
//! file ─▶ Source ─▶ Document ─┬ go ──────┐
//!                             ├ router ──┼─▶ Draft, Report ─▶ accepted (the loader's verdict) ─▶ YAML or TOML
//!                             └ litellm ─┘
//! ```
//! Every setting is taken, changed or skipped, and the report says which, with the reason. No secret is printed: a file has the
//! credentials that the original has, with mode 0600, and standard output has references to variables in their place.

mod accepted;
mod arguments;
mod error;
mod go;
mod litellm;
mod litellm_models;
mod references;
mod report;
mod router;
mod source;
mod tables;
#[cfg(test)]
mod tests;
mod vendors;

use relay_config::{Document, Format};

pub(crate) use self::arguments::ImportArguments;
pub(crate) use self::error::ImportError;
use self::report::Report;
use self::source::Source;
use self::tables::Table;
use crate::destination::Destination;
use crate::files;
use crate::output::Output;

/// Converts the file, writes the result and reports on it.
pub(crate) fn import(arguments: &ImportArguments, out: &mut Output) -> Result<(), ImportError> {
    let (source, document) = source::read(&arguments.file, arguments.from)?;
    let mut report = Report::default();
    let draft = convert(source, document, &mut report);
    let mut draft = accepted::accepted(draft, &mut report)?;
    let Destination { path, format } = arguments.destination()?;
    match &path {
        Some(path) => files::write_private(path, &text(source, format, &draft), arguments.force)
            .map_err(|error| ImportError::write(path, error))?,
        None => {
            references::replace_secrets(&mut draft, &mut report);
            out.write(text(source, format, &draft).as_bytes())?;
        }
    }
    let mut err = Output::stderr();
    report.print(source, &mut err)?;
    references::announce(&draft, &mut err)?;
    if let Some(path) = path {
        err.line(format_args!("wrote {}; check it with `cc-relay config validate`", path.display()))?;
    }
    Ok(())
}

/// Returns the settings of the file in this program's form.
fn convert(source: Source, document: Document, report: &mut Report) -> Table {
    match source {
        Source::CcRelay => go::convert(document, report),
        Source::Router => router::convert(&document, report),
        Source::LiteLlm => litellm::convert(&document, report),
    }
}

/// Returns the file with its first line.
fn text(source: Source, format: Format, draft: &Table) -> String {
    let body = Document::Table(draft.clone()).to_text(format);
    format!("# Converted from the configuration of {source} by `cc-relay config import`.\n{body}")
}
