//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use http::Uri;

use crate::peer::External;

/// The benchmark of cc-relay, beside other reverse proxies in the same run.
///
/// Prints a table in Markdown. Measures a release build of cc-relay, which it makes unless `--relay` names a program.
#[derive(Debug, Parser)]
#[command(name = "relay-bench", disable_help_subcommand = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) options: Options,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// The options of a run.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Run for less than 2 minutes, with fewer rounds and streams. Long workloads run only if `--only` names them.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Send a handful of requests of every workload through cc-relay and the bare proxy. The numbers mean nothing.
    #[arg(long, conflicts_with = "quick")]
    pub(crate) smoke: bool,
    /// Run each workload once, through cc-relay alone, and stop the processes as a service manager does: a program that records
    /// a profile of itself writes it at its end. Processes that serve a single measurement are killed, as without this option:
    /// those of memory, of the start, and of clients that stop reading. The numbers mean nothing.
    #[arg(long, conflicts_with_all = ["quick", "rounds", "strace"])]
    pub(crate) train: bool,
    /// Run the workloads of these names only.
    #[arg(long = "only", value_name = "NAME", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Rounds of each workload, instead of the default.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) rounds: Option<u16>,
    /// The program `cc-relay` to measure, instead of a new release build.
    #[arg(long, value_name = "PATH")]
    pub(crate) relay: Option<PathBuf>,
    /// The program `envoy`, to measure it too.
    #[arg(long, value_name = "PATH")]
    pub(crate) envoy: Option<PathBuf>,
    /// A proxy that runs already, in front of `http://127.0.0.1:PORT` with the port of `--upstream-port`. The process id is
    /// that of the proxy, whose child processes count too. May be repeated.
    #[arg(long = "peer", value_name = "NAME=URL,PID", requires = "upstream_port")]
    pub(crate) peers: Vec<External>,
    /// The port of the upstream. Default: a free one.
    #[arg(long, value_name = "PORT")]
    pub(crate) upstream_port: Option<u16>,
    /// Write each measured value to this file, as a line of JSON.
    #[arg(long, value_name = "PATH")]
    pub(crate) json: Option<PathBuf>,
    /// Count the system calls of closed loops too, by strace. Each is run once more for it.
    #[arg(long)]
    pub(crate) strace: bool,
    /// Leave the placement of the processes on the CPUs to the system.
    #[arg(long)]
    pub(crate) unplaced: bool,
}

/// The processes that the benchmark starts.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the scripted upstream until standard input ends.
    #[command(hide = true)]
    Upstream {
        /// File for the certificate of the authority.
        ca_file: PathBuf,
        /// Port of the plain listener. 0 is a free one.
        port: u16,
    },
    /// Run the bare proxy.
    #[command(hide = true)]
    Proxy {
        /// Address to listen on.
        listen: SocketAddr,
        /// URL of the upstream.
        upstream: Uri,
        /// File with the certificate of the authority.
        ca_file: PathBuf,
        /// Use HTTP/2 to the upstream.
        #[arg(long)]
        http2: bool,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
