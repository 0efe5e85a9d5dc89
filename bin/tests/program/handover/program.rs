//! The program that is started: the file that has the name by which the old process was started.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{FAILED, MOCK, Successor, streams};
use crate::process::{Process, User};

const SERVE: [&str; 5] = ["serve", "--listen", "127.0.0.1:0", "--config", "config.yaml"];

/// A directory that can have hard links to the program.
fn directory() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// Installs the program at `path`.
fn install(path: &Path) {
    fs::hard_link(env!("CARGO_BIN_EXE_cc-relay"), path).unwrap();
}

/// Returns the file that a process executes, as Linux shows it.
fn executed(pid: u32) -> PathBuf {
    fs::read_link(format!("/proc/{pid}/exe")).unwrap()
}

fn user() -> User {
    let user = User::new();
    user.write("config.yaml", MOCK);
    user
}

#[test]
fn a_file_that_has_replaced_the_program_is_started() {
    let (user, directory) = (user(), directory());
    let path = directory.path().join("cc-relay");
    // The last name is known neither to the directory nor to PATH: the file of the process is used.
    for name in [path.to_str().unwrap(), "a-name-of-no-file"] {
        install(&path);
        let mut command = user.program(&path);
        command.arg0(name).args(SERVE);
        let (mut relay, address) = Process::spawn(command).listening();
        fs::remove_file(&path).unwrap();
        assert!(executed(relay.id()).to_str().unwrap().ends_with(" (deleted)"));
        install(&path);
        let new = Successor::take_over(&mut relay);
        assert_eq!(executed(new.0), path);
        streams(address);
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn without_a_file_the_old_process_goes_on_until_there_is_one() {
    let (user, directory) = (user(), directory());
    let path = directory.path().join("cc-relay");
    install(&path);
    let mut command = user.program(&path);
    command.args(SERVE);
    let (mut relay, address) = Process::spawn(command).listening();
    fs::remove_file(&path).unwrap();
    relay.signal("USR2");
    let line = relay.wait_for(FAILED);
    assert!(line.contains(&format!("cannot start {}", path.display())), "{line}");
    assert!(!line.contains("(deleted)"), "{line}");
    streams(address);
    install(&path);
    let _new = Successor::take_over(&mut relay);
    streams(address);
}

#[test]
fn a_relative_name_is_that_of_the_directory_in_which_the_program_was_started() {
    let (user, directory) = (user(), directory());
    install(&directory.path().join("cc-relay"));
    let config = user.path("config.yaml");
    let mut command = user.program("./cc-relay");
    command.current_dir(&directory).args(["serve", "--listen", "127.0.0.1:0", "--config"]).arg(config);
    let (mut relay, address) = Process::spawn(command).listening();
    let new = Successor::take_over(&mut relay);
    assert_eq!(executed(new.0), directory.path().join("cc-relay"));
    streams(address);

    // The directory is moved away, and the program with it.
    relay.wait_for_end();
    let moved = directory.path().with_extension("moved");
    fs::rename(directory.path(), &moved).unwrap();
    new.signal("USR2");
    let newest = Successor::of(&relay.wait_for(super::HANDED_OVER));
    assert_eq!(executed(newest.0), moved.join("cc-relay"));
    streams(address);
    newest.signal("TERM");
    newest.wait_for_end();
    fs::remove_dir_all(moved).unwrap();
}

#[test]
fn a_name_of_the_search_path_is_looked_up_again() {
    let (user, directory) = (user(), directory());
    let path = directory.path().join("cc-relay");
    install(&path);
    let user = user.with_variable("PATH", directory.path().to_str().unwrap());
    let mut command = user.shell(&format!("exec cc-relay {}", SERVE.join(" ")));
    command.env("PATH", directory.path());
    let (mut relay, address) = Process::spawn(command).listening();
    let new = Successor::take_over(&mut relay);
    assert_eq!(executed(new.0), path);
    streams(address);
}
