//! The service of launchd: its property list and the calls of `launchctl`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::ServiceError;
use super::file::MARK;
use super::scope::{Invocation, Scope, State};
use super::step::Step;

const LABEL: &str = "cc-relay";

const AGENT: &str = include_str!("templates/agent.plist");
const DAEMON: &str = include_str!("templates/daemon.plist");

const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
/// The command line in the templates.
const ARGUMENTS: &str = "\t\t<string>/usr/local/bin/cc-relay</string>\n\t\t<string>serve</string>\n";
/// The log in the template of the agent.
const AGENT_LOG: &str = "/tmp/cc-relay.log";
const FLAG: &str = "\t\t<string>--config</string>\n\t\t<string>";

/// The time for the end of a service that is replaced: more than the time in which the relay drains by default.
const PATIENCE: Duration = Duration::from_secs(45);

/// The path of the property list. `home` is the user's home directory.
pub(super) fn path(scope: Scope, home: Option<PathBuf>) -> Option<PathBuf> {
    match scope {
        Scope::User => Some(home?.join("Library/LaunchAgents/cc-relay.plist")),
        Scope::System => Some("/Library/LaunchDaemons/cc-relay.plist".into()),
    }
}

/// Returns the property list that starts the relay. The log of a user's service is in `home`.
pub(super) fn plist(
    scope: Scope,
    invocation: &Invocation,
    home: Option<&Path>,
) -> Result<String, ServiceError> {
    let mut arguments =
        format!("\t\t<string>{}</string>\n\t\t<string>serve</string>\n", escaped(&invocation.program)?);
    if let Some(config) = &invocation.config {
        arguments.push_str(&format!("{FLAG}{}</string>\n", escaped(config)?));
    }
    let template = match scope {
        Scope::User => {
            let log = home.ok_or(ServiceError::NoHome)?.join("Library/Logs/cc-relay.log");
            AGENT.replace(AGENT_LOG, &escaped(&log)?)
        }
        Scope::System => DAEMON.to_owned(),
    };
    let marked = template.replacen(DECLARATION, &format!("{DECLARATION}<!-- {MARK} -->\n"), 1);
    Ok(marked.replacen(ARGUMENTS, &arguments, 1))
}

fn escaped(path: &Path) -> Result<String, ServiceError> {
    let invalid = || ServiceError::Path { path: path.to_owned() };
    let text = path.to_str().filter(|text| !text.contains(char::is_control)).ok_or_else(invalid)?;
    Ok(text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"))
}

/// Returns the configuration that a property list of [`plist`] names.
pub(super) fn config_of(plist: &str) -> Option<PathBuf> {
    let (_, rest) = plist.split_once(FLAG)?;
    let (text, _) = rest.split_once("</string>")?;
    Some(text.replace("&gt;", ">").replace("&lt;", "<").replace("&amp;", "&").into())
}

/// The domain of the services: that of the machine, or that of the user with this id.
pub(super) fn domain(scope: Scope, user: &str) -> String {
    match scope {
        Scope::User => format!("gui/{}", user.trim()),
        Scope::System => "system".to_owned(),
    }
}

/// A call that prints the id of the user.
pub(super) fn user() -> Step {
    Step::new("id", &["-u"])
}

/// The calls after the property list was written. `is_changed` is true if it replaced another text.
pub(super) fn start(domain: &str, path: &Path, is_changed: bool) -> Vec<Step> {
    let service = format!("{domain}/{LABEL}");
    let path = path.display().to_string();
    let mut steps = Vec::new();
    if is_changed {
        steps.push(Step::new("launchctl", &["bootout", &service]).optional());
    }
    steps.push(Step::new("launchctl", &["enable", &service]));
    let bootstrap = Step::new("launchctl", &["bootstrap", domain, &path]);
    // A service that is loaded already cannot be loaded again. Then it is only started. One that was just unloaded can be
    // loaded once its process has ended.
    steps.push(if is_changed { bootstrap.repeated_for(PATIENCE) } else { bootstrap.optional() });
    steps.push(Step::new("launchctl", &["kickstart", &service]));
    steps
}

/// The calls before the property list is removed, and the calls after it.
pub(super) fn stop(domain: &str) -> (Vec<Step>, Vec<Step>) {
    (vec![Step::new("launchctl", &["bootout", &format!("{domain}/{LABEL}")]).optional()], Vec::new())
}

/// The command that shows the log of the service.
pub(super) fn log(scope: Scope) -> &'static str {
    match scope {
        Scope::User => "tail -f ~/Library/Logs/cc-relay.log",
        Scope::System => "tail -f /Library/Logs/cc-relay.log",
    }
}

