//! The proxies that are measured, each in a process of its own.

pub(crate) mod hyper_proxy;
mod relay_config;
mod servers;
mod start;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use tempfile::TempDir;

pub(crate) use self::relay_config::Variant;
pub(crate) use self::start::{Launch, start};
use crate::Result;
use crate::client::connection::Target;
use crate::process::{Placement, Process};
use crate::upstream::handle::{Protocol, Upstream};

/// The longest time in which a peer has to end.
const END_LIMIT: Duration = Duration::from_secs(30);

/// The programs and the upstream that all peers share.
#[derive(Debug)]
pub(crate) struct Lab {
    /// The program `cc-relay`.
    pub(crate) relay: PathBuf,
    /// The program `envoy`, if it was named.
    pub(crate) envoy: Option<PathBuf>,
    pub(crate) placement: Placement,
    pub(crate) upstream: Upstream,
}

/// A kind of proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No proxy: the client calls the upstream.
    Direct,
    Hyper,
    Nginx,
    Haproxy,
    Envoy,
    Relay(Variant),
    /// A proxy that runs already.
    External(External),
}

/// A proxy that was started by hand, in front of nothing that this program knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct External {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) prefix: String,
    pub(crate) pid: u32,
}

impl FromStr for External {
    type Err = String;

    /// Reads `NAME=URL,PID`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, rest) = text.split_once('=').ok_or("expected NAME=URL,PID")?;
        let (url, pid) = rest.rsplit_once(',').ok_or("expected NAME=URL,PID")?;
        let uri: Uri = url.parse().map_err(|error| format!("{url}: {error}"))?;
        let authority = uri.authority().ok_or_else(|| format!("{url} has no host"))?;
        let address = authority.as_str().parse().map_err(|_| format!("{url}: expected http://IP:PORT"))?;
        let pid = pid.parse().map_err(|_| format!("{pid} is no process id"))?;
        let prefix = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { name: name.to_owned(), address, prefix, pid })
    }
}

/// A kind of proxy, its name in the table, and its connection to the upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spec {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) protocol: Protocol,
}

impl Spec {
    /// Creates the description of a peer with a plain connection to the upstream.
    pub(crate) fn new(name: &str, kind: Kind) -> Self {
        Self { name: name.to_owned(), kind, protocol: Protocol::Plain }
    }

    /// Sets the protocol to the upstream.
    pub(crate) fn over(self, protocol: Protocol) -> Self {
        Self { protocol, ..self }
    }
}

/// A running peer. Dropping it stops the processes that were started for it.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) name: String,
    address: SocketAddr,
    prefix: String,
    /// The process, or `None` if there is no proxy.
    pub(crate) pid: Option<u32>,
    process: Option<Process>,
    _directory: Option<TempDir>,
}

impl Peer {
    /// Returns the requests with this body.
    pub(crate) fn target(&self, body: Bytes) -> Target {
        let path = format!("{}/v1/messages?beta=true", self.prefix);
        Target { address: self.address, path, key: relay_config::CLIENT_KEY.to_owned(), body }
    }

    /// Asks the process that was started for it to end, and waits for it.
    /// # Errors
    /// If it does not end in time, or reports a failure.
    pub(crate) async fn stop(self) -> Result<()> {
        let Some(process) = self.process else { return Ok(()) };
        match process.end("-TERM", END_LIMIT).await {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("{}: it ends with {status}", self.name).into()),
            Err(error) => Err(format!("{}: {error}", self.name).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_external_peer_has_a_name_a_url_and_a_process() {
        let peer: External = "litellm=http://127.0.0.1:4000/base/,42".parse().unwrap();
        let address = "127.0.0.1:4000".parse().unwrap();
        let expected = External { name: "litellm".to_owned(), address, prefix: "/base".to_owned(), pid: 42 };
        assert_eq!(peer, expected);
    }

    #[test]
    fn an_incomplete_external_peer_is_refused() {
        for text in
            ["litellm", "litellm=http://127.0.0.1:1", "a=http://localhost,1", "a=http://127.0.0.1:1,x"]
        {
            assert!(text.parse::<External>().is_err(), "{text}");
        }
    }
}
