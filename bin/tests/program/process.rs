//! The program in a home directory of its own.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The time limit of any step. No step needs a tenth of it.
const STEP_TIMEOUT: Duration = Duration::from_secs(20);

/// A user without the variables and files of the machine.
#[derive(Debug)]
pub(crate) struct User {
    home: TempDir,
    variables: Vec<(&'static str, String)>,
}

/// The exit code and the output of a command.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl User {
    pub(crate) fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap(), variables: Vec::new() }
    }

    pub(crate) fn with_variable(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// A path in the home directory, which is also the working directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.isolated(env!("CARGO_BIN_EXE_cc-relay"));
        command.args(arguments);
        command
    }

    /// A line for the shell.
    #[cfg(unix)]
    pub(crate) fn shell(&self, line: &str) -> Command {
        let mut command = self.isolated("/bin/sh");
        command.args(["-c", line]);
        command
    }

    /// Another program, or the relay's by another name.
    #[cfg(unix)]
    pub(crate) fn program(&self, program: impl AsRef<OsStr>) -> Command {
        self.isolated(program)
    }

    fn isolated(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("HOME", self.home.path())
            .env("XDG_CONFIG_HOME", self.path("xdg"))
            // A test that needs them enables them by a variable of its own.
            .env("CC_RELAY_ADMIN__ENABLED", "false")
            .env("CC_RELAY_USAGE__ENABLED", "false")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.home)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a command until it ends by itself.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        self.spawn(arguments).outcome()
    }

    /// Starts a command.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> Process {
        self.spawn_with(arguments, &[])
    }

    /// Starts a command with further environment variables.
    pub(crate) fn spawn_with(&self, arguments: &[&str], variables: &[(&str, String)]) -> Process {
        let mut command = self.command(arguments);
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        Process::spawn(command)
    }

    /// Starts `serve` on a free port and waits until it listens.
    pub(crate) fn serve(&self, arguments: &[&str]) -> (Process, SocketAddr) {
        Process::spawn(self.command(&[&["serve", "--listen", "127.0.0.1:0"], arguments].concat())).listening()
    }
}

/// A running command. It is killed when the test ends.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
    /// The output up to the last line that the test has waited for.
    seen: String,
}

