//! A run with a handful of requests of every workload. No time is asserted.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Returns the debug build of cc-relay, which is made if there is none.
fn relay() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_relay-bench")).with_file_name("cc-relay");
    if !program.is_file() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo).args(["build", "-p", "cc-relay"]).status();
        assert!(built.is_ok_and(|status| status.success()), "cc-relay cannot be built");
    }
    program
}

#[test]
fn every_workload_runs_through_the_relay_and_the_bare_proxy_without_an_error() {
    let json = tempfile::NamedTempFile::new().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_relay-bench"));
    command.arg("--smoke").arg("--relay").arg(relay()).arg("--json").arg(json.path());
    let output = command.output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stderr}\n{stdout}");

    let rows: Vec<_> = stdout.lines().filter(|line| line.starts_with('|')).collect();
    for peer in
        ["bare hyper", "cc-relay", "cc-relay, all features", "cc-relay, Bedrock", "cc-relay, TLS HTTP/2"]
    {
        assert!(rows.iter().any(|row| row.contains(&format!("| {peer} |"))), "no row of {peer}:\n{stdout}");
    }
    let lines = std::fs::read_to_string(json.path()).unwrap();
    let values: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let workloads = "json-1k json-1m tls-burst burst paced beside-bodies protocols-1 protocols-2000 memory many-streams \
                     stalled keys start";
    for workload in workloads.split_whitespace() {
        assert!(values.iter().any(|value| value["workload"] == workload), "no value of {workload}");
    }
}

#[test]
fn a_training_runs_the_relay_alone_and_lets_each_process_end_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let (program, ends) = (directory.path().join("cc-relay"), directory.path().join("ends"));
    // Passes SIGTERM on, and notes the exit status.
    let script = format!(
        "#!/bin/sh\n'{}' \"$@\" &\ntrap \"kill -TERM $!\" TERM\nwait\nwait $!\necho $? >> '{}'\n",
        relay().display(),
        ends.display()
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_relay-bench"));
    command.args(["--smoke", "--train", "--only", "json-1k", "--relay"]).arg(&program);
    let output = command.output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stderr}\n{stdout}");
    assert!(stdout.contains("| cc-relay, Bedrock |") && !stdout.contains("| bare hyper |"), "{stdout}");
    // Four configurations, and the question for the version.
    assert_eq!(std::fs::read_to_string(ends).unwrap(), "0\n".repeat(5));
}

#[test]
fn an_unknown_workload_is_refused_with_the_names_of_those_that_exist() {
    let output = Command::new(env!("CARGO_BIN_EXE_relay-bench")).args(["--only", "jsn"]).output().unwrap();
    assert!(!output.status.success());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("`jsn` is no workload") && stderr.contains("json-1k"), "{stderr}");
}

#[test]
fn a_workload_that_fails_has_no_row_and_fails_the_run_after_the_others() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relay-bench"));
    // A peer that runs, but on whose port nothing listens.
    let peer = format!("broken=http://127.0.0.1:1,{}", std::process::id());
    command.args(["--smoke", "--only", "added,start", "--upstream-port", "0", "--relay"]).arg(relay());
    let output = command.args(["--peer", &peer]).output().unwrap();
    assert!(!output.status.success());
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.contains("- FAILED: added: broken: "), "{stdout}");
    assert!(stdout.contains("| Start: ") && !stdout.contains("1 connection"), "{stdout}");
}
