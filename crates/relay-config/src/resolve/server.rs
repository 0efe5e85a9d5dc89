//! Resolves the `server` section: addresses and clients.

use std::net::Ipv6Addr;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::config::{
    ClientAuth, ClientKey, ClientLimits, HostName, ListenAddress, Origin, ProviderConfig, ServerConfig,
};
use crate::describe::looks_secret;
use crate::error::{Concern, Fault};
use crate::raw;
use crate::resolve::reporter::{Reporter, millis, value_fault};
use crate::rules;
use crate::secret::Secret;
use crate::tree::KeyPath;

pub(super) fn resolve(raw: raw::Server, path: &KeyPath, to: &mut Reporter<'_>) -> ServerConfig {
    let default = ServerConfig::default();
    let server = ServerConfig {
        listen: listen(raw.listen, &path.key("listen"), to).unwrap_or(default.listen),
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
        auth: auth(raw.auth, &path.key("auth"), to),
    };
    if let Some(buffered) = server.max_buffered_bytes.filter(|buffered| *buffered < server.max_body_bytes) {
        let body = server.max_body_bytes;
        to.warning(&path.key("max_buffered_bytes"), Concern::BufferBelowBody { buffered, body });
    }
    if let Some(open) = server.listen.iter().find(|address| !address.is_loopback())
        && !server.auth.is_required()
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

fn listen(raw: Option<raw::Listen>, path: &KeyPath, to: &mut Reporter<'_>) -> Option<Vec<ListenAddress>> {
    let texts: Vec<(KeyPath, String)> = match raw? {
        // A variable or a flag cannot hold a list, so several addresses come in one string.
        raw::Listen::One(text) => {
            text.split(',').map(|text| (path.clone(), text.trim().to_owned())).collect()
        }
        raw::Listen::Many(texts) => {
            texts.into_iter().enumerate().map(|(index, text)| (path.index(index), text)).collect()
        }
    };
    let mut addresses: Vec<ListenAddress> = Vec::new();
    for (path, text) in texts {
        match parse_address(&text) {
            Err(hint) => {
                let (found, hint) = match looks_secret(&text) {
                    true => ("a string".to_owned(), String::new()),
                    false => (format!("{text:?}"), hint),
                };
                to.problem(&path, value_fault(found, "host:port, as in 127.0.0.1:8787", hint));
            }
            Ok(address) if address.port != 0 && addresses.contains(&address) => {
                to.problem(&path, value_fault(format!("{text:?} twice"), "each address once", ""));
            }
            Ok(address) => addresses.push(address),
        }
    }
    Some(addresses)
}

/// Parses `host:port`. The error is a hint for the operator.
fn parse_address(text: &str) -> Result<ListenAddress, String> {
    if text.contains("://") {
        return Err("remove the scheme".to_owned());
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(format!("add a port, and put an IPv6 address in brackets: [{text}]:8787"));
    }
    if text.parse::<u16>().is_ok() {
        return Err(format!("add the host: 127.0.0.1:{text} for this machine only, 0.0.0.0:{text} for all"));
    }
    let Some((host, port)) = text.rsplit_once(':').filter(|_| !text.ends_with(']')) else {
        return Err(format!("add a port: {text}:8787"));
    };
    let Some(port) = port.parse().ok().filter(|_| port.bytes().all(|b| b.is_ascii_digit())) else {
        return Err("the port is a number up to 65535".to_owned());
    };
    let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(v6) if v6.parse::<Ipv6Addr>().is_ok() => v6,
        Some(_) => return Err("only an IPv6 address goes in brackets".to_owned()),
        None if host.is_empty() || host == "*" => {
            return Err(format!("write 0.0.0.0:{port} to listen on every address"));
        }
        None if host.contains(':') => {
            return Err(format!("put an IPv6 address in brackets: [{host}]:{port}"));
        }
        None => host,
    };
    if !rules::is_host(host) {
        return Err("the host is a name or an IP address".to_owned());
    }
    Ok(ListenAddress { host: host.to_owned(), port })
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

fn auth(raw: raw::ClientAuth, path: &KeyPath, to: &mut Reporter<'_>) -> ClientAuth {
    let mut keys: Vec<(KeyPath, ClientKey)> = Vec::new();
    if let Some(key) = raw.api_key {
        let path = path.key("api_key");
        let key = client_secret(key, &path, to);
        keys.push((path, ClientKey::new("default", key)));
    }
    let list = path.key("api_keys");
    for (index, raw) in raw.api_keys.into_iter().enumerate() {
        let path = list.index(index);
        // The schema requires both, so a missing one has been reported.
        let (Some(name), Some(key)) = (raw.name, raw.key) else { continue };
        let key = client_secret(key, &path.key("key"), to);
        let limits = ClientLimits::default()
            .with_requests(raw.rpm_limit.unwrap_or(0))
            .with_tokens(raw.tpm_limit.unwrap_or(0))
            .with_concurrent(raw.max_concurrent.unwrap_or(0));
        keys.push((path, ClientKey { name, key, limits }));
    }
    let clients: Vec<_> = keys.iter().map(|(path, client)| (path.clone(), client)).collect();
    rules::keys::check_clients(&clients, to);
    ClientAuth {
        keys: keys.into_iter().map(|(_, key)| key).collect(),
        bearer_secret: raw.bearer_secret.map(|secret| client_secret(secret, &path.key("bearer_secret"), to)),
        allow_subscription: raw.allow_subscription.unwrap_or(false),
        subscription_may_use_keys: raw.subscription_may_use_keys,
    }
}

fn client_secret(secret: String, path: &KeyPath, to: &mut Reporter<'_>) -> Secret {
    rules::check_client_secret(&secret, path, to);
    Secret::new(secret)
}
