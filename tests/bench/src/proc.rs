//! CPU time and memory of processes, and the load of the machine, from `/proc`.

use std::fs;
use std::time::Duration;

use crate::Result;

/// The memory of a process and its descendants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Bytes, each shared page divided by the number of processes that share it.
    pub(crate) proportional: u64,
    /// Resident bytes.
    pub(crate) resident: u64,
}

/// The state of the machine at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Load {
    /// Percentage of the last 10 s in which some task waited for a CPU (`/proc/pressure/cpu`).
    pub(crate) pressure: Option<f64>,
    /// Time that the hypervisor gave to other guests, and time of all states, in ticks.
    pub(crate) steal: (u64, u64),
}

impl Load {
    /// Reads the state now.
    pub(crate) fn now() -> Self {
        let pressure = fs::read_to_string("/proc/pressure/cpu").ok();
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        Self {
            pressure: pressure.as_deref().and_then(pressure_of),
            steal: steal_of(&stat).unwrap_or_default(),
        }
    }

    /// Returns the share of the time since `earlier` that was stolen.
    pub(crate) fn stolen_since(&self, earlier: &Self) -> f64 {
        let total = self.steal.1.saturating_sub(earlier.steal.1).max(1);
        self.steal.0.saturating_sub(earlier.steal.0) as f64 / total as f64
    }
}

/// Returns the CPU time of a process and its descendants: the sum over their threads, in nanoseconds of the scheduler.
///
/// The kernel updates a running thread at every tick (4 ms), so that a measurement needs some hundreds of milliseconds.
/// A thread that has ended is no longer counted.
/// # Errors
/// If the process does not exist.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration> {
    let mut sum = 0;
    for process in family(pid) {
        for thread in fs::read_dir(format!("/proc/{process}/task"))? {
            // A thread may end while the directory is read.
            let text = fs::read_to_string(thread?.path().join("schedstat")).unwrap_or_default();
            sum += run_time_of(&text).unwrap_or(0);
        }
    }
    Ok(Duration::from_nanos(sum))
}

/// Returns the memory of a process and its descendants.
/// # Errors
/// If the process does not exist.
pub(crate) fn memory(pid: u32) -> Result<Memory> {
    let mut sum = Memory::default();
    for process in family(pid) {
        let one = memory_of(&fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?);
        sum.proportional += one.proportional;
        sum.resident += one.resident;
    }
    Ok(sum)
}

/// Returns the largest number of files that this process may open.
pub(crate) fn file_limit() -> usize {
    let text = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    limit_of(&text).unwrap_or(1024)
}

/// Returns the process and its descendants.
fn family(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(&process) = found.get(next) {
        let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
        for task in tasks {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
        next += 1;
    }
    found
}

/// Returns the first field of `schedstat`: time on a CPU in nanoseconds.
fn run_time_of(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().next()?.parse().ok()
}

fn memory_of(smaps_rollup: &str) -> Memory {
    let kilobytes = |name: &str| {
        let line = smaps_rollup.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    Memory { proportional: kilobytes("Pss") * 1024, resident: kilobytes("Rss") * 1024 }
}

fn pressure_of(text: &str) -> Option<f64> {
    let some = text.lines().find(|line| line.starts_with("some "))?;
    some.split_whitespace().find_map(|field| field.strip_prefix("avg10="))?.parse().ok()
}

/// Returns the stolen ticks and all ticks of the first line of `/proc/stat`.
fn steal_of(stat: &str) -> Option<(u64, u64)> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
    // Guest time, in the last two fields, is part of user time.
    let ticks: Vec<u64> = fields.take(8).filter_map(|field| field.parse().ok()).collect();
    Some((*ticks.get(7)?, ticks.iter().sum()))
}

fn limit_of(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(usize::MAX),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_run_time_is_the_first_field_of_schedstat() {
        assert_eq!(run_time_of("123456789 42 7\n"), Some(123_456_789));
        assert_eq!(run_time_of(""), None);
    }

    #[test]
    fn memory_is_read_by_the_exact_name_of_its_line() {
        let rollup =
            "55d-7ff ---p 0 00:00 0 [rollup]\nRss:  20 kB\nPss:  12 kB\nPss_Dirty:  5 kB\nPss_Anon: 1 kB\n";
        assert_eq!(memory_of(rollup), Memory { proportional: 12 * 1024, resident: 20 * 1024 });
    }

    #[test]
    fn pressure_is_the_average_of_ten_seconds() {
        let text = "some avg10=72.68 avg60=85.22 avg300=44.32 total=1\nfull avg10=0.00 avg60=0.00\n";
        assert_eq!(pressure_of(text), Some(72.68));
        assert_eq!(pressure_of(""), None);
    }

    #[test]
    fn the_stolen_share_is_relative_to_the_time_of_all_states() {
        let at = |text| Load { pressure: None, steal: steal_of(text).unwrap() };
        let earlier = at("cpu  10 0 10 70 0 0 0 10 5 5\ncpu0 1\n");
        let later = at("cpu  20 0 20 140 0 0 0 20 9 9\n");
        assert_eq!(later.stolen_since(&earlier), 0.1);
    }

    #[test]
    fn the_file_limit_is_the_soft_one() {
        let text = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 20000                files\n";
        assert_eq!(limit_of(text), Some(1024));
        assert_eq!(limit_of("Max open files  unlimited unlimited files\n"), Some(usize::MAX));
    }

    #[test]
    fn this_process_has_cpu_time_and_memory() {
        let pid = std::process::id();
        assert!(cpu_time(pid).is_ok());
        assert!(memory(pid).unwrap().proportional > 0);
        assert!(family(pid).contains(&pid));
    }
}
