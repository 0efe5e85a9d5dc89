//! Chromium, for the tests of the dashboard.
//!
//! The tests themselves are scripts in `tests/browser`, which a node program runs. `tests/browser/setup.sh` installs their
//! tools. If a tool is missing, a test reports that and passes, as with the [real clients](crate::ClaudeCode).

use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::real::{ProcessOutput, isolated_command, repository, skip};
use crate::time_limit::within;

/// The time limit of one run of all tests. It takes a minute, and several if other programs use the processors.
const RUN_TIMEOUT: Duration = Duration::from_secs(600);

/// The places of the browser, as the packages of the distributions install it.
const PROGRAMS: [&str; 3] = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/// A browser with the tools of the tests.
#[derive(Debug)]
pub struct Browser {
    program: PathBuf,
}

impl Browser {
    /// Returns the browser that `CC_RELAY_TEST_CHROMIUM` names, else that of the system. Reports that the test is skipped if
    /// there is none, or if its tools are not installed.
    #[must_use]
    #[track_caller]
    pub fn find() -> Option<Self> {
        if !repository().join("target/browser/node_modules/playwright-core").exists() {
            skip("target/browser (tests/browser/setup.sh)");
            return None;
        }
        let named = env::var_os("CC_RELAY_TEST_CHROMIUM").map(PathBuf::from);
        let program = named.or_else(|| PROGRAMS.iter().map(PathBuf::from).find(|path| path.exists()));
        if program.is_none() {
            skip("chromium (CC_RELAY_TEST_CHROMIUM)");
        }
        Some(Self { program: program? })
    }

    /// Runs `tests/browser/run.mjs` with `arguments`, and prints the number of tests on standard error.
    /// # Panics
    /// If a test of it fails.
    pub async fn run(&self, arguments: &[&str]) {
        let script = repository().join("tests/browser/run.mjs");
        let output = self.node(&script, arguments).await;
        assert!(output.status.success(), "{}\n{}", output.stdout, output.stderr);
        // Past the capture of the test runner. A failed write only loses the report.
        let sum = output.stdout.lines().next_back().unwrap_or_default();
        let _ = std::io::stderr().write_all(format!("{sum}\n").as_bytes());
    }

    async fn node(&self, script: &Path, arguments: &[&str]) -> ProcessOutput {
        let home = TempDir::new().expect("a temporary directory");
        let mut command = isolated_command(Path::new("node"));
        command
            .env("HOME", home.path())
            .env("CC_RELAY_TEST_CHROMIUM", &self.program)
            .arg(script)
            .args(arguments);
        let output = within(RUN_TIMEOUT, "end of the browser's tests", command.output()).await;
        let output = output.expect("node runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        ProcessOutput { status: output.status, stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}
