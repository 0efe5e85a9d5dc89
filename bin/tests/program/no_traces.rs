//! A program without the export of traces.

use crate::process::User;

#[test]
fn a_demanded_export_that_the_program_does_not_have_is_a_warning_at_the_start() {
    let user = User::new().with_variable("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
    let (relay, _) = user.serve(&["--demo"]);
    let seen = relay.seen();
    let lines: Vec<&str> = seen.lines().filter(|line| line.contains("OTEL_EXPORTER_OTLP_ENDPOINT")).collect();
    let [line] = lines[..] else { panic!("{seen}") };
    assert!(line.contains("WARN") && line.contains("--features otlp") && line.contains("unset"), "{line}");

    let (relay, _) = user.with_variable("OTEL_SDK_DISABLED", "true").serve(&["--demo"]);
    assert!(!relay.seen().contains("OTEL_"), "{}", relay.seen());
}
