//! The resources of a process, as Linux counts and limits them.

use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::process::Process;

/// The time of one tick in `/proc/PID/stat`. `USER_HZ` is 100 on every architecture that Linux still supports.
const TICK: Duration = Duration::from_millis(10);

/// Returns the CPU time that the process has used since its start.
pub(crate) fn cpu_time(process: &Process) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.id())).unwrap();
    // The name of the program in parentheses may contain spaces. `utime` and `stime` are the fields 14 and 15.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks = fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u32>().unwrap()).sum::<u32>();
    TICK * ticks
}

/// Returns the resident memory of the process in KiB.
pub(crate) fn resident_kib(process: &Process) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Returns the number of files that the process has open, sockets included.
pub(crate) fn open_files(process: &Process) -> usize {
    fs::read_dir(format!("/proc/{}/fd", process.id())).unwrap().count()
}

/// Limits the size of the files that the process writes. A write beyond it fails, as one to a full disk does.
pub(crate) fn limit_file_size(process: &Process, bytes: Option<u64>) {
    let pid = Pid::from_raw(process.id().try_into().unwrap());
    let Rlimit { maximum, .. } = getrlimit(Resource::Fsize);
    prlimit(pid, Resource::Fsize, Rlimit { current: bytes.or(maximum), maximum }).unwrap();
}
