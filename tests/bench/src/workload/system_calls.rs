//! System calls of a proxy, counted by `strace`.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::NamedTempFile;
use tokio::time::{sleep, timeout};

use super::load::Load;
use super::metric::{Metric, Values};
use crate::peer::Peer;
use crate::process::{Process, find, isolated};
use crate::{Error, Result};

/// The longest time for strace to attach, or to end.
const LIMIT: Duration = Duration::from_secs(5);
/// The interval between two looks at strace.
const BETWEEN: Duration = Duration::from_millis(10);

/// Counts the system calls of a peer during `time` of a closed loop. Returns no value for other loads, and for a peer
/// without a process.
///
/// A traced process is many times slower. No time is taken from such a loop.
/// # Errors
/// If strace is not installed or may not attach, or if a request fails.
pub(crate) async fn count(load: Load, peer: &Peer, time: Duration) -> Result<Values> {
    let (Some(pid), Some(mut requests)) = (peer.pid, load.closed_loop(peer).await?) else {
        return Ok(Values::new());
    };
    let trace = Trace::attach(pid).await?;
    let done = requests.run(time).await?;
    let calls = trace.finish().await? as f64;
    let mut values = vec![(Metric::CallsPerRequest, calls / done.requests as f64)];
    if done.events > 0 {
        values.push((Metric::CallsPerEvent, calls / done.events as f64));
    }
    Ok(values)
}

/// A running strace.
struct Trace {
    strace: Process,
    summary: NamedTempFile,
}

impl Trace {
    /// Starts strace, and waits until it traces the process and all of its threads.
    async fn attach(pid: u32) -> Result<Self> {
        let program: PathBuf = find("strace").ok_or("strace is not installed")?;
        let summary = NamedTempFile::new()?;
        let mut command = isolated(&program);
        command.args(["-f", "-c", "-p", &pid.to_string(), "-o"]).arg(summary.path());
        let mut strace = Process::start(&mut command)?;
        let attached = async {
            while !is_traced(pid)? {
                if strace.has_ended() {
                    return Err("strace may not attach to a proxy".into());
                }
                sleep(BETWEEN).await;
            }
            Ok::<_, Error>(())
        };
        timeout(LIMIT, attached).await.map_err(|_| "strace does not attach to a proxy")??;
        Ok(Self { strace, summary })
    }

    /// Ends strace and returns the number of system calls.
    async fn finish(self) -> Result<u64> {
        // SIGINT lets it write its summary.
        self.strace.end("-INT", LIMIT).await.map_err(|error| format!("strace: {error}"))?;
        let summary = fs::read_to_string(self.summary.path())?;
        Ok(calls_of(&summary).ok_or("strace has written no summary")?)
    }
}

/// Returns `true` if each thread of a process is traced.
fn is_traced(pid: u32) -> Result<bool> {
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let status = fs::read_to_string(thread?.path().join("status"))?;
        if status.lines().any(|line| line.split_whitespace().eq(["TracerPid:", "0"])) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns the number of calls in the last line of a summary of `strace -c`.
fn calls_of(summary: &str) -> Option<u64> {
    let total = summary.lines().find(|line| line.trim_end().ends_with(" total"))?;
    total.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calls_are_in_the_line_of_the_total() {
        let summary = "% time     seconds  usecs/call     calls    errors syscall\n\
                       ------ ----------- ----------- --------- --------- ----------------\n\
                        60.00    0.000600           1       600           writev\n\
                        40.00    0.000400           2       200        12 futex\n\
                       ------ ----------- ----------- --------- --------- ----------------\n\
                       100.00    0.001000           1       800        12 total\n";
        assert_eq!(calls_of(summary), Some(800));
        assert_eq!(calls_of(""), None);
    }
}
