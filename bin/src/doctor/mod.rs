//! `cc-relay doctor`: checks everything that requests need, and shows a fix for each failure.
//!
//! ```text
//! Start ─┬─ settings ──▶ configuration: file, warnings, permissions; directories, listeners
//!        ├─ provider ──▶ for each: name ▸ TCP ▸ TLS ▸ clock ▸ credential ▸ models ▸ request
//!        │               Relay::check, on the way of the traffic
//!        └─ machine ───▶ Claude Code: settings of every rank, base URLs, credential, version
//!                                     └─▶ Report: lines or JSON, exit code
//! ```
//! No value of a secret is part of a report.

mod arguments;
mod check;
mod claude;
mod configuration;
mod directories;
mod listeners;
mod port_holder;
mod provider;
mod report;
mod source;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use relay_config::ProviderConfig;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub(crate) use self::arguments::DoctorArguments;
use self::check::Group;
use self::provider::Context;
use self::report::Report;
use self::source::Sources;
use crate::cli::Settings;
use crate::output::Output;
use crate::settings::{Origin, SettingsError, Start};

/// The most providers that are checked at one time.
const AT_ONCE: usize = 8;

/// The failure of `doctor`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DoctorError {
    #[error("there is no enabled provider with the name `{name}`; found {}", known.join(", "))]
    Provider { name: String, known: Vec<String> },
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
    #[error(transparent)]
    Settings(SettingsError),
    #[error(transparent)]
    Output(#[from] io::Error),
}

impl DoctorError {
    pub(crate) fn is_usage(&self) -> bool {
        match self {
            Self::Provider { .. } => true,
            Self::Settings(error) => error.is_usage(),
            _ => false,
        }
    }
}

/// Makes all checks and prints their results. The exit code is 0 if none fails, otherwise 1.
pub(crate) fn doctor(
    arguments: &DoctorArguments,
    settings: &Settings,
    out: &mut Output,
) -> Result<ExitCode, DoctorError> {
    let start = match Start::read(settings) {
        Err(error) if error.is_usage() => return Err(DoctorError::Settings(error)),
        start => start,
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(DoctorError::Runtime)?;
    let mut groups = vec![configuration::check(&start)];
    let mut secrets = Vec::new();
    if let Ok(start) = &start {
        secrets = start.loaded.config.secrets();
        groups.extend(runtime.block_on(providers(arguments, start))?);
    }
    if arguments.provider.is_empty() {
        groups.extend(runtime.block_on(machine(start.as_ref().ok())));
    }
    // A thread may still be resolving a name. Its result is no longer needed.
    runtime.shutdown_background();
    let report = Report::new(groups, secrets);
    match arguments.json {
        true => out.line(format_args!("{:#}", report.as_json()))?,
        false => report.print(out)?,
    }
    Ok(if report.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Checks this machine: directories, listeners, and Claude Code.
async fn machine(start: Option<&Start>) -> Vec<Group> {
    let config = start.map(|start| &start.loaded.config);
    let mut groups = Vec::new();
    if let Some(start) = start {
        let is_demo = matches!(start.origin, Origin::Demo);
        groups.push(directories::check(&start.loaded.config, is_demo));
        groups.push(listeners::check(&start.loaded.config).await);
    }
    groups.push(claude::check(config).await);
    groups
}

/// Checks the selected providers, [`AT_ONCE`] at a time. The result has the order of the configuration.
async fn providers(arguments: &DoctorArguments, start: &Start) -> Result<Vec<Group>, DoctorError> {
    let config = &start.loaded.config;
    let selected = selected(arguments, &config.providers)?;
    let context = Arc::new(Context {
        config: config.clone(),
        limit: arguments.limit(),
        sends: arguments.send,
        sources: Sources::of(&start.origin),
    });
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    for (index, provider) in selected.into_iter().enumerate() {
        let (context, permits, provider) = (Arc::clone(&context), Arc::clone(&permits), provider.clone());
        running.spawn(async move {
            let _permit = permits.acquire().await;
            (index, provider::check(&context, &provider).await)
        });
    }
    let mut groups = running.join_all().await;
    groups.sort_by_key(|(index, _)| *index);
    Ok(groups.into_iter().map(|(_, group)| group).collect())
}

/// Returns the enabled providers, or those of them that the command line names.
fn selected<'a>(
    arguments: &DoctorArguments,
    providers: &'a [ProviderConfig],
) -> Result<Vec<&'a ProviderConfig>, DoctorError> {
    let enabled: Vec<_> = providers.iter().filter(|provider| provider.enabled).collect();
    let is_known = |name: &String| enabled.iter().any(|provider| provider.name.as_str() == name);
    if let Some(unknown) = arguments.provider.iter().find(|name| !is_known(name)) {
        let known = enabled.iter().map(|provider| provider.name.to_string()).collect();
        return Err(DoctorError::Provider { name: unknown.clone(), known });
    }
    let is_named = |provider: &&ProviderConfig| {
        arguments.provider.is_empty() || arguments.provider.iter().any(|name| provider.name.as_str() == name)
    };
    Ok(enabled.into_iter().filter(is_named).collect())
}
