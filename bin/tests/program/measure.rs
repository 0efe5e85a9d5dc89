//! The resources of a process, as Linux limits them.

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::process::Process;

/// Limits the size of the files that the process writes. A write beyond it fails, as one to a full disk does.
pub(crate) fn limit_file_size(process: &Process, bytes: Option<u64>) {
    let pid = Pid::from_raw(process.id().try_into().unwrap());
    let Rlimit { maximum, .. } = getrlimit(Resource::Fsize);
    prlimit(pid, Resource::Fsize, Rlimit { current: bytes.or(maximum), maximum }).unwrap();
}
