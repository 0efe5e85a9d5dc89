//! The facts of the machine and the programs, for the head of a report.

use std::fs;
use std::path::Path;

use crate::peer::Lab;
use crate::process::{find, output_of};

/// Returns the facts as lines `name: value`.
pub(crate) fn facts(lab: &Lab) -> Vec<String> {
    let mut facts =
        vec![format!("CPU: {}", cpu()), format!("kernel: {}", first_line("/proc/sys/kernel/osrelease"))];
    let governor = first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    facts.push(format!("governor: {}", if governor.is_empty() { "unknown" } else { &governor }));
    let placed = if lab.placement.is_active() {
        "the proxy on CPU 0 with one worker, client and upstream on the others"
    } else {
        "left to the scheduler"
    };
    facts.push(format!("placement: {placed}"));
    if cfg!(debug_assertions) {
        facts.push("a debug build of the benchmark: bare hyper, client and upstream are slow".to_owned());
    }
    facts.push(format!("cc-relay: {}, {}", version(Some(&lab.relay), &["--version"]), size(&lab.relay)));
    if let Some(commit) = commit() {
        facts.push(format!("commit of the benchmark: {commit}"));
    }
    facts.push(format!("nginx: {}", version(find("nginx").as_deref(), &["-v"])));
    facts.push(format!("haproxy: {}", version(find("haproxy").as_deref(), &["-v"])));
    if let Some(envoy) = &lab.envoy {
        facts.push(format!("envoy: {}", version(Some(envoy), &["--version"])));
    }
    facts
}

fn cpu() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model_of(&text).unwrap_or("unknown");
    let count = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{model}, {count} CPUs")
}

fn model_of(cpuinfo: &str) -> Option<&str> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

fn first_line(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}

fn version(program: Option<&Path>, arguments: &[&str]) -> String {
    let Some(program) = program else { return "not installed".to_owned() };
    let output = output_of(program, arguments).unwrap_or_default();
    let line = output.lines().find(|line| !line.trim().is_empty()).unwrap_or("unknown version");
    line.trim().to_owned()
}

fn size(program: &Path) -> String {
    let length = fs::metadata(program).map_or(0, |metadata| metadata.len());
    format!("{:.1} MB", length as f64 / 1e6)
}

fn commit() -> Option<String> {
    let git = find("git")?;
    let root = env!("CARGO_MANIFEST_DIR");
    let described = output_of(&git, &["-C", root, "describe", "--always", "--dirty", "--abbrev=10"])?;
    let described = described.trim();
    (!described.contains(' ') && !described.is_empty()).then(|| described.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_of_the_cpu_is_read() {
        assert_eq!(model_of("processor\t: 0\nmodel name\t: AMD EPYC\n"), Some("AMD EPYC"));
        assert_eq!(model_of("processor\t: 0\n"), None);
    }

    #[test]
    fn a_missing_program_is_not_installed() {
        assert_eq!(version(None, &["-v"]), "not installed");
    }
}
