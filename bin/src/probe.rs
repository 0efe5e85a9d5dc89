//! Determines the server at a URL: a cc-relay, another one, or none.

use std::time::Duration;

use http::StatusCode;
use relay_config::Secret;
use serde_json::Value;

use crate::output::printable;
use crate::status::client::Client;
use crate::status::trust::RelayTrust;

/// The time for all requests of one probe. A relay answers these routes from memory.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The time for a probe with TLS, whose server may be far away.
const TLS_TIMEOUT: Duration = Duration::from_secs(5);

/// The server at a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Server {
    /// A cc-relay.
    Relay {
        version: String,
        /// True if it admits a client with the key of the probe, or without one.
        admits: bool,
    },
    /// A server that is not a cc-relay.
    Other,
    /// A server whose certificate is not trusted.
    Untrusted,
    /// No server answers.
    None,
    /// Not known: the URL is none of http or https, or leads through a proxy.
    Unknown,
}

impl Server {
    /// Sends a few requests to `url`. They reach no upstream. Only a relay receives the key.
    pub(crate) async fn at(url: &str, key: Option<Secret>) -> Self {
        Self::at_trusted(url, key, &RelayTrust::default()).await
    }

    /// Acts as [`at`](Self::at), with trust in further certificates.
    pub(crate) async fn at_trusted(url: &str, key: Option<Secret>, trust: &RelayTrust) -> Self {
        if url.starts_with("unix:") {
            return Self::Unknown;
        }
        let client = |key| Client::at(url, key, trust.clone());
        let (Some(anonymous), Some(client)) = (client(None), client(key)) else { return Self::Unknown };
        let limit = if url.starts_with("https:") { TLS_TIMEOUT } else { TIMEOUT };
        let found = Self::found_by(&anonymous, &client);
        tokio::time::timeout(limit, found).await.unwrap_or(Self::None)
    }

    async fn found_by(anonymous: &Client, client: &Client) -> Self {
        let root = match anonymous.get("/").await {
            Ok((_, root)) => root,
            Err(error) if error.is_untrusted() => return Self::Untrusted,
            Err(_) => return Self::None,
        };
        if json(&root)["service"] != "cc-relay" {
            return Self::Other;
        }
        let version = anonymous.get("/healthz").await.ok().map(|(_, body)| json(&body));
        let version = version.as_ref().and_then(|body| body["version"].as_str());
        let Some(version) = version.map(printable) else { return Self::Other };
        let listed = client.get("/v1/providers").await;
        let admits =
            listed.is_ok_and(|(status, body)| status == StatusCode::OK && json(&body)["data"].is_array());
        Self::Relay { version, admits }
    }
}

fn json(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_default()
}
