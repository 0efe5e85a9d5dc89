//! The errors of `cc-relay service`.

use std::io;
use std::path::PathBuf;

use relay_config::FindError;

/// The failure of a `service` command.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServiceError {
    #[error(
        "this system has neither systemd nor launchd; start `cc-relay serve` with its own service manager"
    )]
    Unsupported,
    #[error(
        "{program} is not in PATH: this system does not run {manager}; start `cc-relay serve` with its own service \
         manager, or see the file with `cc-relay service install --dry-run`"
    )]
    NoManager { program: &'static str, manager: &'static str },
    #[error("`{command}` failed{}", reason(message))]
    Command { command: String, message: String },
    #[error(
        "`{command}` failed{}; systemd runs for users with a login session: log in as the user instead of `su` or \
         `sudo`, or run `loginctl enable-linger`",
        reason(message)
    )]
    NoSession { command: String, message: String },
    #[error("`{command}` failed{}; the log has the reason: {log}", reason(message))]
    Start { command: String, message: String, log: &'static str },
    #[error("cannot run {program}")]
    Spawn {
        program: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("neither $XDG_CONFIG_HOME nor $HOME is set to an absolute path")]
    NoHome,
    #[error("cannot find the path of this program")]
    Program(#[source] io::Error),
    #[error("{}: the service of the machine cannot use a file in a home directory; {advice}", path.display())]
    InHome { path: PathBuf, advice: &'static str },
    #[error("{}: a service file cannot contain this path", path.display())]
    Path { path: PathBuf },
    #[error(transparent)]
    Find(#[from] FindError),
    #[error(
        "there is no configuration /etc/cc-relay/config.yaml for the service of the machine; write one with \
         `cc-relay config init --path /etc/cc-relay/config.yaml`, or name another with --config"
    )]
    NoConfig,
    #[error("{} was not written by `cc-relay service install`; --force replaces it", path.display())]
    Foreign { path: PathBuf },
    #[error("{} was not written by `cc-relay service install`; it is not removed", path.display())]
    NotOurs { path: PathBuf },
    #[error("{}: cannot read the file", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{}: cannot write the file{}", path.display(), privileges(source))]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{}: cannot remove the file{}", path.display(), privileges(source))]
    Remove {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Output(#[from] io::Error),
}

/// The output of a failed command, as the end of a sentence.
fn reason(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

fn privileges(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "; the service of the machine needs root (sudo)",
        _ => "",
    }
}
