//! `cc-relay config cc`: edits the settings of Claude Code, and shows them.
//!
//! ```text
//! configuration ─connection─▶ wanted variables ─┐
//! settings file ─document──▶ Document ──────────┼─change─▶ Document ─file──▶ settings file
//! state file ────store─────▶ Record ────────────┘          Record ───store─▶ state file
//! ```
//! Only the values of the touched variables change. Every other byte of a settings file stays as it was, since Claude Code, its
//! user and other programs write the same file. The former values are kept in the relay's own state file.

mod arguments;
mod change;
pub(crate) mod connection;
mod diff;
mod document;
mod edit;
mod error;
mod file;
mod invalid;
mod layout;
mod location;
mod mask;
mod record;
mod report;
pub(crate) mod sources;
mod status;
mod store;

use std::process::ExitCode;

pub(crate) use self::arguments::CcCommand;
pub(crate) use self::document::Document;
pub(crate) use self::error::ClaudeSettingsError;
pub(crate) use self::invalid::Invalid;
use crate::cli::Settings;
use crate::output::Output;

/// Runs a `config cc` command.
pub(crate) fn run(
    command: &CcCommand,
    settings: &Settings,
    out: &mut Output,
) -> Result<ExitCode, ClaudeSettingsError> {
    match command {
        CcCommand::Init(arguments) => edit::init(arguments, settings, out)?,
        CcCommand::Remove(arguments) => edit::remove(arguments, out)?,
        CcCommand::Status(arguments) => return status::status(arguments, out),
    }
    Ok(ExitCode::SUCCESS)
}
