//! The flags that a command uses. A flag that a command would ignore is refused.

use clap::CommandFactory;
use clap::error::{Error, ErrorKind};

use crate::claude_settings::CcCommand;
use crate::cli::{Cli, Command, ConfigCommand, Settings};
use crate::service::arguments::ServiceCommand;

const CONFIG: &str = "--config";
const LOG_LEVEL: &str = "--log-level";
const LOG_FORMAT: &str = "--log-format";
const DEBUG: &str = "--debug";
const DEMO: &str = "--demo";
const LISTEN: &str = "--listen";

/// Flags of commands that use the whole configuration.
const ALL: &[&str] = &[CONFIG, LOG_LEVEL, LOG_FORMAT, DEBUG, DEMO, LISTEN];
/// Flags of commands that look for a relay, or for the files of one.
const RELAY: &[&str] = &[CONFIG, DEMO, LISTEN];
/// Flags of commands that look for the admin API of a relay.
const ADMIN: &[&str] = &[CONFIG, DEMO];

/// Returns the error of a flag that has no effect on the command.
pub(crate) fn refusal(cli: &Cli) -> Option<Error> {
    let (name, used) = cli.command.as_ref().map_or(("serve", ALL), uses);
    let flag = given(&cli.settings).find(|flag| !used.contains(flag))?;
    let message = format!("{flag} has no effect on `cc-relay {name}`; remove it");
    Some(Cli::command().error(ErrorKind::ArgumentConflict, message))
}

/// Returns the name of a command, and the flags that it uses.
fn uses(command: &Command) -> (&'static str, &'static [&'static str]) {
    match command {
        Command::Serve => ("serve", ALL),
        Command::Run(_) => ("run", ALL),
        Command::Status(_) => ("status", RELAY),
        #[cfg(feature = "top")]
        Command::Top(_) => ("top", ADMIN),
        Command::Explain(_) => ("explain", RELAY),
        #[cfg(feature = "ledger")]
        Command::Usage(_) => ("usage", &[CONFIG, DEMO]),
        Command::Doctor(_) => ("doctor", RELAY),
        Command::Reload(_) => ("reload", ADMIN),
        Command::Service(ServiceCommand::Install { .. }) => ("service install", &[CONFIG]),
        Command::Service(ServiceCommand::Uninstall { .. }) => ("service uninstall", &[]),
        Command::Service(ServiceCommand::Status { .. }) => ("service status", &[CONFIG]),
        Command::Config(ConfigCommand::Init(_)) => ("config init", &[CONFIG]),
        Command::Config(ConfigCommand::Import(_)) => ("config import", &[]),
        Command::Config(ConfigCommand::Validate { .. }) => ("config validate", ALL),
        Command::Config(ConfigCommand::Show) => ("config show", ALL),
        Command::Config(ConfigCommand::Schema) => ("config schema", &[]),
        Command::Config(ConfigCommand::Cc(CcCommand::Init(_))) => ("config cc init", RELAY),
        Command::Config(ConfigCommand::Cc(CcCommand::Remove(_))) => ("config cc remove", &[]),
        Command::Config(ConfigCommand::Cc(CcCommand::Status(_))) => ("config cc status", &[]),
        Command::Completions { .. } => ("completions", &[]),
        Command::Man(_) => ("man", &[]),
        Command::Version => ("version", &[]),
    }
}

/// Returns the flags on the command line.
fn given(settings: &Settings) -> impl Iterator<Item = &'static str> {
    [
        (CONFIG, settings.config.is_some()),
        (LOG_LEVEL, settings.log_level.is_some()),
        (LOG_FORMAT, settings.log_format.is_some()),
        (DEBUG, settings.debug),
        (DEMO, settings.demo),
        (LISTEN, !settings.listen.is_empty()),
    ]
    .into_iter()
    .filter_map(|(flag, is_given)| is_given.then_some(flag))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    /// Every command with its required arguments, and the global flags that it uses.
    const COMMANDS: &[(&str, &[&str])] = &[
        ("", ALL),
        ("serve", ALL),
        ("run -- claude", ALL),
        ("status", RELAY),
        #[cfg(feature = "top")]
        ("top", ADMIN),
        ("explain body.json", RELAY),
        #[cfg(feature = "ledger")]
        ("usage", &[CONFIG, DEMO]),
        ("doctor", RELAY),
        ("reload", ADMIN),
        ("service install", &[CONFIG]),
        ("service uninstall", &[]),
        ("service status", &[CONFIG]),
        ("config init", &[CONFIG]),
        ("config import file", &[]),
        ("config validate", ALL),
        ("config show", ALL),
        ("config schema", &[]),
        ("config cc init", RELAY),
        ("config cc remove", &[]),
        ("config cc status", &[]),
        ("completions bash", &[]),
        ("man", &[]),
        ("version", &[]),
    ];

    /// Every global flag with a value.
    const FLAGS: [(&str, &[&str]); 6] = [
        (CONFIG, &["a.yaml"]),
        (LOG_LEVEL, &["debug"]),
        (LOG_FORMAT, &["json"]),
        (DEBUG, &[]),
        (DEMO, &[]),
        (LISTEN, &["a:1"]),
    ];

    /// Returns the names of all commands that have no commands of their own.
    fn leaves(command: &clap::Command, path: &str) -> Vec<String> {
        let below =
            command.get_subcommands().map(|inner| leaves(inner, &format!("{path} {}", inner.get_name())));
        let below: Vec<_> = below.flatten().collect();
        if below.is_empty() { vec![path.trim().to_owned()] } else { below }
    }

    #[test]
    fn a_flag_without_an_effect_is_refused_with_its_command() {
        for (command, used) in COMMANDS {
            for (flag, value) in FLAGS {
                let words = command.split(' ').filter(|word| !word.is_empty());
                let line: Vec<&str> =
                    ["cc-relay", flag].into_iter().chain(value.iter().copied()).chain(words).collect();
                let cli = Cli::try_parse_from(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
                let found = refusal(&cli).map(|error| error.to_string());
                match used.contains(&flag) {
                    true => assert_eq!(found, None, "{line:?}"),
                    false => {
                        let part = format!("{flag} has no effect on `cc-relay ");
                        assert!(
                            found.as_ref().is_some_and(|found| found.contains(&part)),
                            "{line:?}: {found:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn the_table_has_every_command() {
        for leaf in leaves(&Cli::command(), "") {
            let is_listed = COMMANDS.iter().any(|(command, _)| {
                command
                    .strip_prefix(leaf.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
            });
            assert!(is_listed, "{leaf} is not in the table");
        }
    }
}
