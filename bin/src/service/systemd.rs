//! The service of systemd: its unit file and the calls of `systemctl`.

use std::path::{Path, PathBuf};

use super::error::ServiceError;
use super::file::MARK;
use super::scope::{Invocation, Scope, State};
use super::step::Step;

const UNIT: &str = "cc-relay.service";

const USER: &str = include_str!("templates/user.service");
const SYSTEM: &str = include_str!("templates/system.service");

/// The setting of a unit with the command line.
const START: &str = "ExecStart=";

/// The path of the unit file. `home` is the directory of the user's configurations.
pub(super) fn path(scope: Scope, home: Option<PathBuf>) -> Option<PathBuf> {
    match scope {
        Scope::User => Some(home?.join("systemd/user").join(UNIT)),
        Scope::System => Some(Path::new("/etc/systemd/system").join(UNIT)),
    }
}

/// Returns the unit that starts the relay.
pub(super) fn unit(scope: Scope, invocation: &Invocation) -> Result<String, ServiceError> {
    let mut start = format!("{START}{} serve", quoted(&invocation.program)?);
    if let Some(config) = &invocation.config {
        start.push_str(&format!(" --config {}", quoted(config)?));
    }
    let template = match scope {
        Scope::User => USER,
        Scope::System => SYSTEM,
    };
    let lines = template.lines().map(|line| if line.starts_with(START) { &start } else { line });
    Ok(format!("# {MARK}\n{}\n", lines.collect::<Vec<_>>().join("\n")))
}

/// Quotes an argument of `ExecStart`. systemd.service(5), "COMMAND LINES".
fn quoted(path: &Path) -> Result<String, ServiceError> {
    let invalid = || ServiceError::Path { path: path.to_owned() };
    let text = path.to_str().filter(|text| !text.contains(char::is_control)).ok_or_else(invalid)?;
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '%' | '$' => quoted.extend([character, character]),
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    Ok(quoted)
}

/// Returns the configuration that a unit of [`unit()`] names.
pub(super) fn config_of(unit: &str) -> Option<PathBuf> {
    let start = unit.lines().find(|line| line.starts_with(START))?;
    let (_, quoted) = start.split_once("\" serve --config \"")?;
    let mut text = String::new();
    let mut characters = quoted.strip_suffix('"')?.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' | '%' | '$' => text.push(characters.next()?),
            _ => text.push(character),
        }
    }
    Some(text.into())
}

/// A call that succeeds if the service manager of the scope can be reached.
pub(super) fn probe(scope: Scope) -> Step {
    systemctl(scope, &["show", "--property=Version"])
}

/// The calls after the unit was written. `is_changed` is true if it replaced another text.
pub(super) fn start(scope: Scope, is_changed: bool) -> Vec<Step> {
    let mut steps = vec![systemctl(scope, &["daemon-reload"])];
    if is_changed {
        steps.push(systemctl(scope, &["try-restart", UNIT]));
    }
    steps.push(systemctl(scope, &["enable", "--now", UNIT]));
    steps
}

/// The calls before the unit is removed, and the calls after it.
pub(super) fn stop(scope: Scope) -> (Vec<Step>, Vec<Step>) {
    let stop = systemctl(scope, &["disable", "--now", UNIT]);
    (vec![stop], vec![systemctl(scope, &["daemon-reload"])])
}

/// The command that shows the log of the service.
pub(super) fn log(scope: Scope) -> &'static str {
    match scope {
        Scope::User => "journalctl --user -u cc-relay",
        Scope::System => "journalctl -u cc-relay",
    }
}

/// Reads the state of the service.
pub(super) fn state(scope: Scope) -> Result<State, ServiceError> {
    let properties = "--property=LoadState,UnitFileState,ActiveState,SubState,MainPID,Result";
    Ok(parse_state(&systemctl(scope, &["show", UNIT, properties]).run()?))
}

fn parse_state(properties: &str) -> State {
    let value = |name: &str| {
        let of_line = |line: &'_ str| {
            Some(line.split_once('=')?).filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
        };
        properties.lines().find_map(of_line).filter(|value| !value.is_empty())
    };
    let active = value("ActiveState").unwrap_or_else(|| "unknown".to_owned());
    let mut description = active.clone();
    if let Some(sub) = value("SubState") {
        description.push_str(&format!(" ({sub})"));
    }
    description.extend(value("UnitFileState").map(|state| format!(", {state}")));
    description.extend(value("MainPID").filter(|pid| pid != "0").map(|pid| format!(", pid {pid}")));
    description.extend(
        value("Result").filter(|result| result != "success").map(|result| format!(", result {result}")),
    );
    State { is_running: active == "active" || active == "reloading", description }
}

fn systemctl(scope: Scope, arguments: &[&str]) -> Step {
    let scope: &[&str] = match scope {
        Scope::User => &["--user"],
        Scope::System => &[],
    };
    Step::new("systemctl", &[scope, arguments].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_starts_this_program_with_its_configuration() {
        let config = "/etc/cc-relay/config.yaml".into();
        let invocation = Invocation { program: "/opt/cc relay/cc-relay".into(), config: Some(config) };
        let unit = unit(Scope::System, &invocation).unwrap();
        let starts: Vec<_> = unit.lines().filter(|line| line.starts_with(START)).collect();
        assert_eq!(
            starts,
            [r#"ExecStart="/opt/cc relay/cc-relay" serve --config "/etc/cc-relay/config.yaml""#]
        );
        assert!(unit.contains("DynamicUser=yes"), "{unit}");
        assert_eq!(config_of(&unit), invocation.config);
    }

    #[test]
    fn a_path_is_quoted_for_systemd_and_read_back() {
        for path in ["/a b/c", r#"/100%/$HOME/"x"\y"#, "/ä/é"] {
            let invocation = Invocation { program: "/bin/cc-relay".into(), config: Some(path.into()) };
            let unit = unit(Scope::User, &invocation).unwrap();
            assert_eq!(config_of(&unit), Some(path.into()), "{unit}");
        }
        assert_eq!(quoted(Path::new(r#"/1%/$A/"\"#)).unwrap(), r#""/1%%/$$A/\"\\""#);
        assert!(matches!(quoted(Path::new("/a\nb")), Err(ServiceError::Path { .. })));
    }

    #[test]
    fn a_unit_without_a_configuration_has_none() {
        let unit = unit(Scope::User, &Invocation { program: "/bin/cc-relay".into(), config: None }).unwrap();
        assert!(unit.contains("ExecStart=\"/bin/cc-relay\" serve\n"), "{unit}");
        assert_eq!(config_of(&unit), None);
    }

    #[test]
    fn each_template_has_one_command_line() {
        for template in [USER, SYSTEM] {
            assert_eq!(template.lines().filter(|line| line.starts_with(START)).count(), 1, "{template}");
        }
    }

    #[test]
    fn the_state_of_a_unit_is_one_line() {
        let running = "Result=success\nMainPID=42\nLoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\n";
        let state = parse_state(running);
        assert_eq!(
            (state.description.as_str(), state.is_running),
            ("active (running), enabled, pid 42", true)
        );
        let failed = "Result=exit-code\nMainPID=0\nActiveState=failed\nSubState=failed\nUnitFileState=\n";
        let state = parse_state(failed);
        assert_eq!(
            (state.description.as_str(), state.is_running),
            ("failed (failed), result exit-code", false)
        );
        assert_eq!(parse_state("").description, "unknown");
    }
}
