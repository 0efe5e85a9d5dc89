//! `cc-relay config init`: a configuration file with the providers that this machine has.
//!
//! ```text
//! environment ───┐
//! files of AWS ──┼─ Discovery ─▶ found    ─▶ providers  ─┐
//! and gcloud     │               missing  ─▶ examples   ─┼─▶ YAML or TOML, with comments
//! Ollama, Azure ─┘                  TEMPLATE, other settings ┘
//! ```
//! The file has references to variables in the place of keys, and no secret. `config validate` accepts it in the same environment.

mod arguments;
mod entry;
mod error;
mod example;
mod found;
mod lines;
mod text;

use std::io;
use std::path::{Path, PathBuf};

use clap::builder::styling::AnsiColor;
use relay_config::{CloudFiles, Discovery, Format, Loader};

pub(crate) use self::arguments::InitArguments;
use self::entry::Entry;
pub(crate) use self::error::InitError;
use crate::destination::Destination;
use crate::files;
use crate::output::{Output, printable};
use crate::settings::{self, variable};

/// The name of the JSON Schema beside the configuration file. Editors read it; the relay does not.
const SCHEMA: &str = "cc-relay.schema.json";

/// Writes the file, and the schema beside it. `config` is the path of `--config`.
pub(crate) fn init(
    arguments: &InitArguments,
    config: Option<PathBuf>,
    out: &mut Output,
) -> Result<(), InitError> {
    let Destination { path, format } = arguments.destination(config)?;
    if let Some(path) = path.as_ref().filter(|path| path.exists() && !arguments.force) {
        return Err(InitError::Exists { path: path.clone() });
    }
    let cloud = CloudFiles::read(&variable);
    let discovery = settings::discovered(|name| variable(name).or_else(|| cloud.variable(name)));
    let entries = entries(&discovery, &cloud);
    let Some(path) = path else {
        out.write(text::file(format, None, &entries).as_bytes())?;
        return Ok(report_found(&discovery, &cloud, &mut Output::stderr())?);
    };
    write(&path, &text::file(format, Some(SCHEMA), &entries), arguments.force)?;
    let schema = path.with_file_name(SCHEMA);
    write(&schema, &relay_config::schema(), true)?;
    report(&path, &discovery, &cloud, out)?;
    Ok(())
}

fn write(path: &Path, text: &str, replace: bool) -> Result<(), InitError> {
    files::write_private(path, text, replace).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => InitError::Exists { path: path.to_owned() },
        _ => InitError::Write { path: path.to_owned(), source },
    })
}

/// Returns the providers that were found, in descending order of priority, and then an example of each other kind.
fn entries(discovery: &Discovery, cloud: &CloudFiles) -> Vec<Entry> {
    let found = discovery.config.providers.iter().map(|provider| found::entry(provider, discovery, cloud));
    let found: Vec<_> = found.map(checked).collect();
    let is_found =
        |name: &str| discovery.config.providers.iter().any(|provider| provider.name.as_str() == name);
    let examples = example::entries(discovery).into_iter().filter(|entry| !is_found(entry.name()));
    found.into_iter().chain(examples).collect()
}

/// Turns a provider that the loader does not accept in this environment into an example, with the reason.
fn checked(mut entry: Entry) -> Entry {
    let variables = settings::variables().filter(|(name, _)| !name.starts_with("CC_RELAY_"));
    let text = text::providers(Format::Yaml, std::slice::from_ref(&entry));
    let loader = Loader::new().with_environment(variables);
    if let Err(error) = loader.with_text("init", Format::Yaml, format!("providers:\n{text}")).load() {
        entry
            .comments
            .extend(error.problems().iter().map(|problem| format!("Not usable here: {}", problem.fault)));
        entry.is_active = false;
    }
    entry
}

fn report(path: &Path, discovery: &Discovery, cloud: &CloudFiles, out: &mut Output) -> io::Result<()> {
    let done = out.style(AnsiColor::Green);
    out.line(format_args!("{done}wrote{done:#} {}, and {SCHEMA} beside it for editors", path.display()))?;
    report_found(discovery, cloud, out)?;
    out.line("edit it, check it with `cc-relay config validate` and `cc-relay doctor`, start with `cc-relay serve`")
}

fn report_found(discovery: &Discovery, cloud: &CloudFiles, out: &mut Output) -> io::Result<()> {
    let mut found = discovery.found.iter().map(|line| lines::with_sources(line, cloud));
    found.try_for_each(|line| out.line(format_args!("found {}", printable(&line))))?;
    let mut err = Output::stderr();
    discovery.faults.iter().try_for_each(|line| err.warning(printable(line)))
}
