//! `cc-relay run`: the command's environment, its end, and nothing left behind.

use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::process::{Outcome, Process, User, names_in};

#[track_caller]
fn succeeds(user: &User, arguments: &[&str]) -> Outcome {
    let outcome = user.run(&[&["run"], arguments].concat());
    assert_eq!(outcome.code, Some(0), "{arguments:?}: {outcome:?}");
    outcome
}

/// Writes an executable script.
fn script(user: &User, name: &str, text: &str) -> String {
    let path = user.write(name, &format!("#!/bin/sh\n{text}\n"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

/// A user whose `claude` prints its arguments, one per line, and the variables that it gets.
fn user_with_claude() -> (User, String) {
    let user = User::new();
    let claude = script(
        &user,
        "claude",
        "printf '%s\\n' \"$@\"; echo \"token=$ANTHROPIC_AUTH_TOKEN\"; echo \"bedrock=$CLAUDE_CODE_USE_BEDROCK\"",
    );
    (user, claude)
}

/// Returns the settings that Claude Code got on its command line.
#[track_caller]
fn passed_settings(outcome: &Outcome) -> Value {
    let mut lines = outcome.stdout.lines().skip_while(|line| *line != "--settings");
    lines.next();
    serde_json::from_str(lines.next().unwrap()).unwrap()
}

/// Returns the address in the first line of a command's output.
#[track_caller]
fn address_in(line: &str) -> SocketAddr {
    line.trim().strip_prefix("http://").unwrap().parse().unwrap()
}

#[test]
fn the_command_reaches_the_relay_and_nothing_is_left_behind() {
    let user = User::new();
    let before = names_in(&user.path("."));
    let line = r#"echo "$ANTHROPIC_BASE_URL"; echo "$ANTHROPIC_AUTH_TOKEN"; echo "$ANTHROPIC_MODEL"; exit 7"#;
    let outcome = user.run(&["run", "--demo", "--model", "claude-x", "--", "sh", "-c", line]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(7), ""), "{outcome:?}");
    let lines: Vec<_> = outcome.stdout.lines().collect();
    assert_eq!(lines[1..], ["managed-by-cc-relay", "claude-x"]);
    let address = address_in(lines[0]);
    assert!(address.ip().is_loopback() && address.port() != 0);
    assert!(TcpStream::connect(address).is_err(), "the port is still open");
    assert_eq!(names_in(&user.path(".")), before);
    assert_eq!(user.run(&["run", "--demo", "--", "sh", "-c", "kill -9 $$"]).code, Some(128 + 9));
}

#[test]
fn the_relay_answers_while_the_command_runs() {
    let user = User::new();
    let mut process = user.spawn(&["run", "--demo", "--", "sh", "-c", "echo $ANTHROPIC_BASE_URL; read line"]);
    // Standard input is empty, so that the command ends by itself.
    let address = address_in(&process.wait_for("http://"));
    assert!(process.exit_code().is_some());
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_command_that_cannot_be_started_has_the_exit_code_of_a_shell() {
    let user = User::new();
    let plain = user.write("plain", "text");
    for (command, code, words) in [
        ("no-such-command-here", 127, "no-such-command-here: command not found"),
        ("claude", 127, "install Claude Code"),
        (plain.to_str().unwrap(), 126, "cannot be executed"),
    ] {
        let outcome = user.run(&["run", "--demo", "--", command]);
        assert_eq!(outcome.code, Some(code), "{outcome:?}");
        assert!(outcome.stderr.starts_with("error: ") && outcome.stderr.contains(words), "{outcome:?}");
    }
}

#[test]
fn claude_code_gets_settings_that_win_over_its_files() {
    let (user, claude) = user_with_claude();
    fs::create_dir(user.path(".claude")).unwrap();
    let theirs = r#"{"env":{"ANTHROPIC_BASE_URL":"http://stale","ANTHROPIC_AUTH_TOKEN":"stale"}}"#;
    user.write(".claude/settings.json", theirs);
    let outcome = succeeds(&user, &["--demo", "--", &claude, "-p", "hello"]);
    let env = &passed_settings(&outcome)["env"];
    assert!(env["ANTHROPIC_BASE_URL"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{env}");
    assert_eq!(env["ANTHROPIC_AUTH_TOKEN"], "managed-by-cc-relay");
    assert!(
        outcome.stdout.starts_with("--settings\n") && outcome.stdout.contains("\n-p\nhello\n"),
        "{outcome:?}"
    );
    assert_eq!(fs::read_to_string(user.path(".claude/settings.json")).unwrap(), theirs);
}

#[test]
fn variables_that_bypass_the_relay_or_stop_a_login_are_cancelled() {
    let (user, claude) = user_with_claude();
    fs::create_dir(user.path(".claude")).unwrap();
    user.write(".claude/.credentials.json", "{}");
    let user = user
        .with_variable("CLAUDE_CODE_USE_BEDROCK", "1")
        .with_variable("ANTHROPIC_AUTH_TOKEN", "their-token")
        .with_variable("HTTPS_PROXY", "http://127.0.0.1:1");
    user.write("config.yaml", "providers: [{ name: a, type: anthropic }]\n");
    let outcome = succeeds(&user, &["--fresh", "--", &claude]);
    let env = &passed_settings(&outcome)["env"];
    assert_eq!((&env["CLAUDE_CODE_USE_BEDROCK"], &env["ANTHROPIC_AUTH_TOKEN"]), (&json!(""), &json!("")));
    assert_eq!(env["NO_PROXY"], "127.0.0.1");
    assert!(outcome.stdout.ends_with("token=\nbedrock=\n"), "{outcome:?}");
    assert!(outcome.stderr.contains("it would bypass the relay"), "{outcome:?}");
    assert!(!outcome.stderr.contains("their-token"), "{outcome:?}");
}

#[test]
fn settings_of_the_user_are_joined_and_those_of_a_file_stay_private() {
    let (user, claude) = user_with_claude();
    let given = r#"{"model":"opus","env":{"ANTHROPIC_BASE_URL":"http://theirs","A":"1"}}"#;
    let outcome = succeeds(&user, &["--demo", "--", &claude, "--settings", given]);
    let settings = passed_settings(&outcome);
    assert_eq!((&settings["model"], &settings["env"]["A"]), (&json!("opus"), &json!("1")));
    assert!(outcome.stderr.contains("ANTHROPIC_BASE_URL in --settings is replaced"), "{outcome:?}");

    user.write("mine.json", r#"{"model":"opus","env":{"A":"their-secret"}}"#);
    let read = script(&user, "claude", r#"echo "$2"; cat "$2""#);
    let outcome = succeeds(&user, &["--demo", "--", &read, "--settings", "mine.json"]);
    let (path, text) = outcome.stdout.split_once('\n').unwrap();
    let settings: Value = serde_json::from_str(text).unwrap();
    assert_eq!((&settings["model"], &settings["env"]["A"]), (&json!("opus"), &json!("their-secret")));
    assert!(!fs::exists(path).unwrap(), "{path} is left behind");

    user.write("mine.json", "{,}");
    let outcome = user.run(&["run", "--demo", "--", &claude, "--settings", "mine.json"]);
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert!(outcome.stderr.contains("mine.json: line 1, column 2"), "{outcome:?}");
}

#[test]
fn a_client_key_is_not_on_the_command_line() {
    let (user, claude) = user_with_claude();
    user.write(
        "config.yaml",
        "server: { auth: { api_key: secret-one } }\nproviders: [{ name: m, type: mock }]\n",
    );
    let outcome = succeeds(&user, &["--fresh", "--", &claude]);
    assert_eq!(passed_settings(&outcome)["env"].as_object().unwrap().len(), 1, "{outcome:?}");
    assert!(outcome.stdout.ends_with("token=secret-one\nbedrock=\n"), "{outcome:?}");
    // A token in a settings file is replaced, by a file that only this user can read.
    fs::create_dir(user.path(".claude")).unwrap();
    user.write(".claude/settings.json", r#"{"env":{"ANTHROPIC_AUTH_TOKEN":"stale"}}"#);
    let read = script(&user, "claude", r#"echo "$2"; cat "$2""#);
    let outcome = succeeds(&user, &["--fresh", "--", &read]);
    let (path, text) = outcome.stdout.split_once('\n').unwrap();
    let settings: Value = serde_json::from_str(text).unwrap();
    assert_eq!(settings["env"]["ANTHROPIC_AUTH_TOKEN"], "secret-one");
    assert!(!path.contains("secret-one"), "{path}");
}

#[test]
fn a_relay_that_runs_already_is_used() {
    let user = User::new();
    let (_process, address) = user.serve(&["--demo"]);
    let user = User::new().with_variable("CC_RELAY_SERVER__LISTEN", address.to_string());
    user.write("config.yaml", "providers: [{ name: m, type: mock }]\n");
    let url = |arguments: &[&str]| {
        let outcome = succeeds(&user, &[arguments, &["--", "sh", "-c", "echo $ANTHROPIC_BASE_URL"]].concat());
        address_in(&outcome.stdout)
    };
    assert_eq!(url(&[]), address);
    assert_ne!(url(&["--fresh"]), address);
    assert_ne!(url(&["--provider", "m"]), address);
}

#[test]
fn another_server_at_the_address_is_no_relay() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in other.incoming().flatten() {
            let _ = stream.read(&mut [0; 1024]);
            let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
        }
    });
    let user = User::new().with_variable("CC_RELAY_SERVER__LISTEN", address.to_string());
    user.write("config.yaml", "providers: [{ name: m, type: mock }]\n");
    let outcome = succeeds(&user, &["--", "sh", "-c", "echo $ANTHROPIC_BASE_URL"]);
    assert_ne!(address_in(&outcome.stdout), address);
}

#[test]
fn an_unknown_provider_is_a_mistake_on_the_command_line() {
    let user = User::new();
    let outcome = user.run(&["run", "--demo", "--provider", "demo", "--", "true"]);
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert!(outcome.stderr.contains("the configuration has demo-primary, demo-backup"), "{outcome:?}");
    let outcome = user.run(&["run", "--demo", "--listen", "unix:relay.sock", "--", "true"]);
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    let outcome = user.run(&["run", "--demo"]);
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
}

#[test]
fn the_log_is_in_a_file_or_after_the_output_of_the_command() {
    let user = User::new();
    user.write("config.yaml", "cache: {}\nproviders: [{ name: m, type: mock }]\n");
    let outcome = succeeds(&user, &["--fresh", "--", "sh", "-c", "echo first >&2"]);
    let (first, rest) = outcome.stderr.split_once('\n').unwrap();
    assert_eq!(first, "first");
    assert!(rest.contains("WARN") && rest.contains("cache"), "{outcome:?}");
    let outcome = succeeds(&user, &["--log-output", "log", "--", "true"]);
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", ""));
    let log = fs::read_to_string(user.path("log")).unwrap();
    assert!(log.contains("listening on http://127.0.0.1:") && log.contains("cache"), "{log}");
}

#[test]
fn a_log_that_has_reached_the_limit_of_file_sizes_does_not_end_the_command() {
    let user = User::new();
    let program = user.command(&[]).get_program().to_owned();
    let line = "ulimit -f 0 && exec \"$0\" run --demo --log-output log -- echo ran";
    let mut command = user.shell(line);
    command.arg(program);
    let outcome = Process::spawn(command).outcome();
    assert_eq!((outcome.code, &*outcome.stdout), (Some(0), "ran\n"), "{outcome:?}");
    assert!(outcome.stderr.contains("cannot write the log: File too large"), "{outcome:?}");
}

/// Starts a command that prints each signal that it gets, and ends with the code 3 after the first.
fn trapping(user: &User, name: &str) -> Process {
    let line = format!("trap 'echo got {name}; exit 3' {name}; echo ready; while :; do sleep 0.05; done");
    let mut process = user.spawn(&["run", "--demo", "--", "sh", "-c", &line]);
    process.wait_for("ready");
    process
}

#[test]
fn signals_are_handed_on_and_the_exit_code_is_that_of_the_command() {
    let user = User::new();
    for name in ["TERM", "HUP", "INT"] {
        let mut process = trapping(&user, name);
        process.signal(name);
        process.wait_for(&format!("got {name}"));
        assert_eq!(process.exit_code(), Some(3), "{name}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_command_ends_if_the_relay_is_killed() {
    let user = User::new();
    let mut process = trapping(&user, "TERM");
    process.signal("KILL");
    process.wait_for("got TERM");
}
