//! `cc-relay top`.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use relay_tests::Call;

use crate::process::{Process, User};

/// The time limit of a change on the screen.
const LIMIT: Duration = Duration::from_secs(20);

/// Starts a relay with mock providers, and returns its address and the URL of its admin API.
fn relay(user: &User) -> (Process, std::net::SocketAddr, String) {
    let variables = [
        ("CC_RELAY_ADMIN__ENABLED", "true".to_owned()),
        ("CC_RELAY_ADMIN__LISTEN", "127.0.0.1:0".to_owned()),
    ];
    let mut process = user.spawn_with(&["serve", "--demo", "--listen", "127.0.0.1:0"], &variables);
    let line = process.wait_for("listening on http://");
    let address = line.split("http://").nth(1).unwrap().split_whitespace().next().unwrap().parse().unwrap();
    let line = process.wait_for("admin on http://");
    let url = line.split("http://").nth(1).unwrap();
    let url = url.split(|c: char| !matches!(c, '0'..='9' | '.' | ':')).next().unwrap();
    (process, address, format!("http://{url}"))
}

async fn send(address: std::net::SocketAddr) {
    let body = r#"{"model":"claude-sonnet-5-5","max_tokens":8,"messages":[{"role":"user","content":"hi"}]}"#;
    assert_eq!(Call::messages(body).send(address).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_terminal_the_state_is_printed_once() {
    let user = User::new();
    let (_relay, address, url) = relay(&user);
    send(address).await;
    let outcome = user.run(&["top", "--url", &url]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{}", outcome.stdout);
    for text in [
        "cc-relay 0.1.0  ready",
        "Last minute",
        "Providers (2)",
        "demo-primary",
        "Requests (1)",
        "claude-sonnet-5-5",
    ] {
        assert!(outcome.stdout.contains(text), "{text}: {}", outcome.stdout);
    }
    assert!(!outcome.stdout.contains('\u{1b}'), "{}", outcome.stdout);
}

#[test]
fn a_missing_admin_api_is_reported_with_the_fix() {
    let user = User::new();
    // The port of a closed listener is free.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let outcome = user.run(&["top", "--url", &address.to_string()]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(
        outcome.stderr.contains(&format!("no admin API answers at http://{address}; start the relay")),
        "{outcome:?}"
    );

    let outcome = user.run(&["top", "--demo"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("the configuration turns the admin API off"), "{outcome:?}");

    let (_relay, address) = user.serve(&["--demo"]);
    let outcome = user.run(&["top", "--url", &address.to_string()]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("has no admin API of cc-relay: it returned 404"), "{outcome:?}");

    let outcome = user.run(&["top", "--url", "https://example.com"]);
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
}

/// A shell in a terminal of tmux.
struct Terminal<'a> {
    user: &'a User,
    tmux: PathBuf,
}

impl<'a> Terminal<'a> {
    /// Returns `None` if tmux is missing: the test is skipped.
    fn new(user: &'a User) -> Option<Self> {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let tmux = std::env::split_paths(&paths).map(|path| path.join("tmux")).find(|path| path.is_file());
        let Some(tmux) = tmux else {
            relay_tests::skip("tmux");
            return None;
        };
        let terminal = Self { user, tmux };
        terminal.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", "sh"]);
        terminal.type_line("PS1='$ '; set -m");
        Some(terminal)
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(&self.tmux);
        let output = command
            .args(["-u", "-S", self.user.path("tmux").to_str().unwrap()])
            .args(arguments)
            .env("LC_ALL", "C.UTF-8")
            .env("CC_RELAY_ADMIN__ENABLED", "true")
            .env_remove("TMUX")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn press(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    fn type_line(&self, line: &str) {
        self.tmux(&["send-keys", "-l", line]);
        self.press("Enter");
    }

    /// Waits until `condition` is true for the text on the screen, which it returns.
    #[track_caller]
    fn wait_until(&self, condition: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let screen = self.tmux(&["capture-pane", "-p"]);
            if condition(&screen) {
                return screen;
            }
            assert!(start.elapsed() < LIMIT, "the screen shows:\n{screen}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    #[track_caller]
    fn wait_for(&self, text: &str) -> String {
        self.wait_until(|screen| screen.contains(text))
    }

    /// Checks that the shell works and the terminal shows what is typed.
    #[track_caller]
    fn check_restored(&self, mark: &str) {
        self.wait_until(|screen| !screen.contains("1 Traffic"));
        self.type_line(&format!(
            "stty -a | tr ' ;' '\\n\\n' | grep -x -e echo -e icanon | tr '\\n' ' '; echo {mark}"
        ));
        let screen = self
            .wait_until(|screen| screen.lines().any(|line| line.ends_with(mark) && !line.contains("stty")));
        let line = screen.lines().rev().find(|line| line.ends_with(mark)).unwrap();
        assert!(line.contains("echo") && line.contains("icanon"), "{screen}");
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        let mut command = Command::new(&self.tmux);
        let _ = command.args(["-S", self.user.path("tmux").to_str().unwrap(), "kill-server"]).output();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_view_follows_the_relay_and_restores_the_terminal() {
    let user = User::new();
    let Some(terminal) = Terminal::new(&user) else { return };
    let (relay, address, url) = relay(&user);
    let start = format!("{} top --url {url}", env!("CARGO_BIN_EXE_cc-relay"));

    terminal.type_line(&start);
    terminal.wait_for("[1 Traffic]");
    send(address).await;
    terminal.press("4");
    terminal.wait_for("claude-sonnet-5-5");
    terminal.press("Enter");
    terminal.wait_for("Attempts: 1");
    terminal.press("Escape");
    // An escape and a key right after it would be one key with Alt.
    terminal.wait_for("AGE");
    terminal.press("2");
    terminal.wait_for("demo-backup");
    for (width, height) in [("40", "10"), ("1", "1"), ("200", "50"), ("80", "24")] {
        terminal.tmux(&["resize-window", "-x", width, "-y", height]);
    }
    let screen = terminal.wait_for("demo-backup");
    assert!(screen.lines().all(|line| line.chars().count() <= 80), "{screen}");

    terminal.press("C-z");
    terminal.check_restored("suspended");
    terminal.type_line("fg");
    terminal.wait_for("[2 Providers]");

    drop(relay);
    terminal.wait_for("no connection");
    terminal.press("q");
    terminal.check_restored("quit");
}

#[test]
fn signals_and_ctrl_c_restore_the_terminal() {
    let user = User::new();
    let Some(terminal) = Terminal::new(&user) else { return };
    let (_relay, _, url) = relay(&user);
    let start = format!("{} top --url {url}", env!("CARGO_BIN_EXE_cc-relay"));
    let pid = user.path("pid");
    let pid = pid.display();
    for signal in ["TERM", "INT", "HUP"] {
        terminal.type_line("clear");
        // The shell waits for the program, so that another one sends the signal.
        terminal.type_line(&format!(
            "(sleep 1; kill -{signal} $(cat {pid})) & sh -c 'echo $$ > {pid}; exec {start}'"
        ));
        terminal.wait_for("[1 Traffic]");
        terminal.check_restored(signal);
    }
    terminal.type_line(&start);
    terminal.wait_for("[1 Traffic]");
    terminal.press("C-c");
    terminal.check_restored("interrupted");
}
