//! `cc-relay service`, with a `systemctl` that writes its calls into a file.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use crate::process::{User, mode, names_in};

const UNIT: &str = "xdg/systemd/user/cc-relay.service";

/// Reports a running service to `show`, and fails for the words in `$HOME/failing`.
const SYSTEMCTL: &str = r#"#!/bin/sh
echo "$*" >> "$HOME/calls"
if [ -f "$HOME/failing" ] && echo "$*" | grep -q "$(cat "$HOME/failing")"; then
    echo "Failed to connect to bus: No medium found" >&2
    exit 1
fi
case "$*" in
*ActiveState*) printf 'ActiveState=active\nSubState=running\nUnitFileState=enabled\nMainPID=42\nResult=success\n' ;;
esac
"#;

/// A user of a system with systemd, and with a configuration.
fn user() -> User {
    let user = User::new();
    std::fs::create_dir_all(user.path("bin")).unwrap();
    std::fs::create_dir_all(user.path("xdg/cc-relay")).unwrap();
    let systemctl = user.write("bin/systemctl", SYSTEMCTL);
    std::fs::set_permissions(systemctl, PermissionsExt::from_mode(0o755)).unwrap();
    user.write("xdg/cc-relay/config.yaml", "providers: [{name: a, type: anthropic}]\n");
    let path = format!("{}:/usr/bin:/bin", user.path("bin").display());
    user.with_variable("PATH", path)
}

fn calls(user: &User) -> Vec<String> {
    let calls = std::fs::read_to_string(user.path("calls")).unwrap_or_default();
    let _ = std::fs::remove_file(user.path("calls"));
    calls.lines().map(str::to_owned).collect()
}

fn unit(user: &User) -> String {
    std::fs::read_to_string(user.path(UNIT)).unwrap()
}

const PROBE: &str = "--user show --property=Version";

