//! Resolves the addresses of listeners.

use std::net::Ipv6Addr;

use crate::config::ListenAddress;
use crate::describe::looks_secret;
use crate::error::Fault;
use crate::raw;
use crate::resolve::reporter::{Reporter, value_fault};
use crate::rules;
use crate::tree::KeyPath;

/// Resolves the addresses of the listener for clients.
pub(super) fn addresses(
    raw: Option<raw::Listen>,
    path: &KeyPath,
    to: &mut Reporter<'_>,
) -> Option<Vec<ListenAddress>> {
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
        match parse(&text, 8787) {
            Err(hint) => to.problem(&path, fault(&text, 8787, hint)),
            Ok(address) if address.port != 0 && addresses.contains(&address) => {
                to.problem(&path, value_fault(format!("{text:?} twice"), "each address once", ""));
            }
            Ok(address) => addresses.push(address),
        }
    }
    Some(addresses)
}

/// Resolves the address of another listener. Messages show `port` in examples.
pub(super) fn address(raw: &str, port: u16, path: &KeyPath, to: &mut Reporter<'_>) -> Option<ListenAddress> {
    let text = raw.trim();
    match parse(text, port) {
        Ok(address) => Some(address),
        Err(hint) => {
            to.problem(path, fault(text, port, hint));
            None
        }
    }
}

fn fault(text: &str, port: u16, hint: String) -> Fault {
    let (found, hint) = match looks_secret(text) {
        true => ("a string".to_owned(), String::new()),
        false => (format!("{text:?}"), hint),
    };
    value_fault(found, format!("host:port, as in 127.0.0.1:{port}"), hint)
}

/// Parses `host:port`. The error is a hint for the operator, in which `example` is the port of an example.
fn parse(text: &str, example: u16) -> Result<ListenAddress, String> {
    if text.contains("://") {
        return Err("remove the scheme".to_owned());
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(format!("add a port, and put an IPv6 address in brackets: [{text}]:{example}"));
    }
    if text.parse::<u16>().is_ok() {
        return Err(format!("add the host: 127.0.0.1:{text} for this machine only, 0.0.0.0:{text} for all"));
    }
    let Some((host, port)) = text.rsplit_once(':').filter(|_| !text.ends_with(']')) else {
        return Err(format!("add a port: {text}:{example}"));
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
