//! `server` in the file.

use schemars::JsonSchema;
use serde::Deserialize;

use super::unimplemented::Tls;

/// Settings of the main listener.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Server {
    /// Where clients connect: `host:port`, or a list of them.
    #[schemars(extend("default" = "127.0.0.1:8787"))]
    pub(crate) listen: Option<Listen>,
    /// A request's whole time up to its response head, in milliseconds; 0 is without limit. A stream that keeps
    /// flowing is not cut.
    #[schemars(range(min = 0, max = 86_400_000), extend("default" = 600_000))]
    pub(crate) timeout_ms: Option<u64>,
    /// Requests in flight; beyond it clients get 503 `overloaded_error`. 0 is without limit.
    #[schemars(range(min = 0, max = 4_294_967_295_u32), extend("default" = 0))]
    pub(crate) max_concurrent: Option<u32>,
    /// The largest request body in bytes, after decoding; beyond it clients get 413 `request_too_large`.
    #[schemars(range(min = 1024, max = 1_073_741_824), extend("default" = 33_554_432))]
    pub(crate) max_body_bytes: Option<u64>,
    /// How long a stop waits for open requests, in milliseconds.
    #[schemars(range(min = 0, max = 86_400_000), extend("default" = 30_000))]
    pub(crate) drain_timeout_ms: Option<u64>,
    /// Serve cleartext HTTP/2 (prior knowledge) beside HTTP/1.1.
    #[schemars(extend("default" = true))]
    pub(crate) enable_http2: Option<bool>,
    /// Serve HTTPS.
    tls: Tls,
    /// Who may use the relay. With nothing set, everybody who can reach it.
    pub(crate) auth: ClientAuth,
}

/// `host:port`, or a list of them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Listen {
    /// One address.
    One(#[schemars(length(min = 1))] String),
    /// Several addresses.
    Many(#[schemars(length(min = 1))] Vec<String>),
}

/// Who may use the relay.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct ClientAuth {
    /// A key that clients send, as `x-api-key` or `Authorization: Bearer`.
    #[schemars(length(min = 1), extend("writeOnly" = true))]
    pub(crate) api_key: Option<String>,
    /// Several clients, each with a name for the log and a key of its own.
    pub(crate) api_keys: Vec<ClientKey>,
    /// Accept a client's own Claude subscription token, and pass it through to `anthropic` providers.
    #[schemars(extend("default" = false))]
    pub(crate) allow_subscription: Option<bool>,
    /// A further accepted bearer token.
    #[schemars(length(min = 1), extend("writeOnly" = true))]
    pub(crate) bearer_secret: Option<String>,
    /// May a request that carries only a subscription token be served by a provider with configured keys? By default
    /// yes where every listener is on loopback, else no.
    pub(crate) subscription_may_use_keys: Option<bool>,
}

/// One named client.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct ClientKey {
    /// Used in logs; unique.
    #[schemars(length(min = 1), required)]
    pub(crate) name: Option<String>,
    /// What the client sends.
    #[schemars(length(min = 1), required, extend("writeOnly" = true))]
    pub(crate) key: Option<String>,
}
