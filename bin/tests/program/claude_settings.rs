//! `cc-relay config cc`: the settings of Claude Code before, between and after.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::process::{Outcome, User, mode, names_in};

/// A file in the form that Claude Code writes, with secrets of the user.
const THEIRS: &str = r#"{
  "$schema": "https://json.schemastore.org/claude-code-settings.json",
  "env": {
    "DATABASE_PASSWORD": "their-password",
    "ANTHROPIC_AUTH_TOKEN": "their-token"
  },
  "permissions": { "allow": ["Bash(git diff:*)"] },
  "hooks": {},
  "big": 12345678901234567890.10
}
"#;
const NO_AUTH: &str = "providers: [{ name: m, type: mock }]\n";
const API_KEY: &str = "server: { auth: { api_key: secret-one } }\nproviders: [{ name: m, type: mock }]\n";
const SUBSCRIPTION: &str = "server: { auth: { api_key: secret-one, allow_subscription: true } }\nproviders: [{ name: a, type: anthropic }, { name: m, type: mock }]\n";
const PASS_THROUGH: &str = "providers: [{ name: a, type: anthropic }, { name: m, type: mock }]\n";

/// A user with a configuration file of the relay, at an address where no server listens.
fn user(config: &str) -> User {
    let user = User::new().with_variable("CC_RELAY_SERVER__LISTEN", "127.0.0.1:1");
    user.write("config.yaml", config);
    user
}

#[track_caller]
fn succeeds(user: &User, arguments: &[&str]) -> Outcome {
    let outcome = user.run(&[&["config", "cc"], arguments].concat());
    assert_eq!(outcome.code, Some(0), "{arguments:?}: {outcome:?}");
    for secret in ["their-password", "their-token", "secret-one"] {
        assert!(!outcome.stdout.contains(secret) && !outcome.stderr.contains(secret), "{outcome:?}");
    }
    outcome
}

#[track_caller]
fn fails(user: &User, arguments: &[&str], words: &str) {
    let outcome = user.run(&[&["config", "cc"], arguments].concat());
    assert_ne!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stderr.starts_with("error: ") && outcome.stderr.contains(words), "{outcome:?}");
}

/// Writes the settings file of the user.
fn write_settings(user: &User, text: &str) {
    fs::create_dir_all(user.path(".claude")).unwrap();
    user.write(".claude/settings.json", text);
}

fn settings(user: &User) -> String {
    fs::read_to_string(user.path(".claude/settings.json")).unwrap()
}

fn env(user: &User) -> Value {
    serde_json::from_str::<Value>(&settings(user)).unwrap()["env"].clone()
}

#[test]
fn a_new_user_gets_a_file_and_loses_it_again() {
    let user = user(NO_AUTH);
    let outcome = succeeds(&user, &["init"]);
    assert!(outcome.stdout.contains("ANTHROPIC_BASE_URL: added"), "{outcome:?}");
    assert!(outcome.stdout.contains("no relay answers at http://127.0.0.1:1 now"), "{outcome:?}");
    let expected =
        json!({"ANTHROPIC_BASE_URL": "http://127.0.0.1:1", "ANTHROPIC_AUTH_TOKEN": "managed-by-cc-relay"});
    assert_eq!(env(&user), expected);
    let first = settings(&user);
    succeeds(&user, &["init"]);
    assert_eq!(settings(&user), first, "a second init changes the file");
    let state = user.path(".local/state/cc-relay");
    assert_eq!((mode(&state), mode(&state.join("claude-settings.json"))), (0o700, 0o600));
    let outcome = succeeds(&user, &["remove"]);
    assert!(outcome.stdout.starts_with("deleted "), "{outcome:?}");
    assert!(!user.path(".claude").exists(), "the directory that init has created remains");
    assert_eq!(names_in(&state), ["claude-settings.lock"]);
    let outcome = succeeds(&user, &["remove"]);
    assert!(outcome.stdout.contains("has not changed this file"), "{outcome:?}");
}

