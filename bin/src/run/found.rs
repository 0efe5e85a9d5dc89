//! A relay that runs already, at the address of the configuration.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use relay_config::{Config, TlsConfig};
use tokio::net::TcpStream;

use crate::claude_settings::connection;
use crate::claude_settings::sources::CERTIFICATES;
use crate::probe::Server;
use crate::settings::variable;
use crate::status::trust::{Authorities, RelayTrust};

/// The time in which an address of this machine accepts a connection.
const CONNECT_TIME: Duration = Duration::from_secs(2);
/// The name of this machine that a certificate may have in the place of its address.
const LOCALHOST: &str = "localhost";

/// The result of a search for a relay at the address of the configuration.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Usable(RunningRelay),
    /// A relay that the command cannot use, with the reason.
    Unusable {
        url: String,
        reason: &'static str,
    },
    /// No relay, or one that does not admit this client.
    None,
}

/// A relay that the command can use.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RunningRelay {
    pub(super) url: String,
    /// The file with the authority that Claude Code has to trust in addition.
    pub(super) authorities: Option<String>,
}

impl Found {
    /// Searches at the address of the configuration.
    pub(super) async fn search(config: &Config, is_claude: bool) -> Self {
        let Ok(url) = connection::url_of(config) else { return Self::None };
        match &config.server.tls {
            None if is_relay(&url, config, &RelayTrust::default()).await => Self::usable(url, None),
            None => Self::None,
            Some(tls) => Self::with_tls(url, tls, config, is_claude).await,
        }
    }

    /// Finds out by which name and authority the command can trust the certificate of the relay.
    async fn with_tls(url: String, tls: &TlsConfig, config: &Config, is_claude: bool) -> Self {
        if tls.client_ca.is_some() {
            let is_open = is_open(&url).await;
            let reason = "it requires client certificates (server.tls.client_ca)";
            return if is_open { Self::Unusable { url, reason } } else { Self::None };
        }
        if !is_relay(&url, config, &RelayTrust::own(Some(tls.cert.clone()))).await {
            return Self::None;
        }
        let further = variable(CERTIFICATES).map(PathBuf::from);
        let can_extend = is_claude && further.is_none();
        // Python's clients, for example, do not read the variable.
        let further = further.filter(|_| is_claude);
        let urls = [url.clone(), at_localhost(&url)];
        if let Some(url) = first_trusted(&urls, Authorities::System { further }).await {
            return Self::usable(url, None);
        }
        let with_roots = first_trusted(&urls, Authorities::RootsIn(tls.cert.clone())).await;
        let file = std::path::absolute(&tls.cert).ok().and_then(|file| file.to_str().map(str::to_owned));
        match (with_roots, file) {
            (Some(url), Some(file)) if can_extend => Self::usable(url, Some(file)),
            (Some(_), None) => Self::Unusable { url, reason: "the path of server.tls.cert is not UTF-8" },
            (Some(_), _) if is_claude => {
                let reason = "NODE_EXTRA_CA_CERTS names a file without the authority of its certificate";
                Self::Unusable { url, reason }
            }
            (Some(_), _) => {
                let reason = "the system does not trust the authority of its certificate";
                Self::Unusable { url, reason }
            }
            (None, _) => {
                let reason = "its certificate has another name, or an authority that neither the system nor the file \
                              server.tls.cert has";
                Self::Unusable { url, reason }
            }
        }
    }

    fn usable(url: String, authorities: Option<String>) -> Self {
        Self::Usable(RunningRelay { url, authorities })
    }
}

/// Returns `true` if a relay at `url` admits this client.
async fn is_relay(url: &str, config: &Config, trust: &RelayTrust) -> bool {
    let key = config.server.auth.secret_at(SystemTime::now());
    // A relay that admits only subscriptions does not list its providers to this program.
    let lists = key.is_some() || !config.server.auth.is_required();
    let server = Server::at_trusted(url, key.cloned(), trust).await;
    matches!(server, Server::Relay { admits, .. } if admits || !lists)
}

/// Returns the first of `urls` whose server has a certificate for its name, of one of the authorities.
async fn first_trusted(urls: &[String], authorities: Authorities) -> Option<String> {
    let trust = RelayTrust { own: None, authorities };
    for url in urls {
        if matches!(Server::at_trusted(url, None, &trust).await, Server::Relay { .. }) {
            return Some(url.clone());
        }
    }
    None
}

/// Returns the URL with the name of this machine in the place of its address.
fn at_localhost(url: &str) -> String {
    let (scheme, authority) = url.split_once("://").unwrap_or_default();
    let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
    format!("{scheme}://{LOCALHOST}:{port}")
}

/// Returns `true` if a server accepts connections at the address in `url`.
async fn is_open(url: &str) -> bool {
    let authority = url.split_once("://").map_or("", |(_, authority)| authority);
    matches!(tokio::time::timeout(CONNECT_TIME, TcpStream::connect(authority)).await, Ok(Ok(_)))
}
