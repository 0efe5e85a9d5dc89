//! `cc-relay config cc status`: shows the settings that decide about the server of Claude Code.

use std::process::ExitCode;

use clap::builder::styling::AnsiColor;
use serde_json::{Map, Value, json};

use super::arguments::CcStatusArguments;
use super::connection::BASE_URL;
use super::error::ClaudeSettingsError as Error;
use super::file;
use super::mask::shown_value;
use super::sources::{CERTIFICATES, Rank, Source, in_force, server_at};
use super::store::Store;
use crate::output::{Output, printable};
use crate::probe::Server;

/// Prints every source, and the server at the base URL in force. The exit code is 0 if that is a relay.
pub(super) fn status(arguments: &CcStatusArguments, out: &mut Output) -> Result<ExitCode, Error> {
    let sources = Source::all();
    let url = in_force(&sources, BASE_URL).map(|(_, url)| url.to_owned());
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Runtime)?;
    let server = url.as_ref().map(|url| runtime.block_on(server_at(&sources, url)));
    let report = Report { sources, url, server, recorded: recorded() };
    match arguments.json {
        true => out.line(format_args!("{:#}", report.as_json()))?,
        false => report.print(out)?,
    }
    let is_relay = matches!(report.server, Some(Server::Relay { .. }));
    Ok(if is_relay { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Returns the real paths of the files that `init` has changed. None if the records cannot be read.
fn recorded() -> Vec<String> {
    Store::read().map(|store| store.paths().map(str::to_owned).collect()).unwrap_or_default()
}

struct Report {
    sources: Vec<Source>,
    /// The base URL in force.
    url: Option<String>,
    /// The server there.
    server: Option<Server>,
    /// The real paths of the files that `init` has changed.
    recorded: Vec<String>,
}

impl Report {
    fn is_recorded(&self, source: &Source) -> bool {
        let real = source.path.as_deref().and_then(|path| file::resolve(path).ok());
        real.is_some_and(|real| self.recorded.iter().any(|path| *path == real.to_string_lossy()))
    }

    fn as_json(&self) -> Value {
        let sources = self.sources.iter().map(|source| {
            json!({
                "rank": source.rank.as_str(),
                "path": source.path,
                "exists": source.exists,
                "problem": source.problem,
                "changed_by_init": self.is_recorded(source),
                "variables": self.variables(source).collect::<Map<_, _>>(),
            })
        });
        let (server, version) = match &self.server {
            None => (Value::Null, None),
            Some(Server::Relay { version, .. }) => (json!("cc-relay"), Some(version)),
            Some(Server::Other) => (json!("other"), None),
            Some(Server::Untrusted) => (json!("untrusted"), None),
            Some(Server::None) => (json!("none"), None),
            Some(Server::Unknown) => (json!("unknown"), None),
        };
        json!({
            "sources": sources.collect::<Vec<_>>(),
            "base_url": self.url.as_deref().map(|url| shown_value(BASE_URL, url)),
            "server": server,
            "version": version,
        })
    }

    fn variables<'a>(&'a self, source: &'a Source) -> impl Iterator<Item = (String, Value)> + 'a {
        source.variables.iter().map(|(name, value)| {
            let value =
                json!({ "value": shown_value(name, value), "in_force": self.is_in_force(source, name) });
            ((*name).to_owned(), value)
        })
    }

    /// Returns `true` if Claude Code uses the value of this source.
    fn is_in_force(&self, source: &Source, name: &str) -> bool {
        let first = self.sources.iter().find(|source| source.variables.contains_key(name));
        first.is_some_and(|first| std::ptr::eq(first, source))
    }

    fn print(&self, out: &mut Output) -> Result<(), Error> {
        let bold = out.style(AnsiColor::White);
        for source in &self.sources {
            let name = match (&source.path, source.exists) {
                (Some(path), true) => format!("  {}", path.display()),
                (Some(path), false) => format!("  {} (no file)", path.display()),
                (None, _) => String::new(),
            };
            let changed = if self.is_recorded(source) { " (changed by `config cc init`)" } else { "" };
            out.line(format_args!("{bold}{}{bold:#}{name}{changed}", source.rank.as_str()))?;
            for (name, value) in &source.variables {
                let value = printable(&shown_value(name, value));
                let effect = match (self.is_in_force(source, name), value.is_empty()) {
                    (true, true) => "cancels the variable of lower ranks",
                    (true, false) => "in force",
                    (false, _) => "not in force",
                };
                out.line(format_args!("  {name} = {value}  ({effect})"))?;
            }
            if let Some(problem) = &source.problem {
                Output::stderr().warning(format_args!("{}: {problem}", source.name()))?;
            }
        }
        out.line(self.summary())?;
        Ok(())
    }

    fn summary(&self) -> String {
        let url = self.url.as_deref().map(|url| printable(&shown_value(BASE_URL, url))).unwrap_or_default();
        let source = in_force(&self.sources, BASE_URL).map(|(source, _)| source);
        let remedy = source.map(|source| self.remedy(source)).unwrap_or_default();
        let source = source.map(Source::name).unwrap_or_default();
        match &self.server {
            None => format!("{BASE_URL} is not set: Claude Code calls Anthropic, not a relay"),
            Some(Server::Relay { version, .. }) => format!("cc-relay {version} answers at {url}"),
            Some(Server::Other) => format!("the server at {url} is not cc-relay; {source} names it"),
            Some(Server::None) => {
                format!("no server answers at {url}: start the relay with `cc-relay serve`, or {remedy}")
            }
            Some(Server::Untrusted) => format!(
                "the certificate of the server at {url} is not trusted: set {CERTIFICATES} to a file with that of its authority"
            ),
            Some(Server::Unknown) => {
                format!("the server at {url} was not checked: neither http nor https, or behind a proxy")
            }
        }
    }

    /// Returns the way to get rid of the base URL in a source.
    fn remedy(&self, source: &Source) -> String {
        let option = match source.rank {
            Rank::Project => " --project",
            Rank::Local => " --local",
            _ => "",
        };
        match self.is_recorded(source) {
            true => format!("restore {} with `cc-relay config cc remove{option}`", source.name()),
            false => format!("remove {BASE_URL} from {}", source.name()),
        }
    }
}
