//! Exit codes, and commands that need no configuration.

use std::fs;

use relay_tests::Upstream;

use crate::process::{User, names_in};

#[track_caller]
fn check(arguments: &[&str], code: i32, stdout: &str, stderr: &str) {
    let outcome = User::new().run(arguments);
    assert_eq!(outcome.code, Some(code), "{outcome:?}");
    assert!(outcome.stdout.contains(stdout), "{outcome:?}");
    assert!(outcome.stderr.contains(stderr), "{outcome:?}");
    assert!(!outcome.stdout.contains('\x1b') && !outcome.stderr.contains('\x1b'), "colours: {outcome:?}");
}

#[test]
fn help_and_version_succeed() {
    let version = concat!("cc-relay ", env!("CARGO_PKG_VERSION"), "\n");
    check(&["version"], 0, version, "");
    check(&["--version"], 0, version, "");
    check(&["--help"], 0, "Usage: cc-relay [OPTIONS] [COMMAND]", "");
    check(&["config", "init", "--help"], 0, "--force", "");
}

#[test]
fn a_mistake_on_the_command_line_is_a_usage_error() {
    check(&["frobnicate"], 2, "", "unrecognized subcommand 'frobnicate'");
    check(&["--log-level", "loud"], 2, "", "possible values: debug, info, warn, error");
    check(&["--demo", "--config", "config.yaml"], 2, "", "cannot be used with");
    check(&["--demo", "--listen", "8787"], 2, "", "command line: server.listen: found ");
    for url in ["https://a b/?t=hunter2#hunter2", "http://a b@c?hunter2", "ftp://x#hunter2@y"] {
        let outcome = User::new().run(&["status", "--url", url]);
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        assert!(outcome.stderr.contains("expected a URL like http://"), "{outcome:?}");
        assert!(!outcome.stderr.contains("hunter2"), "{outcome:?}");
    }
    let (_unused, address) = Upstream::refusing();
    let outcome =
        User::new().run(&["status", "--url", &format!("https://u:hunter2@{address}/?t=hunter2#hunter2")]);
    assert!(outcome.code == Some(1) && outcome.stderr.contains("no relay answers"), "{outcome:?}");
    assert!(!outcome.stderr.contains("hunter2"), "{outcome:?}");
    check(&["status", "--url", "ftp://relay.example"], 2, "", "expected a URL like http://");
    check(&["config", "init", "--path", "config.json"], 2, "", "must end in ");
}

#[test]
fn a_missing_file_is_a_failure() {
    check(&["--config", "nope.yaml"], 1, "", "error: there is no file nope.yaml\n");
    check(&["config", "validate"], 1, "", "there is no configuration file to check");
}

#[test]
fn each_shell_has_completions() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        check(&["completions", shell], 0, "validate", "");
    }
}

#[test]
fn each_command_has_a_manual_page() {
    check(&["man"], 0, ".TH cc-relay 1", "");
    let user = User::new();
    let outcome = user.run(&["man", "share/man1"]);
    assert_eq!((outcome.code, &*outcome.stdout, &*outcome.stderr), (Some(0), "", ""));
    let pages = names_in(&user.path("share/man1"));
    for page in ["cc-relay.1", "cc-relay-run.1", "cc-relay-config.1", "cc-relay-config-cc-init.1"] {
        assert!(pages.iter().any(|name| name == page), "{pages:?}");
    }
    // The page has the options of the command; their hyphens are escaped.
    let doctor = fs::read_to_string(user.path("share/man1/cc-relay-doctor.1")).expect("a page");
    assert!(doctor.contains(r"\-\-send"), "{doctor}");
    // A file where the directory would be.
    user.write("file", "");
    let outcome = user.run(&["man", "file"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.starts_with("error: the manual pages cannot be written to file"), "{outcome:?}");
}

#[test]
fn a_closed_pipe_is_not_a_failure() {
    let mut child = User::new().command(&["config", "schema"]).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
