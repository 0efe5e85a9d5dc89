//! Checks by Prometheus's own tool, if it is installed.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::documents::document;
use crate::exposition::Format;
use crate::served::{Served, config, serve_some, upstream};

/// The path of the tool; `PROMTOOL` in the environment, or `promtool` in the search path.
fn promtool() -> Option<String> {
    let path = std::env::var("PROMTOOL").unwrap_or_else(|_| "promtool".to_owned());
    let found = Command::new(&path).arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        // A failed write only loses the report.
        let _ = std::io::stderr().write_all(b"SKIPPED: promtool is not installed\n");
    }
    found.then_some(path)
}

#[tokio::test]
async fn promtool_finds_no_fault_in_the_metrics() {
    let Some(promtool) = promtool() else { return };
    let upstream = upstream().await;
    let served = Served::new(&config(&upstream));
    serve_some(&served).await;
    let text = served.text(Format::Prometheus);

    let mut command = Command::new(promtool);
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().expect("promtool starts");
    let mut input = process.stdin.take().expect("standard input is piped");
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = process.wait_with_output().expect("promtool ends");
    writer.join().expect("the writer does not panic").expect("promtool reads its input");
    let faults =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && faults.is_empty(), "{faults}");
}

#[test]
fn promtool_finds_no_fault_in_the_alert_rules() {
    let Some(promtool) = promtool() else { return };
    let file = document("alerts.yml");
    let output = Command::new(promtool).args(["check", "rules", &file]).output().expect("promtool runs");
    let faults =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{faults}");
}
