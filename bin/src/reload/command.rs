//! `cc-relay reload`: makes a running relay read its configuration again.

use std::io;
use std::process::ExitCode;

use http::StatusCode;
use relay_config::shown_url;
use serde_json::{Value, json};

use super::arguments::ReloadArguments;
use crate::cli::Settings;
use crate::output::{Output, printable};
use crate::settings::{Readable, SettingsError, readable};
use crate::status::client::{Client, ClientError};
use crate::status::url_of;

/// The failure of `reload`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReloadCommandError {
    #[error("found {url:?}: expected a URL like http://127.0.0.1:8788; https is not supported")]
    Url { url: String },
    #[error(
        "the configuration turns the admin API off, which `reload` needs; the relay also reloads by itself when the file changes, \
         and after SIGHUP"
    )]
    Off,
    #[error(
        "no admin API answers at {url}; start the relay with `cc-relay serve`, or name the URL with --url"
    )]
    Unreachable {
        url: String,
        #[source]
        source: ClientError,
    },
    #[error(
        "the configuration cannot be loaded, and no relay answers at {url}; name the URL of its admin API with --url"
    )]
    Settings {
        url: String,
        #[source]
        source: SettingsError,
    },
    #[error(
        "the admin API at {url} refuses the token; set admin.token in the configuration, or CC_RELAY_ADMIN__TOKEN, to the \
         token that the relay uses now"
    )]
    Token { url: String },
    #[error(
        "the server at {url} has no admin API of cc-relay: it returned {status}; name the URL with --url"
    )]
    Foreign { url: String, status: StatusCode },
    #[error(transparent)]
    CommandLine(SettingsError),
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
    #[error(transparent)]
    Output(#[from] io::Error),
}

impl ReloadCommandError {
    pub(crate) fn is_usage(&self) -> bool {
        matches!(self, Self::Url { .. } | Self::CommandLine(_))
    }
}

/// Makes a running relay read its configuration again, and prints the result. The exit code is 0 if the configuration of the file is
/// in use, except settings that need a restart, otherwise 1.
pub(crate) fn reload(
    arguments: &ReloadArguments,
    settings: &Settings,
    out: &mut Output,
) -> Result<ExitCode, ReloadCommandError> {
    let (client, unloaded) = client(arguments, settings)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let answer = runtime.map_err(ReloadCommandError::Runtime)?.block_on(client.post("/admin/v1/reload"));
    let url = client.url();
    let (status, body) = match (answer, unloaded) {
        (Ok(answer), _) => answer,
        (Err(_), Some(source)) => return Err(ReloadCommandError::Settings { url, source }),
        (Err(source), None) => return Err(ReloadCommandError::Unreachable { url, source }),
    };
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let result = match status {
        StatusCode::OK if body["message"].is_string() => Ok(&body["message"]),
        StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY if body["error"]["message"].is_string() => {
            Err(&body["error"]["message"])
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(ReloadCommandError::Token { url }),
        status => return Err(ReloadCommandError::Foreign { url, status }),
    };
    let error = result.err().map(text);
    match (arguments.json, result) {
        (true, Ok(_)) => out.line(format_args!("{body:#}"))?,
        (true, Err(_)) => out.line(format_args!("{:#}", json!({ "changed": false, "error": error })))?,
        (false, Ok(message)) => text(message).lines().try_for_each(|line| out.line(printable(line)))?,
        (false, Err(message)) => {
            text(message).lines().try_for_each(|line| Output::stderr().error(printable(line)))?;
        }
    }
    Ok(if error.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A client of the admin API at the given URL, or at the address in the configuration. The token comes from the configuration in
/// both cases. The error of a configuration that cannot be loaded is returned too: the relay may run with an earlier one.
fn client(
    arguments: &ReloadArguments,
    settings: &Settings,
) -> Result<(Client, Option<SettingsError>), ReloadCommandError> {
    let Readable { config, fault } = readable(settings).map_err(ReloadCommandError::CommandLine)?;
    let admin = config.admin;
    let url = match &arguments.url {
        Some(url) => url.clone(),
        None if admin.enabled => url_of(&admin.listen),
        None => return Err(ReloadCommandError::Off),
    };
    let client = url.parse().ok().and_then(|uri| Client::new(&uri, admin.token));
    let client =
        client.ok_or_else(|| ReloadCommandError::Url { url: shown_url(&url).unwrap_or_default() })?;
    Ok((client, fault))
}
