//! The arguments of `cc-relay run`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// Use this provider only. May be repeated. Starts a relay of its own.
    #[arg(long, value_name = "NAME")]
    pub(crate) provider: Vec<String>,
    /// Model of Claude Code (ANTHROPIC_MODEL).
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// Start a relay of its own, even if one runs at the configured address.
    #[arg(long)]
    pub(crate) fresh: bool,
    /// File for the log of a relay of its own. Default: that of the configuration; without one, warnings are printed after the
    /// command has ended.
    #[arg(long, value_name = "PATH")]
    pub(crate) log_output: Option<PathBuf>,
    /// Process that starts the command. The command ends with it.
    #[arg(long, hide = true, value_name = "PID")]
    pub(crate) child_of: Option<i32>,
    /// Command and its arguments, such as `-- claude -p "hello"`.
    #[arg(required = true, num_args = 1.., trailing_var_arg = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}
