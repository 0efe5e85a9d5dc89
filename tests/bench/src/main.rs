//! The benchmark of cc-relay: CPU time, delay and memory beside other reverse proxies, measured in the same run.
//!
//! ```text
//! client (this process) ──▶ proxy (a process, one CPU) ──▶ scripted upstream (a process)
//!   closed loop, rate,        bare hyper, nginx, haproxy,     JSON, SSE, Event Stream;
//!   paced streams             cc-relay in its configurations  plain, TLS with HTTP/1.1 and HTTP/2
//! ```
//!
//! `docs/performance.md` describes the method and the result. `cargo run --release -p relay-bench -- --help` lists the
//! options.

mod arguments;
mod body;
mod client;
mod facts;
mod listen;
mod peer;
mod proc;
mod process;
mod program;
mod records;
mod run;
mod stats;
mod table;
mod upstream;
mod workload;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use self::arguments::{Arguments, Command};

/// Any error: the benchmark reports it and ends.
type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T, E = Error> = std::result::Result<T, E>;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let workers =
        std::thread::available_parallelism().map_or(1, |cpus| usize::from(cpus).saturating_sub(1).max(1));
    let workers = if arguments.command.is_some() { None } else { Some(workers) };
    match execute(arguments, workers) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            progress(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs the command on a runtime with so many workers, or one for each CPU that the process may use.
fn execute(arguments: Arguments, workers: Option<usize>) -> Result<()> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = workers {
        runtime.worker_threads(workers);
    }
    let runtime = runtime.enable_all().build()?;
    runtime.block_on(async {
        match arguments.command {
            Some(Command::Upstream { ca_file, port }) => upstream::server::serve(&ca_file, port).await,
            Some(Command::Proxy { listen, upstream, ca_file, http2 }) => {
                peer::hyper_proxy::serve(listen, upstream, &ca_file, http2).await
            }
            None => tokio::select! {
                result = program::run(arguments.options) => result,
                stopped = stopped() => Err(stopped.map_or_else(Into::into, Into::into)),
            },
        }
    })
}

/// Waits for a signal. The processes that were started end with the values that own them.
async fn stopped() -> io::Result<&'static str> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result.map(|()| "interrupted"),
        _ = terminate.recv() => Ok("terminated"),
    }
}

/// Writes a line to standard output.
fn print(line: &str) -> Result<()> {
    Ok(writeln!(io::stdout().lock(), "{line}")?)
}

/// Writes a line to standard error, if there is one.
fn progress(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