impl Process {
    /// Starts a command, whose output is piped.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (line, lines) = mpsc::channel();
        std::thread::spawn(move || {
            // The receiver is gone once the test has ended.
            stdout.lines().map_while(Result::ok).try_for_each(|text| line.send(text))
        });
        Self { child, lines, seen: String::new() }
    }

    /// Waits until `serve` listens, and returns its address.
    pub(crate) fn listening(mut self) -> (Self, SocketAddr) {
        let line = self.wait_for("listening on http://");
        let address = line.split("http://").nth(1).unwrap();
        let address = address.split(|c: char| !matches!(c, '0'..='9' | '.' | ':')).next().unwrap();
        (self, address.parse().unwrap())
    }

    /// Reads until a line contains `phrase`, and returns this line.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, phrase: &str) -> String {
        loop {
            let Ok(line) = self.lines.recv_timeout(STEP_TIMEOUT) else {
                let stderr = self.stderr();
                panic!("no {phrase:?} in:\n{}{stderr}", self.seen);
            };
            self.seen.push_str(&line);
            self.seen.push('\n');
            if line.contains(phrase) {
                return line;
            }
        }
    }

    /// The output up to the last line that the test has waited for.
    pub(crate) fn seen(&self) -> &str {
        &self.seen
    }

    /// Waits until the process ends by itself.
    #[track_caller]
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        loop {
            match self.lines.recv_timeout(STEP_TIMEOUT) {
                Ok(line) => {
                    self.seen.push_str(&line);
                    self.seen.push('\n');
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => return self.child.wait().unwrap().code(),
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("still running after:\n{}", self.seen),
            }
        }
    }

    /// Waits until the process ends by itself, and returns its output.
    pub(crate) fn outcome(mut self) -> Outcome {
        let code = self.exit_code();
        let stdout = std::mem::take(&mut self.seen);
        let stderr = self.stderr();
        Outcome { code, stdout, stderr }
    }

    /// Returns `true` if the process has not ended.
    #[cfg(unix)]
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// The standard error of the process.
    #[cfg(unix)]
    pub(crate) fn stderr_reader(&mut self) -> &mut impl Read {
        self.child.stderr.as_mut().unwrap()
    }

    /// The id of the process.
    #[cfg(unix)]
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, such as `TERM`.
    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        assert!(signal(self.id(), name));
    }

    /// Waits until the process ends by itself. Another process may have its output, and go on.
    #[cfg(unix)]
    #[track_caller]
    pub(crate) fn wait_for_end(&mut self) {
        within_limit("the end of the process", || !self.is_running());
    }

    /// Kills the process and returns its standard error. If a process that it has started holds this pipe open, the text is
    /// what has arrived within the time limit.
    fn stderr(&mut self) -> String {
        let _ = self.child.kill();
        let Some(mut stderr) = self.child.stderr.take() else { return String::new() };
        let (sender, pieces) = mpsc::channel();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            // The receiver is gone once the time has passed.
            while let Ok(length @ 1..) = stderr.read(&mut piece) {
                if sender.send(piece[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        let end = Instant::now() + STEP_TIMEOUT;
        let arrived =
            std::iter::from_fn(|| pieces.recv_timeout(end.saturating_duration_since(Instant::now())).ok());
        String::from_utf8(arrived.flatten().collect()).unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The process may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection on which the test writes the bytes of HTTP itself.
#[derive(Debug)]
pub(crate) struct Connection(BufReader<TcpStream>);

impl Connection {
    /// Connects and sends `text`.
    pub(crate) fn send(address: SocketAddr, text: &str) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(STEP_TIMEOUT)).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        Self(BufReader::new(stream))
    }

    /// Connects and sends `text`, of which the server may refuse the rest.
    #[cfg(unix)]
    pub(crate) fn try_send(address: SocketAddr, text: &str) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(STEP_TIMEOUT)).unwrap();
        // An error means that the server has closed the connection.
        let _ = stream.write_all(text.as_bytes());
        Self(BufReader::new(stream))
    }

    /// Reads to the end of the connection, which may be a reset.
    #[cfg(unix)]
    pub(crate) fn read_available(&mut self) -> String {
        let mut bytes = Vec::new();
        let _ = self.0.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Requests a streamed message.
    pub(crate) fn request_stream(address: SocketAddr) -> Self {
        let body = r#"{"model":"claude-sonnet-5-5","max_tokens":64,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
        let length = body.len();
        Self::send(
            address,
            &format!(
                "POST /v1/messages?beta=true HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
                 content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
            ),
        )
    }

    /// Reads to the end of the line that contains `phrase`.
    #[track_caller]
    pub(crate) fn read_to(&mut self, phrase: &str) -> String {
        let mut text = String::new();
        loop {
            let start = text.len();
            assert_ne!(self.0.read_line(&mut text).unwrap(), 0, "ended before {phrase:?}:\n{text}");
            if text[start..].contains(phrase) {
                return text;
            }
        }
    }

    /// Reads to the end of the connection.
    pub(crate) fn read_to_end(&mut self) -> String {
        let mut text = String::new();
        self.0.read_to_string(&mut text).unwrap();
        text
    }
}

/// Sends a signal, such as `TERM`, to the process with this id. Returns `false` if there is none.
#[cfg(unix)]
pub(crate) fn signal(id: u32, name: &str) -> bool {
    // `kill` is built into the shell. A small machine may not have it as a program.
    let kill = format!("kill -{name} {id} 2>/dev/null");
    Command::new("sh").args(["-c", &kill]).status().unwrap().success()
}

/// Waits until `is_reached`.
#[cfg(unix)]
#[track_caller]
pub(crate) fn within_limit(state: &str, mut is_reached: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_reached() {
        assert!(start.elapsed() < STEP_TIMEOUT, "no {state}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The names in a directory.
pub(crate) fn names_in(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// The permissions of a file or directory.
#[cfg(unix)]
pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}