#[test]
fn the_token_is_written_only_if_the_relay_needs_it() {
    for (config, token) in [
        (NO_AUTH, json!("managed-by-cc-relay")),
        (API_KEY, json!("secret-one")),
        (SUBSCRIPTION, Value::Null),
        (PASS_THROUGH, Value::Null),
    ] {
        let user = user(config);
        succeeds(&user, &["init", "--model-discovery"]);
        assert_eq!(env(&user)["ANTHROPIC_AUTH_TOKEN"], token, "{config}");
        assert_eq!(env(&user)["CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY"], "1");
        succeeds(&user, &["remove"]);
    }
}

#[test]
fn a_placeholder_that_stops_the_login_of_the_user_is_removed() {
    let user = user(PASS_THROUGH);
    write_settings(&user, r#"{"env":{"ANTHROPIC_AUTH_TOKEN":"managed-by-cc-relay"}}"#);
    succeeds(&user, &["init"]);
    assert_eq!(env(&user), json!({"ANTHROPIC_BASE_URL": "http://127.0.0.1:1"}));
    // The token of another program stays, with a warning.
    write_settings(&user, THEIRS);
    let outcome = succeeds(&user, &["init"]);
    assert!(outcome.stderr.contains("in the place of your own login"), "{outcome:?}");
    assert_eq!(env(&user)["ANTHROPIC_AUTH_TOKEN"], "their-token");
}

#[test]
fn a_user_without_a_login_sees_the_token_that_needs_none() {
    let user = user(PASS_THROUGH);
    let outcome = succeeds(&user, &["init"]);
    assert!(outcome.stdout.contains("set ANTHROPIC_AUTH_TOKEN to managed-by-cc-relay"), "{outcome:?}");
    user.write(".claude/.credentials.json", "{}");
    let outcome = succeeds(&user, &["init"]);
    assert!(!outcome.stdout.contains("managed-by-cc-relay"), "{outcome:?}");
}

#[test]
fn the_url_is_that_of_a_listener_with_a_fixed_port() {
    let with = |server: &str| {
        let user = User::new();
        user.write("config.yaml", &format!("server: {server}\nproviders: [{{ name: m, type: mock }}]\n"));
        user
    };
    let user = with("{ listen: '0.0.0.0:8443' }");
    succeeds(&user, &["init"]);
    assert_eq!(env(&user)["ANTHROPIC_BASE_URL"], "http://127.0.0.1:8443");
    fails(&with("{ listen: '127.0.0.1:0' }"), &["init"], "no fixed port");
    fails(&with("{ listen: 'unix:relay.sock' }"), &["init"], "Unix sockets only");
}

#[test]
fn everything_else_stays_byte_for_byte() {
    for theirs in [THEIRS.to_owned(), THEIRS.replace('\n', "\r\n"), format!("\u{feff}{THEIRS}")] {
        let user = user(API_KEY);
        write_settings(&user, &theirs);
        succeeds(&user, &["init"]);
        let expected = theirs
            .replace("their-token\"", "secret-one\",NEXT    \"ANTHROPIC_BASE_URL\": \"http://127.0.0.1:1\"");
        let next = if theirs.contains('\r') { "\r\n" } else { "\n" };
        assert_eq!(settings(&user), expected.replace("NEXT", next));
        let outcome = succeeds(&user, &["remove"]);
        assert!(outcome.stdout.contains("ANTHROPIC_AUTH_TOKEN: set back to its former value"), "{outcome:?}");
        assert_eq!(settings(&user), theirs);
    }
}

#[test]
fn an_edit_of_the_user_between_init_and_remove_is_kept() {
    let user = user(NO_AUTH);
    write_settings(&user, THEIRS);
    succeeds(&user, &["init"]);
    // Claude Code writes the file with its own layout.
    let mut value: Value = serde_json::from_str(&settings(&user)).unwrap();
    value["model"] = json!("opus");
    value["env"]["ANTHROPIC_BASE_URL"] = json!("https://another-gateway");
    write_settings(&user, &format!("{value:#}"));
    let outcome = succeeds(&user, &["remove"]);
    assert!(outcome.stdout.contains("ANTHROPIC_BASE_URL: left as it is"), "{outcome:?}");
    value["env"]["ANTHROPIC_AUTH_TOKEN"] = json!("their-token");
    assert_eq!(serde_json::from_str::<Value>(&settings(&user)).unwrap(), value);
}

#[test]
fn runs_at_the_same_time_lose_nothing() {
    let user = user(NO_AUTH);
    write_settings(&user, THEIRS);
    let urls: Vec<String> = (1..=6).map(|port| format!("http://127.0.0.1:{port}")).collect();
    let runs: Vec<_> = urls.iter().map(|url| user.spawn(&["config", "cc", "init", "--url", url])).collect();
    for run in runs {
        let outcome = run.outcome();
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
    }
    let url = env(&user)["ANTHROPIC_BASE_URL"].as_str().unwrap().to_owned();
    assert!(urls.contains(&url), "{url}");
    succeeds(&user, &["remove"]);
    assert_eq!(settings(&user), THEIRS);
    assert_eq!(names_in(&user.path(".claude")), ["settings.json"], "a temporary file remains");
}

#[test]
fn a_dry_run_prints_the_difference_without_secrets_and_changes_nothing() {
    let user = user(API_KEY);
    write_settings(&user, THEIRS);
    let outcome = succeeds(&user, &["init", "--dry-run"]);
    let path = user.path(".claude/settings.json").display().to_string();
    let expected = format!(
        "--- {path}\n+++ {path}\n@@ -2,7 +2,8 @@\n   \"$schema\": \"https://json.schemastore.org/claude-code-settings.json\",\n   \
         \"env\": {{\n     \"DATABASE_PASSWORD\": \"***\",\n-    \"ANTHROPIC_AUTH_TOKEN\": \"***\"\n+    \"ANTHROPIC_AUTH_TOKEN\": \
         \"***\",\n+    \"ANTHROPIC_BASE_URL\": \"http://127.0.0.1:1\"\n   }},\n   \"permissions\": {{ \"allow\": [\"Bash(git \
         diff:*)\"] }},\n   \"hooks\": {{}},\n"
    );
    assert!(outcome.stdout.starts_with(&expected), "{}", outcome.stdout);
    assert_eq!(settings(&user), THEIRS);
    assert!(!user.path(".local").exists(), "a dry run writes state");
    succeeds(&user, &["init"]);
    let outcome = succeeds(&user, &["remove", "--dry-run"]);
    assert!(outcome.stdout.contains("-    \"ANTHROPIC_BASE_URL\": \"http://127.0.0.1:1\"\n"), "{outcome:?}");
    assert_ne!(settings(&user), THEIRS);
}

#[test]
fn a_file_that_claude_code_would_ignore_is_refused_with_its_place() {
    let user = user(NO_AUTH);
    for (text, words) in [
        ("{\n  \"model\": \"opus\",\n}\n", "line 2, column 18: found a comma before a closing bracket"),
        ("{\n  // mine\n}\n", "line 2, column 3: found a comment"),
        ("{\"env\": [\"A=1\"]}", "line 1, column 9: found an array as `env`"),
    ] {
        write_settings(&user, text);
        for arguments in [&["init"][..], &["init", "--dry-run"], &["remove"]] {
            fails(&user, arguments, words);
            fails(&user, arguments, "Claude Code ignores the whole file");
        }
        assert_eq!(settings(&user), text);
    }
}

#[test]
fn symbolic_links_and_the_mode_of_the_file_are_kept() {
    let user = user(NO_AUTH);
    fs::create_dir_all(user.path("dotfiles")).unwrap();
    fs::create_dir_all(user.path(".claude")).unwrap();
    let real = user.write("dotfiles/claude.json", "{}\n");
    symlink("claude.json", user.path("dotfiles/link.json")).unwrap();
    symlink("../dotfiles/link.json", user.path(".claude/settings.json")).unwrap();
    assert!(user.shell("chmod 640 dotfiles/claude.json").status().unwrap().success());
    succeeds(&user, &["init"]);
    assert!(user.path(".claude/settings.json").is_symlink() && user.path("dotfiles/link.json").is_symlink());
    assert_eq!(mode(&real), 0o640);
    assert_eq!(env(&user)["ANTHROPIC_BASE_URL"], "http://127.0.0.1:1");
    assert!(user.shell("chmod 444 dotfiles/claude.json").status().unwrap().success());
    fails(&user, &["remove"], "the file is read-only");
    assert!(user.shell("chmod 640 dotfiles/claude.json").status().unwrap().success());
    succeeds(&user, &["remove"]);
    assert_eq!(fs::read_to_string(&real).unwrap(), "{}\n");
    let mut names = names_in(&user.path("dotfiles"));
    names.sort();
    assert_eq!(names, ["claude.json", "link.json"], "a temporary file remains");
}

#[test]
fn other_files_and_urls_can_be_named() {
    let user = user(API_KEY).with_variable("CLAUDE_CONFIG_DIR", "moved");
    succeeds(&user, &["init", "--url", "https://relay.example/"]);
    let read = |name: &str| fs::read_to_string(user.path(name)).unwrap();
    assert!(read("moved/settings.json").contains("\"ANTHROPIC_BASE_URL\": \"https://relay.example\""));
    succeeds(&user, &["init", "--local"]);
    assert!(read(".claude/settings.local.json").contains("secret-one"));
    fails(&user, &["init", "--project"], "usually shared with others");
    succeeds(&user, &["init", "--settings", "other.json"]);
    let outcome = succeeds(&user, &["remove", "--project"]);
    assert!(outcome.stdout.contains("other.json` restores that file"), "{outcome:?}");
    for arguments in [&["remove"][..], &["remove", "--local"], &["remove", "--settings", "other.json"]] {
        succeeds(&user, arguments);
    }
    assert!(
        !user.path("moved").exists() && !user.path(".claude").exists() && !user.path("other.json").exists()
    );
    for url in ["127.0.0.1:8787", "http://relay/v1", "http://a:their-password@relay"] {
        fails(&user, &["init", "--url", url], "as the URL of the relay");
    }
}

#[test]
fn status_shows_the_values_in_force_and_the_server_that_answers() {
    let user = User::new()
        .with_variable("ANTHROPIC_BASE_URL", "http://127.0.0.1:1")
        .with_variable("ANTHROPIC_API_KEY", "their-token");
    let run = || user.run(&["config", "cc", "status"]);
    let outcome = run();
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stdout.contains("no server answers at http://127.0.0.1:1"), "{outcome:?}");
    assert!(!outcome.stdout.contains("their-token"), "{outcome:?}");
    let (_process, address) = user.serve(&["--demo"]);
    succeeds(&user, &["init", "--demo", "--url", &format!("http://{address}")]);
    let outcome = succeeds(&user, &["status"]);
    assert!(
        outcome.stdout.contains(&format!("ANTHROPIC_BASE_URL = http://{address}  (in force)")),
        "{outcome:?}"
    );
    assert!(
        outcome.stdout.contains("ANTHROPIC_BASE_URL = http://127.0.0.1:1  (not in force)"),
        "{outcome:?}"
    );
    assert!(outcome.stdout.contains(" (changed by `config cc init`)"), "{outcome:?}");
    assert!(outcome.stdout.contains(&format!(" answers at http://{address}\n")), "{outcome:?}");
    assert!(
        !outcome.stdout.contains("\nproject  "),
        "the file of the home directory is listed twice: {outcome:?}"
    );
    let outcome = succeeds(&user, &["status", "--json"]);
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(
        (&report["server"], &report["base_url"]),
        (&json!("cc-relay"), &json!(format!("http://{address}")))
    );
}
