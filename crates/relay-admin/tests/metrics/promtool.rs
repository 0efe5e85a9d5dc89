//! Checks by Prometheus's own tool, if it is installed.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::documents::{dashboard_queries, document};
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
    check_rules(&promtool, document("alerts.yml").as_ref());
}

#[test]
fn promtool_reads_every_query_of_the_dashboard() {
    let queries = dashboard_queries();
    let Some(promtool) = promtool() else { return };
    let rule = |(number, query)| json!({"record": format!("panel:{number}"), "expr": query});
    let rules: Vec<_> = queries.iter().enumerate().map(rule).collect();
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    // JSON is YAML.
    let groups = json!({"groups": [{"name": "dashboard", "rules": rules}]});
    file.write_all(groups.to_string().as_bytes()).expect("the file can be written");
    check_rules(&promtool, file.path());
}

#[track_caller]
fn check_rules(promtool: &str, file: &Path) {
    let output = Command::new(promtool).args(["check", "rules"]).arg(file).output().expect("promtool runs");
    let faults =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{faults}");
}
