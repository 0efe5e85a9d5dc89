//! The real Claude Code CLI with `cc-relay run` and `cc-relay config cc`.

use std::fs;
use std::process::Command;

use relay_tests::fakes::anthropic::{self, Credential};
use relay_tests::{ClaudeCode, Upstream};
use serde_json::{Value, json};

use crate::process::{Outcome, User, names_in};

/// A part of the answer of `--demo`.
const DEMO: &str = "the round trip works";
/// An address where no server listens.
const DEAD: &str = "http://127.0.0.1:1";

/// A new user of the CLI, and the path of the CLI.
fn new_user() -> Option<(User, String)> {
    let claude = ClaudeCode::find()?.program().display().to_string();
    let user = User::new()
        .with_variable("PATH", std::env::var("PATH").unwrap())
        .with_variable("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
        .with_variable("CLAUDE_CODE_MAX_RETRIES", "0")
        .with_variable("DISABLE_AUTOUPDATER", "1");
    Some((user, claude))
}

/// Runs a command to its end. The CLI takes longer than a step of the other tests.
fn finish(mut command: Command) -> Outcome {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Outcome { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn run(user: &User, arguments: &[&str]) -> Outcome {
    finish(user.command(&[&["run"], arguments].concat()))
}

/// Writes a settings file with these variables and a setting of the user.
fn write_settings(user: &User, env: &Value) {
    fs::create_dir_all(user.path(".claude")).unwrap();
    user.write(
        ".claude/settings.json",
        &format!("{:#}\n", json!({"env": env, "includeCoAuthoredBy": false})),
    );
}

#[track_caller]
fn assert_demo(outcome: &Outcome) {
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
    assert!(outcome.stdout.contains(DEMO), "{outcome:?}");
}

#[test]
fn a_new_user_without_a_file_gets_an_answer_in_one_command() {
    let Some((user, claude)) = new_user() else { return };
    assert_demo(&run(&user, &["--demo", "--", &claude, "-p", "say hello"]));
    // The state of the CLI itself.
    let mut left = names_in(&user.path("."));
    left.retain(|name| !name.starts_with(".claude"));
    assert!(left.is_empty(), "{left:?}");
    assert!(!user.path(".claude/settings.json").exists());
    // The exit code of the CLI.
    let outcome = run(&user, &["--demo", "--", &claude, "--no-such-option"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
}

#[test]
fn stale_settings_of_the_user_and_of_the_project_lose() {
    let Some((user, claude)) = new_user() else { return };
    let stale = json!({"ANTHROPIC_BASE_URL": DEAD, "ANTHROPIC_AUTH_TOKEN": "stale"});
    write_settings(&user, &stale);
    fs::create_dir_all(user.path("project/.claude")).unwrap();
    user.write("project/.claude/settings.json", &json!({"env": stale}).to_string());
    let user = user.with_variable("ANTHROPIC_BASE_URL", DEAD).with_variable("CLAUDE_CODE_USE_VERTEX", "1");
    let mut command = user.command(&["run", "--demo", "--", &claude, "-p", "say hello"]);
    command.current_dir(user.path("project"));
    let outcome = finish(command);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stdout.contains(DEMO), "{outcome:?}");
    assert!(outcome.stderr.contains("CLAUDE_CODE_USE_VERTEX in the environment is not used"), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_sent_in_spite_of_a_stale_token() {
    let Some((user, claude)) = new_user() else { return };
    let rules = anthropic::rules(Credential::Bearer("sk-ant-oat01-mine"));
    let upstream = Upstream::builder().require(rules).answering(anthropic::answer).await;
    let config = json!({"providers": [relay_tests::passthrough("a", &upstream.url())]});
    user.write("config.yaml", &config.to_string());
    write_settings(&user, &json!({"ANTHROPIC_AUTH_TOKEN": "managed-by-cc-relay"}));
    let user = user.with_variable("CLAUDE_CODE_OAUTH_TOKEN", "sk-ant-oat01-mine");
    let outcome = run(&user, &["--fresh", "--model", "claude-opus-5-5", "--", &claude, "-p", "hello"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(outcome.stdout.trim(), "Hello! How can I help you today?");
    assert_eq!(upstream.only_request().json()["model"], "claude-opus-5-5");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_key_replaces_a_stale_token_by_a_private_file() {
    let Some((user, claude)) = new_user() else { return };
    let upstream = Upstream::answering(anthropic::answer).await;
    let config = json!({
        "server": {"auth": {"api_key": "secret-one"}},
        "providers": [relay_tests::provider("a", "anthropic", &upstream.url())],
    });
    user.write("config.yaml", &config.to_string());
    write_settings(&user, &json!({"ANTHROPIC_AUTH_TOKEN": "stale", "ANTHROPIC_BASE_URL": DEAD}));
    let outcome = run(&user, &["--fresh", "--", &claude, "-p", "hello"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(outcome.stdout.trim(), "Hello! How can I help you today?");
}

#[test]
fn the_settings_file_points_the_cli_at_the_relay_until_it_is_restored() {
    let Some((user, claude)) = new_user() else { return };
    let (_process, address) = user.serve(&["--demo"]);
    write_settings(&user, &json!({"ANTHROPIC_BASE_URL": DEAD}));
    let config_cc = |arguments: &[&str]| {
        let outcome = user.run(&[&["config", "cc"], arguments].concat());
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
    };
    config_cc(&["init", "--demo", "--url", &format!("http://{address}")]);
    // The user changes the file between.
    let path = user.path(".claude/settings.json");
    let mut settings: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    settings["permissions"] = json!({"allow": ["Bash(ls:*)"]});
    settings["env"]["MINE"] = json!("1");
    fs::write(&path, format!("{settings:#}")).unwrap();
    let mut command = user.shell("exec \"$0\" -p 'say hello'");
    command.arg(&claude);
    assert_demo(&finish(command));
    config_cc(&["remove"]);
    let expected = json!({
        "env": {"ANTHROPIC_BASE_URL": DEAD, "MINE": "1"},
        "includeCoAuthoredBy": false,
        "permissions": {"allow": ["Bash(ls:*)"]},
    });
    assert_eq!(serde_json::from_str::<Value>(&fs::read_to_string(&path).unwrap()).unwrap(), expected);
}
