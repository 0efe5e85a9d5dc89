//! The process that listens on a port, by the files of `/proc`.
//!
//! # Source
//! proc(5): `/proc/net/tcp`, `/proc/PID/fd`, `/proc/PID/comm`, `/proc/PID/stat`.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::time::Duration;

/// The state of a listening socket in `/proc/net/tcp`.
const LISTEN: &str = "0A";
/// The unit of the times in `/proc/PID/stat`: hundredths of a second on every supported architecture.
const TICKS: u64 = 100;

/// A process that listens on a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) id: u32,
    pub(super) name: String,
    pub(super) uptime: Option<Uptime>,
}

/// The time since the start of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Uptime(Duration);

impl fmt::Display for Uptime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            seconds @ 0..120 => write!(f, "{seconds} s"),
            seconds @ 120..7200 => write!(f, "{} min", seconds / 60),
            seconds @ 7200..172_800 => write!(f, "{} h", seconds / 3600),
            seconds => write!(f, "{} days", seconds / 86_400),
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {})", self.name, self.id)
    }
}

impl Holder {
    /// Returns the process that listens on `port`. `None` if the system does not show it: without `/proc`, or if it belongs to
    /// another user.
    pub(super) fn of(port: u16) -> Option<Self> {
        let tables =
            ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
        let links: BTreeSet<String> = tables
            .iter()
            .flat_map(|table| inodes(table, port))
            .map(|inode| format!("socket:[{inode}]"))
            .collect();
        if links.is_empty() {
            return None;
        }
        let ids = fs::read_dir("/proc").ok()?.flatten();
        let ids = ids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        ids.into_iter().find(|id| holds(*id, &links)).map(Self::process)
    }

    fn process(id: u32) -> Self {
        let name = fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default().trim().to_owned();
        Self { id, name, uptime: uptime(id) }
    }
}

/// Returns the inodes of the sockets in `table` that listen on `port`.
fn inodes(table: &str, port: u16) -> Vec<&str> {
    let port = format!(":{port:04X}");
    let is_listening = |fields: &[&str]| {
        fields.get(1).is_some_and(|local| local.ends_with(&port)) && fields.get(3) == Some(&LISTEN)
    };
    let lines = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines.filter(|fields| is_listening(fields)).filter_map(|fields| fields.get(9).copied()).collect()
}

fn holds(id: u32, links: &BTreeSet<String>) -> bool {
    let files = fs::read_dir(format!("/proc/{id}/fd")).into_iter().flatten().flatten();
    let mut targets = files.filter_map(|file| fs::read_link(file.path()).ok());
    targets.any(|target| target.to_str().is_some_and(|target| links.contains(target)))
}

fn uptime(id: u32) -> Option<Uptime> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name of the process may contain blanks and parentheses.
    let start: u64 = stat.rsplit(')').next()?.split_whitespace().nth(19)?.parse().ok()?;
    let system = fs::read_to_string("/proc/uptime").ok()?;
    let system: f64 = system.split_whitespace().next()?.parse().ok()?;
    let system = Duration::try_from_secs_f64(system).ok()?;
    Some(Uptime(system.saturating_sub(Duration::from_millis(start * 1000 / TICKS))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_sockets_are_found_by_their_port() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
                        0: 0100007F:2253 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0\n\
                        1: 0100007F:2253 0100007F:9999 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1 0\n";
        assert_eq!(inodes(table, 8787), ["4711"]);
        assert!(inodes(table, 8788).is_empty() && inodes("", 1).is_empty());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_process_of_a_listener_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let holder = Holder::of(listener.local_addr().unwrap().port()).unwrap();
        assert_eq!(holder.id, std::process::id());
        assert!(holder.uptime.is_some_and(|uptime| uptime.0 < Duration::from_secs(3600)), "{holder:?}");
    }

    #[test]
    fn an_uptime_has_one_unit() {
        for (seconds, expected) in [(5, "5 s"), (180, "3 min"), (7200, "2 h"), (172_800, "2 days")] {
            assert_eq!(Uptime(Duration::from_secs(seconds)).to_string(), expected);
        }
    }
}
