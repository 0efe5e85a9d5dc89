//! The arguments of `cc-relay reload`.

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct ReloadArguments {
    /// URL of the admin API. Default: the address in the configuration (admin.listen).
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// Print JSON instead of text.
    #[arg(long)]
    pub(crate) json: bool,
}
