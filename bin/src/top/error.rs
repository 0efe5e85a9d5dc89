//! The failures of `top`.

use std::io;

use http::StatusCode;

use crate::settings::SettingsError;
use crate::status::client::ClientError;

/// The failure of `top`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TopError {
    #[error(transparent)]
    CommandLine(SettingsError),
    #[error("found {url:?}: expected a URL like http://127.0.0.1:8788; the admin listener has no https")]
    Url { url: String },
    #[error(
        "the configuration turns the admin API off, which `top` needs; set admin.enabled to true, or use `cc-relay status`"
    )]
    Off,
    #[error(
        "no admin API answers at {url}; start the relay with `cc-relay serve` and admin.enabled, or name the URL with --url"
    )]
    Unreachable {
        url: String,
        #[source]
        source: ClientError,
    },
    #[error(
        "the admin API at {url} refuses the token; set admin.token in the configuration, or CC_RELAY_ADMIN__TOKEN"
    )]
    Token { url: String },
    #[error(
        "the server at {url} has no admin API of cc-relay: it returned {status}; name the URL with --url"
    )]
    Foreign { url: String, status: StatusCode },
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
    #[error("cannot use the terminal")]
    Terminal(#[source] io::Error),
    #[error(transparent)]
    Output(#[from] io::Error),
}

impl TopError {
    pub(crate) fn is_usage(&self) -> bool {
        matches!(self, Self::Url { .. } | Self::CommandLine(_))
    }
}
