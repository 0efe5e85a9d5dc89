//! `cc-relay service`: starts the relay at each login or with the machine, by systemd or launchd.
//!
//! ```text
//! install ───▶ Invocation (program, configuration) ─unit, plist─▶ file ─▶ systemctl, launchctl
//! uninstall ─▶ systemctl, launchctl ─▶ file removed, if it has the mark of `install`
//! status ────▶ the state of the service, and the answer of the relay
//! ```
//! The files in `templates` are those that packages of the system install. `dist` has links to them.

pub(crate) mod arguments;
mod environment;
mod error;
mod file;
mod launchd;
mod manager;
mod scope;
mod step;
mod systemd;

use std::path::Path;
use std::process::ExitCode;

use clap::builder::styling::AnsiColor;
use relay_config::{Document, Format};

use self::arguments::ServiceCommand;
pub(crate) use self::error::ServiceError;
use self::file::Existing;
use self::manager::Service;
use self::scope::{Invocation, Scope};
use crate::cli::Settings;
use crate::output::Output;
use crate::settings;
use crate::status;

/// The configuration of the service of the machine.
const SYSTEM_CONFIG: &str = "/etc/cc-relay/config.yaml";

pub(crate) fn run(
    command: ServiceCommand,
    settings: &Settings,
    out: &mut Output,
) -> Result<ExitCode, ServiceError> {
    match command {
        ServiceCommand::Install { scope, dry_run, force } => {
            install(&Service::new(scope.scope())?, settings, Mode { dry_run, force }, out)?;
        }
        ServiceCommand::Uninstall { scope, dry_run } => {
            uninstall(&Service::new(scope.scope())?, dry_run, out)?;
        }
        ServiceCommand::Status { scope, url } => {
            return show(&Service::new(scope.scope())?, settings, url, out);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The options of `install`.
#[derive(Debug, Clone, Copy)]
struct Mode {
    dry_run: bool,
    force: bool,
}

fn install(service: &Service, settings: &Settings, mode: Mode, out: &mut Output) -> Result<(), ServiceError> {
    let invocation = invocation(service.scope, settings)?;
    let text = service.text(&invocation)?;
    let path = &service.path;
    let existing = file::read(path)?;
    if existing == Existing::Foreign && !mode.force {
        return Err(ServiceError::Foreign { path: path.clone() });
    }
    let is_same = matches!(&existing, Existing::Ours(old) if *old == text);
    let is_changed = !is_same && existing != Existing::Absent;
    let steps = service.start(is_changed)?;
    if mode.dry_run {
        out.line(format_args!("# would write {}", path.display()))?;
        out.write(text.as_bytes())?;
        steps.iter().try_for_each(|step| out.line(format_args!("# would run {step}")))?;
        return Ok(warn_about_variables(service, &invocation)?);
    }
    // Nothing is written on a system without the service manager.
    service.probe()?;
    if !is_same {
        file::write(path, &text)?;
    }
    let done = out.style(AnsiColor::Green);
    let verb = if is_same { "unchanged" } else { "wrote" };
    out.line(format_args!("{done}{verb}{done:#} {}", path.display()))?;
    warn_about_variables(service, &invocation)?;
    let last = steps.len().saturating_sub(1);
    for (index, step) in steps.iter().enumerate() {
        step.run().map_err(|error| if index == last { service.start_failure(error) } else { error })?;
    }
    out.line(format_args!("{done}started{done:#}: it runs {}", service.lifetime()))?;
    out.line(format_args!(
        "its state: `cc-relay service status{}`; its log: `{}`",
        service.flag(),
        service.log()
    ))?;
    Ok(())
}

/// Returns the command line of the service: this program, and the configuration that `serve` would use here.
fn invocation(scope: Scope, settings: &Settings) -> Result<Invocation, ServiceError> {
    let program = environment::program()?;
    environment::check_place(&program, scope, "install the program in /usr/local/bin")?;
    let config = match (scope, &settings.config) {
        (Scope::System, None) => {
            let path = Path::new(SYSTEM_CONFIG);
            Some(path.is_file().then(|| path.to_owned()).ok_or(ServiceError::NoConfig)?)
        }
        _ => settings::file(settings)?,
    };
    let config =
        config.map(|path| std::path::absolute(&path).map_err(|source| ServiceError::Read { path, source }));
    let config = config.transpose()?;
    if let Some(config) = &config {
        environment::check_place(config, scope, "keep the configuration in /etc/cc-relay")?;
    }
    Ok(Invocation { program, config })
}

/// Names the variables of the configuration that the service does not have.
fn warn_about_variables(service: &Service, invocation: &Invocation) -> std::io::Result<()> {
    let mut err = Output::stderr();
    let Some(config) = &invocation.config else {
        return err.warning(
            "there is no configuration file: the relay uses the providers in the environment of the service, which has no \
             variables of this shell; `cc-relay config init` writes a file",
        );
    };
    let Some(document) = document(config) else { return Ok(()) };
    let environment = service.environment_file();
    let set = environment.as_ref().and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
    let missing = environment::missing(&document, &set);
    if missing.is_empty() {
        return Ok(());
    }
    let (names, config) = (missing.join(", "), config.display());
    match environment {
        Some(file) => err.warning(format_args!(
            "{config} needs {names}: a service has no variables of this shell; write lines like {}=value into {}, chmod 600",
            missing[0],
            file.display()
        )),
        None => err.warning(format_args!(
            "{config} needs {names}: a service of launchd has no variables of this shell; write the values into the file, \
             chmod 600"
        )),
    }
}

/// Reads a configuration. `None` if it cannot be read: the start of the service reports the reason.
fn document(config: &Path) -> Option<Document> {
    let text = std::fs::read_to_string(config).ok()?;
    Document::read(config.display().to_string(), Format::of(config)?, &text).ok()
}

fn uninstall(service: &Service, dry_run: bool, out: &mut Output) -> Result<(), ServiceError> {
    let path = &service.path;
    match file::read(path)? {
        Existing::Absent => {
            return Ok(out.line(format_args!("not installed: there is no {}", path.display()))?);
        }
        Existing::Foreign => return Err(ServiceError::NotOurs { path: path.clone() }),
        Existing::Ours(_) => {}
    }
    let (before, after) = service.stop()?;
    if dry_run {
        before.iter().try_for_each(|step| out.line(format_args!("# would run {step}")))?;
        out.line(format_args!("# would remove {}", path.display()))?;
        after.iter().try_for_each(|step| out.line(format_args!("# would run {step}")))?;
        return Ok(());
    }
    for step in before {
        step.run()?;
    }
    file::remove(path)?;
    for step in after {
        step.run()?;
    }
    let done = out.style(AnsiColor::Green);
    out.line(format_args!("{done}removed{done:#} {}", path.display()))?;
    Ok(())
}

/// Prints the state of the service and of its relay. The exit code is 0 if the service runs and the relay can serve requests.
fn show(
    service: &Service,
    settings: &Settings,
    url: Option<String>,
    out: &mut Output,
) -> Result<ExitCode, ServiceError> {
    let path = service.path.display();
    let existing = file::read(&service.path)?;
    let installed = match &existing {
        Existing::Absent => format!("not installed: there is no {path}"),
        Existing::Ours(_) => path.to_string(),
        Existing::Foreign => format!("{path}, not written by `cc-relay service install`"),
    };
    out.line(format_args!("file     {installed}"))?;
    let state = service.state();
    match &state {
        Ok(state) => out.line(format_args!("service  {}", state.description))?,
        Err(error) => out.line(format_args!("service  unknown: {error}"))?,
    }
    let config = match &existing {
        Existing::Ours(text) => service.config_of(text),
        _ => None,
    };
    let settings = Settings { config: settings.config.clone().or(config), ..settings.clone() };
    let relay = status::summary(url, &settings);
    match &relay {
        Ok((summary, _)) => out.line(format_args!("relay    {summary}"))?,
        Err(error) => out.line(format_args!("relay    {error}"))?,
    }
    let is_well = state.is_ok_and(|state| state.is_running) && relay.is_ok_and(|(_, is_ready)| is_ready);
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