#[test]
fn install_writes_a_unit_and_starts_it() {
    let user = user();
    let outcome = user.run(&["service", "install"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
    let start = format!(
        "ExecStart=\"{}\" serve --config \"{}\"\n",
        PathBuf::from(env!("CARGO_BIN_EXE_cc-relay")).canonicalize().unwrap().display(),
        user.path("xdg/cc-relay/config.yaml").display()
    );
    assert!(unit(&user).contains(&start), "{start} in {}", unit(&user));
    assert_eq!(calls(&user), [PROBE, "--user daemon-reload", "--user enable --now cc-relay.service"]);
    assert_eq!(mode(&user.path(UNIT)), 0o644);
    assert_eq!(names_in(&user.path("xdg/systemd/user")), ["cc-relay.service"], "no temporary file remains");
    assert!(outcome.stdout.contains("loginctl enable-linger"), "{}", outcome.stdout);
}

#[test]
fn the_second_install_changes_nothing() {
    let user = user();
    user.run(&["service", "install"]);
    let first = unit(&user);
    calls(&user);
    let outcome = user.run(&["service", "install", "--user"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stdout.starts_with("unchanged "), "{}", outcome.stdout);
    assert_eq!(unit(&user), first);
    assert_eq!(calls(&user), [PROBE, "--user daemon-reload", "--user enable --now cc-relay.service"]);
}

#[test]
fn a_running_service_is_restarted_with_another_configuration() {
    let user = user();
    user.run(&["service", "install"]);
    calls(&user);
    user.write("other.toml", "[[providers]]\nname = \"a\"\ntype = \"anthropic\"\n");
    let outcome = user.run(&["service", "install", "--config", "other.toml"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(unit(&user).contains(&user.path("other.toml").display().to_string()), "{}", unit(&user));
    let expected = [
        PROBE,
        "--user daemon-reload",
        "--user try-restart cc-relay.service",
        "--user enable --now cc-relay.service",
    ];
    assert_eq!(calls(&user), expected);
}

#[test]
fn a_file_of_another_program_is_replaced_only_with_force() {
    let user = user();
    std::fs::create_dir_all(user.path("xdg/systemd/user")).unwrap();
    user.write(UNIT, "[Service]\nExecStart=/opt/mine\n");
    let outcome = user.run(&["service", "install"]);
    assert_eq!(outcome.code, Some(1));
    let expected = "was not written by `cc-relay service install`; --force replaces it\n";
    assert!(outcome.stderr.ends_with(expected), "{}", outcome.stderr);
    let outcome = user.run(&["service", "uninstall"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.ends_with("it is not removed\n"), "{}", outcome.stderr);
    assert_eq!(unit(&user), "[Service]\nExecStart=/opt/mine\n");
    assert_eq!(calls(&user), Vec::<String>::new());
    assert_eq!(user.run(&["service", "install", "--force"]).code, Some(0));
    assert!(unit(&user).contains("cc-relay"));
}

#[test]
fn a_symbolic_link_is_not_replaced() {
    let user = user();
    std::fs::create_dir_all(user.path("xdg/systemd/user")).unwrap();
    let target = user.write("target", "");
    symlink(&target, user.path(UNIT)).unwrap();
    assert_eq!(user.run(&["service", "install"]).code, Some(1));
    assert_eq!(std::fs::read_to_string(target).unwrap(), "");
}

#[test]
fn a_dry_run_changes_nothing() {
    let user = user();
    let outcome = user.run(&["service", "install", "--dry-run"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    for part in
        ["# would write ", "[Service]\n", "# would run systemctl --user enable --now cc-relay.service\n"]
    {
        assert!(outcome.stdout.contains(part), "{part} in {}", outcome.stdout);
    }
    assert!(!user.path(UNIT).exists());
    assert_eq!(calls(&user), Vec::<String>::new());
}

#[test]
fn uninstall_stops_the_service_and_removes_its_file() {
    let user = user();
    user.run(&["service", "install"]);
    calls(&user);
    let outcome = user.run(&["service", "uninstall", "--dry-run"]);
    assert!(outcome.stdout.contains("# would remove "), "{outcome:?}");
    assert!(user.path(UNIT).exists());
    let outcome = user.run(&["service", "uninstall"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(names_in(&user.path("xdg/systemd/user")), Vec::<String>::new());
    assert_eq!(calls(&user), ["--user disable --now cc-relay.service", "--user daemon-reload"]);
    let outcome = user.run(&["service", "uninstall"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stdout.starts_with("not installed"), "{}", outcome.stdout);
}

#[test]
fn without_systemd_nothing_is_written() {
    let user = user().with_variable("PATH", "/nowhere");
    let outcome = user.run(&["service", "install"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("systemctl is not in PATH"), "{}", outcome.stderr);
    assert!(!user.path("xdg/systemd").exists());
}

#[test]
fn without_a_session_the_error_names_lingering() {
    let user = user();
    user.write("failing", "Version");
    let outcome = user.run(&["service", "install"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("No medium found"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("loginctl enable-linger"), "{}", outcome.stderr);
    assert!(!user.path("xdg/systemd").exists());
}

#[test]
fn a_failed_start_names_the_log() {
    let user = user();
    user.write("failing", "enable");
    let outcome = user.run(&["service", "install"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("journalctl --user -u cc-relay"), "{}", outcome.stderr);
}

#[test]
fn variables_that_the_service_lacks_are_named() {
    let user = user().with_variable("KEY_A", "a").with_variable("KEY_B", "b");
    user.write(
        "xdg/cc-relay/config.yaml",
        "providers: [{name: a, type: anthropic, keys: [{key: '${KEY_A}'}, {key: '${KEY_B}'}]}]\n",
    );
    user.write("xdg/cc-relay/environment", "KEY_A=a\n");
    let outcome = user.run(&["service", "install"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stderr.contains("needs KEY_B: "), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("xdg/cc-relay/environment, chmod 600"), "{}", outcome.stderr);
}

#[test]
fn status_reports_the_unit_and_the_relay() {
    let user = user();
    let outcome = user.run(&["service", "status", "--url", "http://127.0.0.1:1"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let lines: Vec<_> = outcome.stdout.lines().collect();
    assert!(lines[0].starts_with("file     not installed: there is no "), "{}", outcome.stdout);
    assert_eq!(lines[1], "service  active (running), enabled, pid 42");
    assert!(lines[2].starts_with("relay    no relay answers at http://127.0.0.1:1"), "{}", outcome.stdout);

    user.write("demo.yaml", "providers: [{name: m, type: mock}]\n");
    user.run(&["service", "install", "--config", "demo.yaml"]);
    let (_process, address) = user.serve(&["--config", "demo.yaml"]);
    let outcome = user.run(&["service", "status", "--url", &format!("http://{address}")]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let relay = format!("relay    ready: cc-relay {} at http://{address}", env!("CARGO_PKG_VERSION"));
    assert!(outcome.stdout.contains(&relay), "{}", outcome.stdout);
}

#[test]
fn the_service_of_the_machine_needs_its_own_configuration() {
    let user = user();
    // The link in PATH, since the program itself may be in a home directory.
    symlink(env!("CARGO_BIN_EXE_cc-relay"), user.path("bin/cc-relay")).unwrap();
    let outcome = user.run(&["service", "install", "--system", "--dry-run"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("/etc/cc-relay/config.yaml"), "{}", outcome.stderr);
    let config = user.write("machine.yaml", "providers: [{name: m, type: mock}]\n");
    let config = config.display().to_string();
    let outcome = user.run(&["service", "install", "--system", "--dry-run", "--config", &config]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(
        outcome.stdout.starts_with("# would write /etc/systemd/system/cc-relay.service\n"),
        "{outcome:?}"
    );
    assert!(outcome.stdout.contains("DynamicUser=yes"), "{}", outcome.stdout);
    let start =
        format!("ExecStart=\"{}\" serve --config \"{config}\"\n", user.path("bin/cc-relay").display());
    assert!(outcome.stdout.contains(&start), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("# would run systemctl enable --now cc-relay.service\n"), "{outcome:?}");
}

#[test]
fn user_and_system_exclude_each_other() {
    assert_eq!(user().run(&["service", "install", "--user", "--system"]).code, Some(2));
}
