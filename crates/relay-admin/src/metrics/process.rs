//! Figures of the process, from Linux's `/proc`. They are absent on other systems.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Unit;

use super::encode::{NO_LABELS, counter, gauge};

/// Ticks per second in `/proc/self/stat`: `USER_HZ`, 100 on every architecture that Rust supports.
const TICKS_PER_SECOND: f64 = 100.0;

/// The figures that Prometheus's client libraries export under the same names.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Process {
    cpu_seconds: Option<f64>,
    resident_bytes: Option<f64>,
    virtual_bytes: Option<f64>,
    threads: Option<f64>,
    open_fds: Option<f64>,
    max_fds: Option<f64>,
    start_seconds: Option<f64>,
}

impl Process {
    /// Reads the figures.
    pub(super) fn read(started: SystemTime) -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        Self {
            cpu_seconds: cpu_seconds(&stat),
            resident_bytes: kilobytes(&status, "VmRSS:"),
            virtual_bytes: kilobytes(&status, "VmSize:"),
            threads: field(&status, "Threads:").and_then(|text| text.parse().ok()),
            open_fds: open_fds(),
            // After the name come the soft limit, the hard limit and the unit. A limit may be `unlimited`.
            max_fds: field(&limits, "Max open files").and_then(|text| text.parse().ok()),
            start_seconds: started.duration_since(UNIX_EPOCH).ok().map(|time| time.as_secs_f64()),
        }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let e = &mut encoder;
        if let Some(seconds) = self.cpu_seconds {
            let help = "CPU time of the process, in user and system mode";
            counter(e, "process_cpu", help, Some(&Unit::Seconds), &[(NO_LABELS, seconds)])?;
        }
        let gauges = [
            (
                "process_resident_memory",
                "Resident memory of the process",
                Some(Unit::Bytes),
                self.resident_bytes,
            ),
            (
                "process_virtual_memory",
                "Virtual memory of the process",
                Some(Unit::Bytes),
                self.virtual_bytes,
            ),
            ("process_threads", "Threads of the process", None, self.threads),
            ("process_open_fds", "Open file descriptors", None, self.open_fds),
            ("process_max_fds", "Largest number of open file descriptors", None, self.max_fds),
            (
                "process_start_time",
                "Start of the process, since the Unix epoch",
                Some(Unit::Seconds),
                self.start_seconds,
            ),
        ];
        for (name, help, unit, value) in gauges {
            if let Some(value) = value {
                gauge(e, name, help, unit.as_ref(), &[(NO_LABELS, value)])?;
            }
        }
        Ok(())
    }
}

/// Returns the CPU time, the fields 14 and 15. The name of the command, in parentheses, may contain spaces.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS_PER_SECOND)
}

fn kilobytes(status: &str, name: &str) -> Option<f64> {
    field(status, name)?.parse::<f64>().ok().map(|kilobytes| kilobytes * 1024.0)
}

/// Returns the first word after `name`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_ascii_whitespace().next()
}

/// Counts the open descriptors, without that of the directory itself.
fn open_fds() -> Option<f64> {
    let count = fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1);
    u32::try_from(count).ok().map(f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 9 0 100 1000 10";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(cpu_seconds("7 (a) S 1"), None);
        assert_eq!(cpu_seconds(""), None);
    }

    #[test]
    fn an_unlimited_number_of_files_is_no_figure() {
        let limits = "Max open files            unlimited            unlimited            files\n";
        assert_eq!(field(limits, "Max open files").and_then(|text| text.parse::<f64>().ok()), None);
        assert_eq!(field("Max open files            1024  4096 files\n", "Max open files"), Some("1024"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn linux_has_every_figure() {
        let process = Process::read(SystemTime::now());
        assert!(process.resident_bytes > Some(1e5) && process.virtual_bytes >= process.resident_bytes);
        assert!(
            process.threads >= Some(1.0) && process.open_fds >= Some(3.0) && process.cpu_seconds.is_some()
        );
        assert!(process.max_fds.is_none_or(|max| max >= 64.0));
    }
}
