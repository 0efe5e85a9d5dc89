//! The flags that a command uses. A flag that a command would ignore is refused.

use clap::CommandFactory;
use clap::error::{Error, ErrorKind};

use crate::cli::{Cli, Command, ConfigCommand, Settings};

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
        Command::Top(_) => ("top", RELAY),
        Command::Explain(_) => ("explain", RELAY),
        #[cfg(feature = "ledger")]
        Command::Usage(_) => ("usage", &[CONFIG, DEMO]),
        Command::Doctor(_) => ("doctor", RELAY),
        Command::Reload(_) => ("reload", RELAY),
        Command::Service(_) => ("service", &[CONFIG]),
        Command::Config(ConfigCommand::Init(_)) => ("config init", &[CONFIG]),
        Command::Config(ConfigCommand::Import(_)) => ("config import", &[]),
        Command::Config(ConfigCommand::Validate { .. }) => ("config validate", ALL),
        Command::Config(ConfigCommand::Show) => ("config show", ALL),
        Command::Config(ConfigCommand::Schema) => ("config schema", &[]),
        Command::Config(ConfigCommand::Cc(_)) => ("config cc", RELAY),
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

    #[test]
    fn a_flag_without_an_effect_is_refused_with_its_command() {
        for (line, refused) in [
            ("cc-relay --debug --demo", None),
            ("cc-relay serve --log-level debug --listen a:1", None),
            ("cc-relay status --listen a:1", None),
            ("cc-relay config init --config x.yaml", None),
            ("cc-relay config show --debug", None),
            ("cc-relay --demo version", Some("--demo has no effect on `cc-relay version`")),
            (
                "cc-relay completions bash --config x",
                Some("--config has no effect on `cc-relay completions`"),
            ),
            (
                "cc-relay config schema --listen a:1",
                Some("--listen has no effect on `cc-relay config schema`"),
            ),
            ("cc-relay config init --demo", Some("--demo has no effect on `cc-relay config init`")),
            ("cc-relay status --log-format json", Some("--log-format has no effect on `cc-relay status`")),
        ] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            let found = refusal(&cli).map(|error| error.to_string());
            match refused {
                None => assert_eq!(found, None, "{line}"),
                Some(part) => {
                    assert!(found.as_ref().is_some_and(|found| found.contains(part)), "{line}: {found:?}");
                }
            }
        }
    }
}
