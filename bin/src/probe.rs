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
    /// No server answers.
    None,
    /// Not known: the probe speaks only plain HTTP.
    Unknown,
}

impl Server {
    /// Sends a few requests to `url`. They reach no upstream. Only a relay receives the key.
    pub(crate) async fn at(url: &str, key: Option<Secret>) -> Self {
        let client = |key| url.parse().ok().and_then(|uri| Client::new(&uri, key));
        Self::found(client(None), client(key)).await
    }

    /// Sends these requests to a URL of https too, if the server has a certificate by `trust`.
    pub(crate) async fn at_trusted(url: &str, key: Option<Secret>, trust: &RelayTrust) -> Self {
        let client = |key| Client::at(url, key, trust.clone());
        Self::found(client(None), client(key)).await
    }

    async fn found(anonymous: Option<Client>, client: Option<Client>) -> Self {
        let (Some(anonymous), Some(client)) = (anonymous, client) else { return Self::Unknown };
        let found = Self::found_by(&anonymous, &client);
        tokio::time::timeout(TIMEOUT, found).await.unwrap_or(Self::None)
    }

    async fn found_by(anonymous: &Client, client: &Client) -> Self {
        let Ok((_, root)) = anonymous.get("/").await else { return Self::None };
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
