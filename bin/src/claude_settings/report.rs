//! The output of `config cc init` and `remove`. It never contains a former value.

use std::path::Path;

use clap::builder::styling::AnsiColor;
use relay_config::PLACEHOLDER;

use super::change::{After, Change, ChangeKind, Edited};
use super::connection::{AUTH_TOKEN, BASE_URL, Token};
use super::error::ClaudeSettingsError as Error;
use super::sources::{
    CERTIFICATES, CLOUD_MODES, MANAGED_BY_HOST, Source, has_credential, has_login, in_force, server_at,
};
use super::store::Store;
use crate::output::Output;
use crate::probe::Server;

/// Prints the changes of `init`.
pub(super) fn init(path: &Path, edited: &Edited, is_dry_run: bool, out: &mut Output) -> Result<(), Error> {
    if is_dry_run {
        return if is_changed(edited) { Ok(()) } else { Ok(out.line("nothing would change")?) };
    }
    let done = out.style(AnsiColor::Green);
    match is_changed(edited) {
        true => out.line(format_args!("{done}wrote{done:#} {}", path.display()))?,
        false => out.line(format_args!("{done}unchanged{done:#} {}", path.display()))?,
    }
    edited.changes.iter().try_for_each(|change| line(change, out))
}

/// Prints the changes of `remove`.
pub(super) fn remove(path: &Path, edited: &Edited, is_dry_run: bool, out: &mut Output) -> Result<(), Error> {
    if !is_dry_run {
        let (done, path) = (out.style(AnsiColor::Green), path.display());
        match (&edited.after, is_changed(edited)) {
            (After::Deleted, _) => out.line(format_args!("{done}deleted{done:#} {path}"))?,
            (_, true) => out.line(format_args!("{done}wrote{done:#} {path}"))?,
            (_, false) => out.line(format_args!("{done}unchanged{done:#} {path}"))?,
        }
    }
    edited.changes.iter().try_for_each(|change| line(change, out))
}

/// Prints that `init` has not changed the file, and the files that it has changed.
pub(super) fn unknown(path: &Path, real: &Path, out: &mut Output) -> Result<(), Error> {
    out.line(format_args!("{}: `config cc init` has not changed this file", path.display()))?;
    for other in Store::read()?.paths().filter(|other| *other != real.to_string_lossy()) {
        out.line(format_args!("  it has changed {other}; `--settings {other}` restores that file"))?;
    }
    Ok(())
}

fn is_changed(edited: &Edited) -> bool {
    edited.changes.iter().any(|change| change.kind.is_edit())
}

fn line(change: &Change, out: &mut Output) -> Result<(), Error> {
    let name = &change.name;
    let text = match change.kind {
        ChangeKind::Added => "added",
        ChangeKind::Replaced => "set; `cc-relay config cc remove` restores the former value",
        ChangeKind::Unchanged => "is set already",
        ChangeKind::AlreadySet => "is set already, not by this command, so that `remove` will leave it",
        ChangeKind::Restored => "set back to its former value",
        ChangeKind::Removed => "removed",
        ChangeKind::LeftAlone => "left as it is, since it has been changed after `config cc init`",
        ChangeKind::Gone => "is not in the file any more",
    };
    Ok(out.line(format_args!("  {name}: {text}"))?)
}

/// Warns of settings that keep Claude Code from using the relay at `url` after `init`. `placeholder_works` is true if a client
/// without a credential of its own can be served.
pub(super) fn after_init(
    url: &str,
    token: &Token,
    placeholder_works: bool,
    out: &mut Output,
) -> Result<(), Error> {
    let mut err = Output::stderr();
    let sources = Source::all();
    for obstacle in obstacles(&sources, url, token) {
        err.warning(obstacle)?;
    }
    let has_own = has_login() || has_credential(&sources) || in_force(&sources, AUTH_TOKEN).is_some();
    if *token == Token::Own && !has_own {
        let hint = match placeholder_works {
            true => format!(
                "; log in with `claude`, or set {AUTH_TOKEN} to {PLACEHOLDER} there to use only the keys of the relay"
            ),
            false => "; log in with `claude`".to_owned(),
        };
        out.line(format_args!("Claude Code has no login and no key of its own yet{hint}"))?;
    }
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Runtime)?;
    match runtime.block_on(server_at(&sources, url)) {
        Server::None => {
            out.line(format_args!("no relay answers at {url} now; start it with `cc-relay serve`"))?;
        }
        Server::Other => err.warning(format_args!("the server at {url} is not cc-relay"))?,
        Server::Untrusted => err.warning(format_args!(
            "the certificate at {url} is not trusted: Claude Code needs {CERTIFICATES}, a file with that of its authority"
        ))?,
        Server::Relay { .. } | Server::Unknown => {}
    }
    Ok(())
}

/// Returns the settings that keep Claude Code from using the relay at `url` with this token.
fn obstacles(sources: &[Source], url: &str, token: &Token) -> Vec<String> {
    let mut found = Vec::new();
    match in_force(sources, BASE_URL) {
        Some((source, value)) if value != url => {
            found.push(format!("{BASE_URL} in {} has precedence over this file", source.name()));
        }
        _ => {}
    }
    if let Some((source, _)) = in_force(sources, AUTH_TOKEN).filter(|_| *token == Token::Own) {
        found.push(format!(
            "{AUTH_TOKEN} in {}: Claude Code sends it in the place of your own login; remove it unless it is your \
             credential for Anthropic",
            source.name()
        ));
    }
    for name in CLOUD_MODES {
        if let Some((source, _)) = in_force(sources, name) {
            found
                .push(format!("{name} in {}: Claude Code calls that cloud and not the relay", source.name()));
        }
    }
    if let Some((source, _)) = in_force(sources, MANAGED_BY_HOST) {
        found.push(format!("{MANAGED_BY_HOST} in {}: Claude Code ignores this file", source.name()));
    }
    found
}