/// Reads the state of the service.
pub(super) fn state(domain: &str) -> Result<State, ServiceError> {
    let printed = Step::new("launchctl", &["print", &format!("{domain}/{LABEL}")]).optional().run()?;
    Ok(parse_state(&printed))
}

/// Reads the output of `launchctl print`. Its lines `state = running` and `pid = 42` belong to the service if they are
/// indented once.
fn parse_state(printed: &str) -> State {
    let value = |name: &str| {
        printed.lines().find_map(|line| line.strip_prefix('\t')?.strip_prefix(name)?.strip_prefix(" = "))
    };
    let Some(state) = value("state") else {
        return State { is_running: false, description: "not loaded".to_owned() };
    };
    let pid = value("pid").map(|pid| format!(", pid {pid}")).unwrap_or_default();
    let exit = value("last exit code").filter(|_| pid.is_empty());
    let exit = exit.map(|code| format!(", last exit code {code}")).unwrap_or_default();
    State { is_running: state == "running", description: format!("{state}{pid}{exit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_list_starts_this_program_with_its_configuration() {
        let invocation = Invocation {
            program: "/opt/homebrew/bin/cc-relay".into(),
            config: Some("/a <b> & c/x.yaml".into()),
        };
        let plist = plist(Scope::User, &invocation, Some(Path::new("/Users/ada"))).unwrap();
        let arguments = "<array>\n\t\t<string>/opt/homebrew/bin/cc-relay</string>\n\t\t<string>serve</string>\n\
                         \t\t<string>--config</string>\n\t\t<string>/a &lt;b&gt; &amp; c/x.yaml</string>\n\t</array>";
        assert!(plist.contains(arguments), "{plist}");
        assert_eq!(
            plist.matches("<string>/Users/ada/Library/Logs/cc-relay.log</string>").count(),
            2,
            "{plist}"
        );
        assert!(plist.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- Written by"), "{plist}");
        assert_eq!(config_of(&plist), invocation.config);
    }

    #[test]
    fn a_daemon_has_its_own_user_and_log() {
        let plist =
            plist(Scope::System, &Invocation { program: "/bin/r".into(), config: None }, None).unwrap();
        assert!(plist.contains("<string>/bin/r</string>"), "{plist}");
        assert!(plist.contains("<key>UserName</key>"), "{plist}");
        assert_eq!(config_of(&plist), None);
    }

    #[test]
    fn each_template_has_the_parts_that_are_replaced() {
        for template in [AGENT, DAEMON] {
            assert!(template.starts_with(DECLARATION), "{template}");
            assert_eq!(template.matches(ARGUMENTS).count(), 1, "{template}");
        }
        assert_eq!(AGENT.matches(AGENT_LOG).count(), 2);
    }

    #[test]
    fn a_changed_service_is_unloaded_before_it_is_loaded() {
        let lines = |is_changed| {
            let steps = start("gui/501", Path::new("/p"), is_changed);
            steps.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let changed = [
            "launchctl bootout gui/501/cc-relay",
            "launchctl enable gui/501/cc-relay",
            "launchctl bootstrap gui/501 /p",
            "launchctl kickstart gui/501/cc-relay",
        ];
        assert_eq!(lines(true), changed);
        assert_eq!(lines(false), changed[1..]);
        assert_eq!(domain(Scope::User, "501\n"), "gui/501");
        assert_eq!(domain(Scope::System, "0\n"), "system");
    }

    #[test]
    fn the_state_of_a_job_is_one_line() {
        let running = "gui/501/cc-relay = {\n\tactive count = 1\n\tstate = running\n\n\tpid = 42\n\tspawn = {\n\t\tstate = no\n\t}\n}\n";
        let state = parse_state(running);
        assert_eq!((state.description.as_str(), state.is_running), ("running, pid 42", true));
        let ended = "gui/501/cc-relay = {\n\tstate = not running\n\tlast exit code = 1\n}\n";
        let state = parse_state(ended);
        assert_eq!((state.description.as_str(), state.is_running), ("not running, last exit code 1", false));
        assert_eq!(parse_state("").description, "not loaded");
    }
}
