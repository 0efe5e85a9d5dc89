//! The command in the foreground: it has the terminal of this process and gets its signals.
//!
//! Ctrl-C, Ctrl-\ and Ctrl-Z of a terminal reach the command by themselves, since it is in the same process group. Signals that
//! were sent to this process alone are handed on.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus};

use super::error::RunError;
use super::signals::Signals;
use super::variables::Variables;
use crate::output::Output;
use crate::serve::ServeError;

/// The program of this process on Linux, also after its file has been replaced.
const OWN_PROGRAM: &str = "/proc/self/exe";
/// The exit codes of a shell for a command that is not found, and for one that cannot be executed.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;
/// The exit code for a signal is this number plus that of the signal.
const SIGNALLED: i32 = 128;

/// Starts the command. Returns its exit code if it cannot be started.
fn start(command: &[OsString], variables: &Variables) -> Result<Child, ExitCode> {
    let mut process = process(command);
    for name in &variables.removed {
        process.env_remove(name);
    }
    process.envs(&variables.set);
    process.spawn().map_err(|error| report(command, &error))
}

/// The process of the command. On Linux, this program starts once more and becomes the command: only a process itself can demand
/// to end together with its parent.
fn process(command: &[OsString]) -> Command {
    if cfg!(target_os = "linux") && Path::new(OWN_PROGRAM).exists() {
        let mut process = Command::new(OWN_PROGRAM);
        let parent = std::process::id().to_string();
        process.args(["run", "--child-of", &parent, "--"]).args(command);
        return process;
    }
    let mut process = Command::new(command.first().map(OsString::as_os_str).unwrap_or_default());
    process.args(command.iter().skip(1));
    process
}

/// Becomes the command. It gets SIGTERM when the process `parent` ends, however that ends.
#[cfg(unix)]
pub(super) fn become_command(command: &[OsString], parent: i32) -> ExitCode {
    use std::os::unix::process::CommandExt;

    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
        // Without it, the command only lives longer than a parent that is killed.
        let _ = set_parent_process_death_signal(Some(Signal::TERM));
        if getppid() != Pid::from_raw(parent) {
            // The parent has ended before.
            return ExitCode::FAILURE;
        }
    }
    let _ = parent;
    let Some((program, arguments)) = command.split_first() else { return ExitCode::FAILURE };
    let error = Command::new(program).args(arguments).exec();
    report(command, &error)
}

#[cfg(not(unix))]
pub(super) fn become_command(_: &[OsString], _: i32) -> ExitCode {
    ExitCode::FAILURE
}

/// Reports that the command cannot be started, and returns the exit code of a shell for it.
fn report(command: &[OsString], error: &io::Error) -> ExitCode {
    let name = command.first().map(|name| name.display().to_string()).unwrap_or_default();
    let is_found = error.kind() != io::ErrorKind::NotFound;
    let text = match is_found {
        true => format!("{name}: cannot be executed: {error}"),
        false if name == "claude" => {
            "claude: command not found; install Claude Code (https://code.claude.com), or name the program by its path: an \
             alias of the shell is not known here"
                .to_owned()
        }
        false => format!("{name}: command not found; check its name, or name the program by its path"),
    };
    // If the error cannot be written, the exit code still reports it.
    let _ = Output::stderr().failure(&io::Error::other(text));
    ExitCode::from(if is_found { NOT_EXECUTABLE } else { NOT_FOUND })
}

/// Returns the exit code of a shell for a command that has ended so.
fn exit_code(status: ExitStatus) -> ExitCode {
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    let signal = None;
    let code = status.code().or_else(|| signal.map(|signal: i32| SIGNALLED + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code & 0xff).ok()).unwrap_or(u8::MAX))
}

/// Runs the command in the foreground until it ends, and returns its exit code.
pub(super) async fn run(command: &[OsString], variables: &Variables) -> Result<ExitCode, RunError> {
    // Before the command, which may end this process by a signal as soon as it runs.
    let signals = Signals::new().map_err(ServeError::Signals)?;
    match start(command, variables) {
        Ok(child) => signals.until_ended(child).await.map(exit_code).map_err(RunError::Wait),
        Err(code) => Ok(code),
    }
}
