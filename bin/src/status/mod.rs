//! `cc-relay status`: shows the state of a running relay.

pub(crate) mod client;
mod connection;
mod json;
mod keys;
pub(crate) mod trust;

use std::io;
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::builder::styling::AnsiColor;
use http::StatusCode;
use relay_config::{Config, ListenAddress, Secret, shown_url};
use serde_json::{Value, json};

use self::client::{Client, ClientError};
use self::trust::RelayTrust;
use crate::cli::{Settings, StatusArguments};
use crate::listen;
use crate::output::{Output, printable};
use crate::settings::{Readable, SettingsError, readable};

/// The number of models of one provider that are named. Further models are counted.
const MODELS_NAMED: usize = 3;

/// The failure of `status`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StatusError {
    #[error(transparent)]
    CommandLine(SettingsError),
    #[error("found {url:?}: expected a URL like http://127.0.0.1:8787, or unix: and the path of a socket")]
    Url { url: String },
    #[error("no relay answers at {url}; start it with `cc-relay serve`, or name its URL with --url")]
    Unreachable {
        url: String,
        #[source]
        source: ClientError,
    },
    #[error(
        "the server at {url} is not cc-relay: GET {path} returned {status}; name the relay's URL with --url"
    )]
    Foreign { url: String, path: &'static str, status: StatusCode },
    #[error(
        "the relay at {url} requires a client certificate (server.tls.client_ca), which this command does not have; let the \
         relay listen on a Unix socket too, or use `cc-relay top`"
    )]
    ClientCertificate { url: String },
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
    #[error(transparent)]
    Output(#[from] io::Error),
}

impl StatusError {
    pub(crate) fn is_usage(&self) -> bool {
        matches!(self, Self::Url { .. } | Self::CommandLine(_))
    }
}

