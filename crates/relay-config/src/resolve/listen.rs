//! Resolves the addresses of listeners.

use std::net::Ipv6Addr;

use crate::config::{ListenAddress, UnixSocket};
use crate::describe::looks_secret;
use crate::error::Fault;
use crate::raw;
use crate::resolve::reporter::{Reporter, value_fault};
use crate::resolve::unix_socket;
use crate::rules;
use crate::tree::KeyPath;

/// The addresses of the listener for clients.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    pub(super) listen: Vec<ListenAddress>,
    pub(super) unix_sockets: Vec<UnixSocket>,
}

/// Resolves the addresses of the listener for clients.
pub(super) fn addresses(
    raw: Option<raw::Listen>,
    path: &KeyPath,
    to: &mut Reporter<'_>,
) -> Option<Addresses> {
    let texts: Vec<(KeyPath, String)> = match raw? {
        // A variable or a flag cannot hold a list, so several addresses come in one string.
        raw::Listen::One(text) => {
            text.split(',').map(|text| (path.clone(), text.trim().to_owned())).collect()
        }
        raw::Listen::Many(texts) => {
            texts.into_iter().enumerate().map(|(index, text)| (path.index(index), text)).collect()
        }
    };
    let mut addresses = Addresses::default();
    for (path, text) in texts {
        if let Err(fault) = addresses.add(&text) {
            to.problem(&path, fault);
        }
    }
    Some(addresses)
}

impl Addresses {
    fn add(&mut self, text: &str) -> Result<(), Fault> {
        let is_taken = match unix_socket::parse(text) {
            Some(socket) => {
                let socket = socket?;
                let is_taken = self.unix_sockets.iter().any(|other| other.path == socket.path);
                self.unix_sockets.push(socket);
                is_taken
            }
            None => {
                let address = parse(text, 8787).map_err(|hint| fault(text, 8787, hint))?;
                let is_taken = address.port != 0 && self.listen.contains(&address);
                self.listen.push(address);
                is_taken
            }
        };
        match is_taken {
            true => Err(value_fault(format!("{text:?} twice"), "each address once", "")),
            false => Ok(()),
        }
    }
}

/// Resolves the address of another listener. Messages show `port` in examples.
pub(super) fn address(raw: &str, port: u16, path: &KeyPath, to: &mut Reporter<'_>) -> Option<ListenAddress> {
    let text = raw.trim();
    if text.starts_with("unix:") {
        let hint = "a Unix socket is only for server.listen".to_owned();
        to.problem(path, fault(text, port, hint));
        return None;
    }
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
    if text.starts_with('/') {
        return Err(format!("for a Unix socket, write unix:{text}"));
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
