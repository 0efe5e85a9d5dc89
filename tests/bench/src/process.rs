//! Child processes, and the CPUs on which they run.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::Result;

/// A running process. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pid: u32,
}

impl Process {
    /// Starts `command`.
    /// # Errors
    /// If the program cannot be executed.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let child =
            command.spawn().map_err(|error| format!("{:?}: {error}", command.as_std().get_program()))?;
        let pid = child.id().ok_or("a process has ended at its start")?;
        Ok(Self { child, pid })
    }

    /// Returns the id of the process.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Returns the piped standard output, the first time.
    pub(crate) fn take_output(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Asks the process to end, by a signal such as `-TERM`, and waits for it.
    /// # Errors
    /// If it does not end within `limit`.
    pub(crate) async fn end(mut self, signal: &str, limit: Duration) -> Result<ExitStatus> {
        output_of(Path::new("kill"), &[signal, &self.pid.to_string()]).ok_or("`kill` is not installed")?;
        Ok(timeout(limit, self.child.wait()).await.map_err(|_| "it does not end")??)
    }

    /// Returns `true` if the process has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }
}

/// Returns a command without the environment of this process, except the search path, and without input and output.
/// Proxies and credentials in the environment must not change the measurement.
pub(crate) fn isolated(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", env::var_os("PATH").unwrap_or_default()).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Returns a command for this program itself.
/// # Errors
/// If the path of this program is unknown.
pub(crate) fn own_program() -> Result<Command> {
    Ok(isolated(&env::current_exe()?))
}

/// Returns the path of an installed program. Directories for administrators are searched too.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    directories.map(|directory| directory.join(name)).find(|program| program.is_file())
}

/// Raises this process's limit of open files to the hard limit, which the processes that it starts inherit.
pub(crate) fn raise_file_limit() {
    let hard = output_of(Path::new("sh"), &["-c", "ulimit -H -n"]).unwrap_or_default();
    if let Some(prlimit) = find("prlimit") {
        let limit = format!("--nofile={0}:{0}", hard.trim());
        // Without it, the run has fewer streams.
        let _ = output_of(&prlimit, &["--pid", &std::process::id().to_string(), &limit]);
    }
}

/// Returns the output of a program, standard error included, or `None` if it cannot be executed.
pub(crate) fn output_of(program: &Path, arguments: &[&str]) -> Option<String> {
    let output = std::process::Command::new(program).args(arguments).output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    Some(String::from_utf8_lossy(&text).into_owned())
}

/// The CPUs of client and upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    /// The CPU of the proxy, for the length of the path of one request.
    BesideTheProxy,
    /// The other CPUs.
    Load,
    /// Every CPU, which a program inherits that is started without a placement.
    Any,
}

/// The placement of processes: the proxy alone on the first CPU, everything else on the others.
///
/// On a machine with few CPUs, the scheduler otherwise places proxy and client together in some rounds and apart in
/// others, which doubles the time of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placement {
    cpus: usize,
}

impl Placement {
    /// Leaves every process to the scheduler.
    pub(crate) fn inactive() -> Self {
        Self { cpus: 1 }
    }

    /// Determines the placement. Processes are not placed if there is one CPU, or no `taskset`.
    pub(crate) fn of_this_machine() -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        Self { cpus: if find("taskset").is_some() { cpus } else { 1 } }
    }

    /// Returns `true` if processes are placed.
    pub(crate) fn is_active(self) -> bool {
        self.cpus > 1
    }

    /// Returns a command that runs a proxy on its CPU. The process keeps its id when `taskset` executes the program.
    pub(crate) fn proxy(self, program: &Path) -> Command {
        match find("taskset") {
            Some(taskset) if self.is_active() => {
                let mut command = isolated(&taskset);
                command.args(["-c", "0"]).arg(program);
                command
            }
            _ => isolated(program),
        }
    }

    /// Moves a process to the CPUs of this share.
    pub(crate) fn place(self, pid: u32, share: Share) {
        let last = self.cpus.saturating_sub(1);
        match share {
            Share::BesideTheProxy => self.move_to(pid, "0"),
            Share::Load => self.move_to(pid, &format!("1-{last}")),
            Share::Any => self.move_to(pid, &format!("0-{last}")),
        }
    }

    /// Moves all threads of a process. A failure leaves the process on its CPUs, which makes the numbers noisier, not
    /// wrong.
    fn move_to(self, pid: u32, cpus: &str) {
        if let (true, Some(taskset)) = (self.is_active(), find("taskset")) {
            let _ = output_of(&taskset, &["-a", "-c", "-p", cpus, &pid.to_string()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installed_program_is_found_and_another_is_not() {
        assert!(find("sh").is_some());
        assert_eq!(find("no-such-program-of-this-name"), None);
    }

    #[test]
    fn the_output_of_a_program_is_returned() {
        let shell = find("sh").unwrap();
        assert_eq!(output_of(&shell, &["-c", "echo out; echo err >&2"]).unwrap(), "out\nerr\n");
    }
}
