//! Resolves the `server` section.

use std::net::Ipv6Addr;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::config::{HostName, Origin, ProviderConfig, ServerConfig};
use crate::error::{Concern, Fault};
use crate::raw;
use crate::resolve::listen::{self, Addresses};
use crate::resolve::reporter::{Reporter, millis, value_fault};
use crate::resolve::{clients, tls};
use crate::tree::KeyPath;

pub(super) fn resolve(raw: raw::Server, path: &KeyPath, to: &mut Reporter<'_>) -> ServerConfig {
    let default = ServerConfig::default();
    let addresses = listen::addresses(raw.listen, &path.key("listen"), to);
    let addresses = addresses.unwrap_or(Addresses { listen: default.listen, unix_sockets: Vec::new() });
    let server = ServerConfig {
        listen: addresses.listen,
        unix_sockets: addresses.unix_sockets,
        tls: tls::resolve(raw.tls, &path.key("tls"), to),
        timeout: limit(raw.timeout_ms, default.timeout),
        max_concurrent: raw.max_concurrent.map_or(default.max_concurrent, NonZeroU32::new),
        max_body_bytes: raw
            .max_body_bytes
            .map_or(default.max_body_bytes, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
        max_buffered_bytes: match raw.max_buffered_bytes {
            Some(0) => None,
            Some(bytes) => Some(usize::try_from(bytes).unwrap_or(usize::MAX)),
            None => default.max_buffered_bytes,
        },
        drain_timeout: millis(raw.drain_timeout_ms, default.drain_timeout),
        drain_delay: millis(raw.drain_delay_ms, default.drain_delay),
        write_timeout: limit(raw.write_timeout_ms, default.write_timeout),
        enable_http2: raw.enable_http2.unwrap_or(default.enable_http2),
        allowed_hosts: hosts(raw.allowed_hosts, &path.key("allowed_hosts"), to),
        allowed_origins: origins(raw.cors.allowed_origins, &path.key("cors").key("allowed_origins"), to),
        auth: clients::resolve(raw.auth, &path.key("auth"), to),
    };
    if let Some(buffered) = server.max_buffered_bytes.filter(|buffered| *buffered < server.max_body_bytes) {
        let body = server.max_body_bytes;
        to.warning(&path.key("max_buffered_bytes"), Concern::BufferBelowBody { buffered, body });
    }
    if let Some(open) = server.listen.iter().find(|address| !address.is_loopback())
        && !server.auth.is_required()
        && !server.admits_by_certificate()
    {
        to.warning(&path.key("listen"), Concern::OpenListener { address: open.to_string() });
    }
    server
}

/// Warns if a subscription token admits a client but reaches no upstream, or if a made-up one opens the keys.
pub(super) fn check_subscription(
    server: &ServerConfig,
    providers: &[ProviderConfig],
    path: &KeyPath,
    to: &mut Reporter<'_>,
) {
    let auth = &server.auth;
    if !auth.allow_subscription {
        return;
    }
    if !providers.iter().any(|provider| provider.enabled && provider.kind.passes_through()) {
        to.warning(&path.key("allow_subscription"), Concern::NoPassThrough);
    }
    if auth.subscription_may_use_keys == Some(true) && (!server.is_loopback_only() || auth.has_keys()) {
        to.warning(&path.key("subscription_may_use_keys"), Concern::SubscriptionOpensKeys);
    }
}

/// Returns the limit of `raw` milliseconds; 0 is no limit.
fn limit(raw: Option<u64>, default: Option<Duration>) -> Option<Duration> {
    match raw {
        Some(0) => None,
        Some(limit) => Some(Duration::from_millis(limit)),
        None => default,
    }
}

fn hosts(raw: Vec<String>, path: &KeyPath, to: &mut Reporter<'_>) -> Vec<HostName> {
    items(raw, path, to, |text| {
        // An IPv6 address is unambiguous without its brackets as well.
        let address = text.parse::<Ipv6Addr>().ok().map(|address| format!("[{address}]"));
        HostName::parse(address.as_deref().unwrap_or(text)).ok_or_else(|| {
            let hint = if text.contains("://") {
                "remove the scheme"
            } else if text.contains('/') {
                "remove the path"
            } else if text.contains('*') {
                "write each name in full: with a pattern, a web page could choose a name that fits"
            } else if text.contains(':') {
                "remove the port"
            } else {
                ""
            };
            value_fault(format!("{text:?}"), "a host name or an IP address, as in relay.example", hint)
        })
    })
}

fn origins(raw: Vec<String>, path: &KeyPath, to: &mut Reporter<'_>) -> Vec<Origin> {
    items(raw, path, to, |text| {
        Origin::parse(text).ok_or_else(|| {
            let hint = if text.contains('*') {
                "list each origin: with a pattern, any web page could use the relay's keys"
            } else if !text.contains("://") {
                "add the scheme"
            } else {
                "write scheme, host and port only, without a path or a slash at the end"
            };
            value_fault(format!("{text:?}"), "the origin of a web page, as in https://app.example", hint)
        })
    })
}

/// Parses each item of a list, and reports those that cannot be parsed.
fn items<T>(
    raw: Vec<String>,
    path: &KeyPath,
    to: &mut Reporter<'_>,
    parse: impl Fn(&str) -> Result<T, Fault>,
) -> Vec<T> {
    let parsed = raw.into_iter().enumerate().filter_map(|(index, text)| match parse(text.trim()) {
        Ok(item) => Some(item),
        Err(fault) => {
            to.problem(&path.index(index), fault);
            None
        }
    });
    parsed.collect()
}
