//! Real clients and proxies: the `anthropic` Python package and the Claude Code CLI.
//!
//! `real-clients/setup.sh` installs both in `target/real-clients/`. If a client is missing, its tests report that on
//! standard error and pass, unless `CC_RELAY_REQUIRE_REAL_CLIENTS` is set, as in CI.

use std::env;
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::time_limit::within;

/// The time limit of one run of a real client, including its own retries.
const RUN_TIMEOUT: Duration = Duration::from_secs(90);

/// A Python interpreter that has the packages of `real-clients/requirements.txt`.
#[derive(Debug)]
pub struct Python {
    interpreter: PathBuf,
    variables: Vec<(String, String)>,
}

impl Python {
    /// Returns the interpreter that `CC_RELAY_TEST_PYTHON` names, else the one that the set-up script installs.
    #[must_use]
    pub fn find() -> Option<Self> {
        let interpreter = find_program("CC_RELAY_TEST_PYTHON", "venv/bin/python")?;
        Some(Self { interpreter, variables: Vec::new() })
    }

    /// Sets an environment variable for the scripts.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Makes `calls` with the SDK against `base_url`, one after the other, and returns their outcomes. The format of
    /// both is described in `real-clients/sdk.py`.
    /// # Panics
    /// If the script fails. No answer of an upstream makes it fail.
    pub async fn calls(&self, base_url: &str, api_key: &str, calls: &[Value]) -> Vec<Value> {
        self.run("sdk.py", &[base_url, api_key], calls).await
    }

    /// Makes `calls` with the SDK's clients for cloud platforms, one after the other, and returns their outcomes. The
    /// format of both is described in `real-clients/clouds.py`.
    /// # Panics
    /// If the script fails. No answer of an upstream makes it fail.
    pub async fn cloud_calls(&self, calls: &[Value]) -> Vec<Value> {
        self.run("clouds.py", &[], calls).await
    }

    /// Signs `requests` with botocore and returns the signatures. The format is described in `real-clients/sigv4.py`.
    /// # Panics
    /// If the script fails.
    pub async fn signatures(&self, requests: &[Value]) -> Vec<Value> {
        self.run("sigv4.py", &[], requests).await
    }

    async fn run(&self, script: &str, arguments: &[&str], lines: &[Value]) -> Vec<Value> {
        let script = repository().join("tests/real-clients").join(script);
        let mut command = isolated_command(&self.interpreter);
        command.arg("-B").arg(script).args(arguments);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let input: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let finished = finish(command, &input).await;
        assert!(finished.status.success(), "{finished:#?}");
        let outcomes = finished.stdout.lines().map(serde_json::from_str);
        outcomes.collect::<Result<_, _>>().expect("the script prints JSON lines")
    }
}

/// The Claude Code CLI with a new, empty home directory and a new, empty project directory.
#[derive(Debug)]
pub struct ClaudeCode {
    program: PathBuf,
    home: TempDir,
    project: TempDir,
    variables: Vec<(String, String)>,
}

impl ClaudeCode {
    /// Returns the CLI that `CC_RELAY_TEST_CLAUDE` names, else the one that the set-up script installs.
    /// # Panics
    /// If no temporary directory can be created.
    #[must_use]
    pub fn find() -> Option<Self> {
        let program = find_program("CC_RELAY_TEST_CLAUDE", "claude/claude")?;
        let directory = || TempDir::new().expect("a temporary directory");
        Some(Self { program, home: directory(), project: directory(), variables: Vec::new() })
    }

    /// Sets an environment variable for the CLI.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Returns the path of the CLI, to run it in another environment.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Returns the working directory of the CLI.
    #[must_use]
    pub fn project(&self) -> &Path {
        self.project.path()
    }

    /// Runs the CLI in print mode against `base_url`, with an API key unless [`with`](Self::with) has set a credential.
    /// Print mode needs no onboarding and no trusted directory.
    pub async fn print<S: AsRef<OsStr>>(
        &self,
        base_url: &str,
        arguments: impl IntoIterator<Item = S>,
    ) -> ProcessOutput {
        let mut command = isolated_command(&self.program);
        command
            .env("HOME", self.home.path())
            .env("ANTHROPIC_BASE_URL", base_url)
            .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
            .env("DISABLE_AUTOUPDATER", "1")
            .current_dir(self.project.path())
            .arg("--print")
            .args(arguments);
        let credentials = ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"];
        if !self.variables.iter().any(|(name, _)| credentials.contains(&name.as_str())) {
            command.env("ANTHROPIC_API_KEY", "sk-ant-api03-of-the-client");
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        finish(command, "").await
    }
}

/// The result of a finished program.
#[derive(Debug)]
pub struct ProcessOutput {
    /// The exit status.
    pub status: ExitStatus,
    /// The standard output.
    pub stdout: String,
    /// The standard error.
    pub stderr: String,
}

/// Reports that a test did not run, on a standard error that the test runner does not capture.
/// # Panics
/// If `CC_RELAY_REQUIRE_REAL_CLIENTS` is set.
#[track_caller]
pub fn skip(missing: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let hint = "tests/real-clients/setup.sh or .ci/run installs it";
    assert!(env::var_os("CC_RELAY_REQUIRE_REAL_CLIENTS").is_none(), "{missing} is missing: {hint}");
    // One write keeps the lines of concurrent tests apart. A failed write only loses the report.
    let line = format!("SKIPPED {test}: {missing} is missing; {hint}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Returns the program that `variable` names, else that at `installed`, in the directory of the real clients. Reports that
/// the test is skipped if there is none.
#[track_caller]
pub(crate) fn find_program(variable: &str, installed: &str) -> Option<PathBuf> {
    let default = || repository().join("target/real-clients").join(installed);
    let program = env::var_os(variable).map_or_else(default, PathBuf::from);
    if program.exists() {
        return Some(program);
    }
    skip(&format!("{} ({variable})", program.display()));
    None
}

pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("a workspace member is in a directory of the workspace")
}

/// Creates a command that inherits only the search path: no credential, no proxy, no configuration.
pub(crate) fn isolated_command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", env::var_os("PATH").unwrap_or_default()).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

async fn finish(mut command: Command, input: &str) -> ProcessOutput {
    let mut child = command.spawn().expect("the program starts");
    let mut stdin = child.stdin.take().expect("standard input is piped");
    stdin.write_all(input.as_bytes()).await.expect("the program reads its input");
    drop(stdin);
    let output = within(RUN_TIMEOUT, "end of the program", child.wait_with_output()).await;
    let output = output.expect("a child can be waited for");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    ProcessOutput { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) }
}
