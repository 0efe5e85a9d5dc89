//! The `server` section of the file.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

/// The listener for clients: addresses, limits, and the clients that are admitted.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Server {
    /// The addresses that clients connect to: one `host:port` or `unix:PATH`, or a list of them. Default `127.0.0.1:8787`.
    #[schemars(extend("default" = "127.0.0.1:8787"))]
    pub(crate) listen: Option<Listen>,
    /// Timeout for a request up to its response headers, all attempts included, in milliseconds. Default 600000; 0
    /// is no limit. A stream that has started is not cut off.
    #[schemars(range(min = 0, max = 86_400_000), extend("default" = 600_000))]
    pub(crate) timeout_ms: Option<u64>,
    /// Requests that are in flight at the same time. A further request is answered with 503 `overloaded_error`.
    /// Default 0, which is no limit.
    #[schemars(range(min = 0, max = 4_294_967_295_u32), extend("default" = 0))]
    pub(crate) max_concurrent: Option<u32>,
    /// The largest request body in bytes, after decompression. A larger one is answered with 413
    /// `request_too_large`. Default 33554432.
    #[schemars(range(min = 1024, max = 1_073_741_824), extend("default" = 33_554_432))]
    pub(crate) max_body_bytes: Option<u64>,
    /// The bytes of request bodies that are held at the same time, over all requests. A body beyond it is answered with
    /// 503 `overloaded_error`. Default 1073741824; 0 is no limit.
    #[schemars(range(min = 0, max = 1_099_511_627_776_u64), extend("default" = 1_073_741_824))]
    pub(crate) max_buffered_bytes: Option<u64>,
    /// Time that a shutdown waits for requests in flight, in milliseconds. Default 30000.
    #[schemars(range(min = 0, max = 86_400_000), extend("default" = 30_000))]
    pub(crate) drain_timeout_ms: Option<u64>,
    /// Time between the start of a shutdown and its drain, in milliseconds: `/readyz` answers 503, and new requests
    /// are still served, so that load balancers can move their traffic. Default 0.
    #[schemars(range(min = 0, max = 86_400_000), extend("default" = 0))]
    pub(crate) drain_delay_ms: Option<u64>,
    /// Longest time for which a client may accept no further byte of its response, in milliseconds. Then the request
    /// ends, and everything that it holds is released. Default 60000; 0 is no limit.
    #[schemars(range(min = 0, max = 86_400_000), extend("default" = 60_000))]
    pub(crate) write_timeout_ms: Option<u64>,
    /// Serve HTTP/2 in addition to HTTP/1.1: with prior knowledge in cleartext (h2c), and by ALPN with `tls`. Default true.
    #[schemars(extend("default" = true))]
    pub(crate) enable_http2: Option<bool>,
    /// The hosts that the `Host` header of a request may name, in addition to loopback names and addresses. Default: none
    /// on a loopback listener, every host on another one.
    pub(crate) allowed_hosts: Vec<String>,
    /// The web pages that may call the relay.
    pub(crate) cors: Cors,
    /// The certificate of the relay, to serve HTTPS.
    pub(crate) tls: Tls,
    /// The credentials of clients that are admitted. With nothing set, every client that can reach the listener is
    /// admitted.
    pub(crate) auth: ClientAuth,
}

/// One address, or a list of them: `host:port`, with an IPv6 address in brackets, or `unix:` and the path of a Unix socket.
/// `?mode=0660` after the path sets the permissions of the socket, which are 0600 otherwise.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Listen {
    /// One address, as `host:port` or `unix:PATH`.
    One(#[schemars(length(min = 1))] String),
    /// Several addresses, each as `host:port` or `unix:PATH`.
    Many(#[schemars(length(min = 1))] Vec<String>),
}

/// The files of the relay's certificate, in PEM. With them, the addresses of `listen` serve HTTPS; Unix sockets serve HTTP as
/// before. A file is read again when it changes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Tls {
    /// The path of a file with the certificate, followed by the intermediate certificates of its authority.
    #[schemars(with = "Option<String>", extend("minLength" = 1))]
    pub(crate) cert: Option<PathBuf>,
    /// The path of a file with the private key of the certificate, without a passphrase.
    #[schemars(with = "Option<String>", extend("minLength" = 1))]
    pub(crate) key: Option<PathBuf>,
    /// The path of a file with the authorities of client certificates. If it is set, every client needs a certificate that
    /// one of them has issued. Default: no client needs one.
    #[schemars(with = "Option<String>", extend("minLength" = 1))]
    pub(crate) client_ca: Option<PathBuf>,
}