/// Prints the state of the relay. The exit code is 0 if it is ready for requests and some provider is usable, otherwise 1.
pub(crate) fn status(
    arguments: &StatusArguments,
    settings: &Settings,
    out: &mut Output,
) -> Result<ExitCode, StatusError> {
    let readable = readable(settings).map_err(StatusError::CommandLine)?;
    let client = client(arguments.url.as_deref(), &readable)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let admin = admin(arguments.url.as_deref(), &readable);
    let report = runtime.map_err(StatusError::Runtime)?.block_on(Report::fetch(&client, admin.as_ref()))?;
    match arguments.json {
        true => out.line(format_args!("{:#}", report.as_json(&client.url())))?,
        false => report.print(&client.url(), out)?,
    }
    Ok(if report.is_ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Returns one line about the relay at `url`, or at the address in the configuration, and `true` if it is ready and some
/// provider is usable.
pub(crate) fn summary(url: Option<String>, settings: &Settings) -> Result<(String, bool), StatusError> {
    let client = client(url.as_deref(), &readable(settings).map_err(StatusError::CommandLine)?)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let report = runtime.map_err(StatusError::Runtime)?.block_on(Report::fetch(&client, None))?;
    let line = format!("{}: cc-relay {} at {}", report.readiness, report.version, client.url());
    Ok((line, report.is_ready))
}

/// The time for the state of a running relay that another command shows too.
const LIVE_TIMEOUT: Duration = Duration::from_secs(1);

/// Returns the URL and the providers of the relay that runs with this configuration. `None` if there is none, or it does not
/// return its providers.
pub(crate) fn live(config: &Config) -> Option<(String, Vec<Provider>)> {
    let client = Client::at(&address(config), key(config), trust(config))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let listing = async { tokio::time::timeout(LIVE_TIMEOUT, get(&client, "/v1/providers")).await };
    let (_, providers) = runtime.block_on(listing).ok()?.ok()?;
    let providers = providers["data"].as_array()?.iter().map(Provider::of).collect();
    Some((client.url(), providers))
}

/// A client of the relay at the given URL, or at the address in the configuration. The key comes from the configuration
/// in both cases.
fn client(url: Option<&str>, readable: &Readable) -> Result<Client, StatusError> {
    let config = &readable.config;
    let address = match url {
        Some(url) => url.to_owned(),
        None => {
            let address = address(config);
            readable.warn(&address)?;
            address
        }
    };
    if url.is_none() && config.server.admits_by_certificate() && !address.starts_with("unix:") {
        return Err(StatusError::ClientCertificate { url: address });
    }
    let client = Client::at(&address, key(config), trust(config));
    client.ok_or_else(|| StatusError::Url { url: shown_url(&address).unwrap_or_default() })
}

/// A client of the admin API in the configuration. `None` if it is off, or if the command line names another relay than the
/// configuration does. One that cannot be loaded may have named it before.
fn admin(url: Option<&str>, Readable { config, fault }: &Readable) -> Option<Client> {
    let is_other = fault.is_none() && url.is_some_and(|named| named != address(config));
    if is_other || !config.admin.enabled {
        return None;
    }
    Client::new(&url_of(&config.admin.listen).parse().ok()?, config.admin.token.clone())
}

/// The URL at which a client on this machine reaches the relay of this configuration over TCP.
pub(crate) fn url(config: &Config) -> String {
    let url = url_of(&config.server.listen.first().cloned().unwrap_or_default());
    if config.server.tls.is_some() { url.replacen("http:", "https:", 1) } else { url }
}

/// The address at which a command reaches the relay of this configuration: its URL, or `unix:` and a path if it listens on no other
/// address, or requires client certificates there.
fn address(config: &Config) -> String {
    let server = &config.server;
    match server.unix_sockets.first() {
        Some(socket) if server.listen.is_empty() || server.admits_by_certificate() => {
            format!("unix:{}", socket.path.display())
        }
        _ => url(config),
    }
}

/// The trust in the relay of this configuration.
fn trust(config: &Config) -> RelayTrust {
    RelayTrust::own(config.server.tls.as_ref().map(|tls| tls.cert.clone()))
}

/// The URL at which a client on this machine reaches a listener.
pub(crate) fn url_of(address: &ListenAddress) -> String {
    match address.host.parse::<IpAddr>() {
        Ok(ip) => format!("http://{}", listen::as_destination((ip, address.port).into())),
        Err(_) => format!("http://{address}"),
    }
}

/// A key that the relay of this configuration accepts.
fn key(config: &Config) -> Option<Secret> {
    let auth = &config.server.auth;
    auth.secret_at(SystemTime::now()).cloned()
}

/// The answers of the relay.
struct Report {
    version: String,
    is_ready: bool,
    readiness: String,
    /// The list of providers. `None` if the relay did not return it to this client.
    providers: Option<Vec<Provider>>,
    /// The same list as the relay returned it.
    listing: Vec<Value>,
    /// The state that the admin API returned. `None` without one.
    admin: Option<Value>,
}

/// One provider of a running relay.
pub(crate) struct Provider {
    pub(crate) name: String,
    kind: String,
    state: String,
    models: Vec<String>,
    /// The reason that no request can succeed at the provider now.
    pub(crate) unusable: Option<String>,
    /// The reason of the last attempt's failure.
    pub(crate) last_error: Option<String>,
    /// The fields that are removed from requests to the provider, as pairs of model and field.
    learned: Vec<(String, String)>,
    /// The average times to the first content of models, as the relay lists them.
    content_times: Vec<Value>,
}

impl Report {
    async fn fetch(client: &Client, admin: Option<&Client>) -> Result<Self, StatusError> {
        let foreign = |path, status| StatusError::Foreign { url: client.url(), path, status };
        let (status, health) = get(client, "/health").await?;
        let version = health["version"].as_str().ok_or_else(|| foreign("/health", status))?;
        let (status, ready) = get(client, "/readyz").await?;
        let readiness = ready["status"].as_str().ok_or_else(|| foreign("/readyz", status))?;
        let (_, mut providers) = get(client, "/v1/providers").await?;
        let listing = providers["data"].as_array_mut().map(std::mem::take);
        let providers: Option<Vec<_>> = listing.as_ref().map(|list| list.iter().map(Provider::of).collect());
        let listing = listing.unwrap_or_default();
        let names: Vec<_> = listing.iter().filter_map(|provider| provider["name"].as_str()).collect();
        let admin = match admin {
            Some(admin) => keys::fetch(admin, &names).await,
            None => None,
        };
        let is_ready = status == StatusCode::OK;
        let has_usable = providers.as_ref().is_none_or(|list| list.iter().any(Provider::is_usable));
        let readiness = if is_ready && !has_usable { "no usable provider" } else { readiness };
        Ok(Self {
            version: printable(version),
            is_ready: is_ready && has_usable,
            readiness: printable(readiness),
            providers,
            listing,
            admin,
        })
    }

    /// The report with the providers as the relay lists them, and with their keys if the admin API answers.
    fn as_json(&self, url: &str) -> Value {
        let state = |index: usize| Some(&self.admin.as_ref()?["providers"][index]);
        let providers = self.providers.as_ref().map(|providers| {
            let listed = self.listing.iter().zip(providers).enumerate();
            listed
                .map(|(index, (listed, provider))| json::provider(listed, provider.is_usable(), state(index)))
                .collect()
        });
        json!({
            "url": url,
            "version": self.version,
            "status": self.readiness,
            "is_ready": self.is_ready,
            "has_keys": self.admin.is_some(),
            "warnings": self.admin.as_ref().map(|state| &state["warnings"]),
            "providers": providers.map(Value::Array),
        })
    }

    fn print(&self, url: &str, out: &mut Output) -> io::Result<()> {
        let colour = if self.is_ready { AnsiColor::Green } else { AnsiColor::Red };
        let style = out.style(colour);
        out.line(format_args!("cc-relay {} at {url}: {style}{}{style:#}", self.version, self.readiness))?;
        let Some(providers) = &self.providers else {
            return out.line(
                "the relay lists its providers only for clients with a key, and the configuration here has no \
                 accepted one (server.auth.api_key)",
            );
        };
        let width = |column: fn(&Provider) -> &str, head: &str| {
            providers.iter().map(column).chain([head]).map(|text| text.chars().count()).max().unwrap_or(0)
        };
        let name = width(|provider| &provider.name, "PROVIDER");
        let kind = width(|provider| &provider.kind, "TYPE");
        let state = width(|provider| &provider.state, "STATE");
        out.line("")?;
        out.line(format_args!("{:name$}  {:kind$}  {:state$}  MODELS", "PROVIDER", "TYPE", "STATE"))?;
        for provider in providers {
            let style =
                out.style(if provider.state == "ready" { AnsiColor::Green } else { AnsiColor::Yellow });
            out.line(format_args!(
                "{:name$}  {:kind$}  {style}{:state$}{style:#}  {}",
                provider.name,
                provider.kind,
                provider.state,
                provider.described_models()
            ))?;
        }
        keys::print(&self.admin.as_ref().map(keys::of).unwrap_or_default(), out)?;
        for line in providers.iter().flat_map(Provider::troubles) {
            out.line("")?;
            out.line(line)?;
        }
        let warnings = self.admin.as_ref().and_then(|state| state["warnings"].as_array());
        for warning in warnings.into_iter().flatten().filter_map(Value::as_str) {
            out.line("")?;
            out.warning(printable(warning))?;
        }
        for provider in providers.iter().filter(|provider| !provider.learned.is_empty()) {
            out.line("")?;
            out.line(format_args!(
                "{}: removed from requests for an hour, since the provider rejected it:",
                provider.name
            ))?;
            for (model, dropped) in &provider.learned {
                out.line(format_args!("  {model}: {dropped}"))?;
            }
        }
        Ok(())
    }
}

impl Provider {
    fn of(entry: &Value) -> Self {
        let text = |key: &str| printable(entry[key].as_str().unwrap_or("?"));
        let models = entry["models"].as_array().into_iter().flatten();
        let lessons = entry["learned"].as_array().into_iter().flatten();
        let part = |lesson: &Value, key: &str| printable(lesson[key].as_str().unwrap_or("?"));
        Self {
            name: text("name"),
            kind: text("type"),
            state: text("state"),
            models: models.filter_map(Value::as_str).map(printable).collect(),
            unusable: entry["unusable"].as_str().map(printable),
            last_error: entry["last_error"].as_str().map(printable),
            content_times: entry["content_times"].as_array().cloned().unwrap_or_default(),
            learned: lessons.map(|lesson| (part(lesson, "model"), part(lesson, "dropped"))).collect(),
        }
    }

    /// Returns `true` if a request can succeed at the provider now.
    pub(crate) fn is_usable(&self) -> bool {
        self.state != "disabled" && self.unusable.is_none()
    }

    /// Returns the reasons for which the provider is failing, each with its name.
    pub(crate) fn troubles(&self) -> Vec<String> {
        let unusable = self.unusable.iter().map(|reason| format!("{}: not usable: {reason}", self.name));
        let error =
            self.last_error.iter().map(|error| format!("{}: the last attempt failed: {error}", self.name));
        unusable.chain(error).collect()
    }

    /// Returns the average times to the first content of `model`, each as the relay lists it.
    pub(crate) fn times_of<'a>(&'a self, model: &'a str) -> impl Iterator<Item = &'a Value> {
        self.content_times.iter().filter(move |time| time["model"] == model)
    }

    /// Returns the average times to the first content of `model`, each with the name of the provider.
    pub(crate) fn content_times(&self, model: &str) -> Vec<String> {
        let described = self.times_of(model).filter_map(|time| {
            let seconds = Duration::from_millis(time["average_ms"].as_u64()?).as_secs_f64();
            let form = if time["is_stream"] == true { "streams" } else { "messages in one piece" };
            Some(format!("{}: {seconds:.2} s to the first content of {form}", self.name))
        });
        described.collect()
    }

    fn described_models(&self) -> String {
        let named = self.models.iter().take(MODELS_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
        match self.models.len().saturating_sub(MODELS_NAMED) {
            _ if self.models.is_empty() => "any".to_owned(),
            0 => named,
            more => format!("{named} and {more} more"),
        }
    }
}

/// Requests `path` and returns the status and the JSON of the answer, or null if the body is not JSON.
async fn get(client: &Client, path: &str) -> Result<(StatusCode, Value), StatusError> {
    let (status, body) =
        client.get(path).await.map_err(|source| StatusError::Unreachable { url: client.url(), source })?;
    Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
}