/// The web pages that may call the relay. A request with the `Origin` of any other page is answered with 403.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Cors {
    /// The origins of these pages, such as `https://app.example`. Default: none.
    pub(crate) allowed_origins: Vec<String>,
}

/// The credentials of clients that are admitted.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct ClientAuth {
    /// A key that clients send, as `x-api-key` or as `Authorization: Bearer`. Best written as `${NAME}`.
    #[schemars(length(min = 1), extend("writeOnly" = true))]
    pub(crate) api_key: Option<String>,
    /// Clients that are admitted, each with a name for the log and a key of its own.
    pub(crate) api_keys: Vec<ClientKey>,
    /// Admit a client by its own Claude subscription token, and forward that token to `anthropic` providers.
    /// Default false.
    #[schemars(extend("default" = false))]
    pub(crate) allow_subscription: Option<bool>,
    /// An additional bearer token that admits a client.
    #[schemars(length(min = 1), extend("writeOnly" = true))]
    pub(crate) bearer_secret: Option<String>,
    /// Serve a request that carries only a subscription token with configured keys too. Default: true if every
    /// address of `listen` is a loopback address and neither `api_key`, `api_keys` nor `bearer_secret` is set,
    /// otherwise false.
    pub(crate) subscription_may_use_keys: Option<bool>,
}

/// A client with a name and a key.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct ClientKey {
    /// The name of the client in logs. Unique.
    #[schemars(length(min = 1), required)]
    pub(crate) name: Option<String>,
    /// The key that the client sends, as `x-api-key` or as `Authorization: Bearer`.
    #[schemars(length(min = 1), required, extend("writeOnly" = true))]
    pub(crate) key: Option<String>,
    /// Requests per minute that the client may send. A further one is answered with 429 `rate_limit_error` and the headers
    /// `retry-after` and `anthropic-ratelimit-requests-…`. Default 0, which is no limit.
    #[schemars(range(min = 0, max = 4_294_967_295_u32), extend("default" = 0))]
    pub(crate) rpm_limit: Option<u32>,
    /// Input and output tokens per minute together that the client may use, without tokens read from a prompt cache.
    /// Default 0, which is no limit.
    #[schemars(range(min = 0, max = 1_000_000_000_000_u64), extend("default" = 0))]
    pub(crate) tpm_limit: Option<u64>,
    /// Requests of the client in flight at one time; a request is in flight until its answer has ended. Default 0, which is
    /// no limit.
    #[schemars(range(min = 0, max = 4_294_967_295_u32), extend("default" = 0))]
    pub(crate) max_concurrent: Option<u32>,
    /// The models that the client may use, by the names that it sends: names, and patterns with `*`. A request for another one is
    /// answered with 403 `permission_error`. Default: every model.
    #[schemars(length(min = 1), inner(length(min = 1)))]
    pub(crate) models: Option<Vec<String>>,
    /// The end of the key: a date, which is its last day in UTC, or a time with an offset, as in 2026-12-31T18:00:00Z. Then it
    /// is answered with 401. Default: never.
    #[schemars(length(min = 1), extend("format" = "expiry"))]
    pub(crate) expires: Option<String>,
    /// The amount in US dollars that the client may spend in a period. A request beyond it is answered with 429
    /// `rate_limit_error`. Default: no limit.
    #[schemars(range(min = 0.000001, max = 1_000_000_000.0))]
    pub(crate) budget_usd: Option<f64>,
    /// The period of `budget_usd`, by the calendar in UTC. Default `month`, if `budget_usd` is set.
    pub(crate) budget_period: Option<BudgetPeriod>,
}

/// The period of a budget.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BudgetPeriod {
    /// From midnight to midnight.
    Day,
    /// From Monday to Sunday.
    Week,
    /// From the first to the last day of a month.
    Month,
}
