//! Checks the `server` settings.

use super::checker::Checker;
use crate::config::{ClientAuth, ServerConfig, TlsConfig};
use crate::error::Fault;
use crate::rules::{self, Problems, value_fault};
use crate::secret::Secret;
use crate::tree::KeyPath;

pub(super) fn check(server: &ServerConfig, path: &KeyPath, to: &mut Checker) {
    check_listen(server, &path.key("listen"), to);
    check_unix_sockets(server, &path.key("unix_sockets"), to);
    if let Some(tls) = &server.tls {
        check_tls(tls, &path.key("tls"), to);
    }
    to.limit(&path.key("timeout_ms"), server.timeout);
    to.limit(&path.key("write_timeout_ms"), server.write_timeout);
    to.duration(&path.key("drain_timeout_ms"), server.drain_timeout);
    to.duration(&path.key("drain_delay_ms"), server.drain_delay);
    to.number(&path.key("max_body_bytes"), server.max_body_bytes as u64);
    if let Some(limit) = server.max_buffered_bytes {
        let path = path.key("max_buffered_bytes");
        match limit {
            0 => to.problem(&path, value_fault("the number 0", "None for no limit, or a larger number", "")),
            limit => to.number(&path, limit as u64),
        }
    }
    check_auth(&server.auth, &path.key("auth"), to);
}

fn check_listen(server: &ServerConfig, path: &KeyPath, to: &mut Checker) {
    if server.listen.is_empty() && server.unix_sockets.is_empty() {
        to.problem(path, Fault::Missing { expected: "give at least one address".to_owned() });
    }
    for (index, address) in server.listen.iter().enumerate() {
        let path = path.index(index);
        if !rules::is_host(&address.host) {
            let found = format!("{:?}", address.to_string());
            let hint = "the host is a name or an IP address";
            to.problem(&path, value_fault(found, "host:port, as in 127.0.0.1:8787", hint));
        } else if address.port != 0 && server.listen[..index].contains(address) {
            to.problem(&path, value_fault(format!("\"{address}\" twice"), "each address once", ""));
        }
    }
}

fn check_unix_sockets(server: &ServerConfig, path: &KeyPath, to: &mut Checker) {
    for (index, socket) in server.unix_sockets.iter().enumerate() {
        let path = path.index(index);
        if let Some(fault) = rules::unix_socket::fault(socket) {
            to.problem(&path, fault);
        } else if server.unix_sockets[..index].iter().any(|other| other.path == socket.path) {
            to.problem(&path, value_fault(format!("\"{socket}\" twice"), "each path once", ""));
        }
    }
}

fn check_tls(tls: &TlsConfig, path: &KeyPath, to: &mut Checker) {
    let files = [("cert", Some(&tls.cert)), ("key", Some(&tls.key)), ("client_ca", tls.client_ca.as_ref())];
    for (name, file) in files {
        if file.is_some_and(|file| file.as_os_str().is_empty()) {
            to.problem(&path.key(name), value_fault("an empty path", "the path of a PEM file", ""));
        }
    }
}

fn check_auth(auth: &ClientAuth, path: &KeyPath, to: &mut Checker) {
    let list = path.key("api_keys");
    for (index, client) in auth.keys.iter().enumerate() {
        let path = list.index(index);
        to.text(&path.key("name"), &client.name);
        check_secret(&client.key, &path.key("key"), to);
        rules::check_models(client.models.iter(), &path.key("models"), to);
        if let Some(budget) = &client.budget {
            to.float(&path.key("budget_usd"), budget.usd);
        }
    }
    let clients: Vec<_> =
        auth.keys.iter().enumerate().map(|(index, client)| (list.index(index), client)).collect();
    rules::keys::check_clients(&clients, to);
    if let Some(secret) = &auth.bearer_secret {
        check_secret(secret, &path.key("bearer_secret"), to);
    }
}

fn check_secret(secret: &Secret, path: &KeyPath, to: &mut Checker) {
    to.secret(path, secret);
    rules::check_client_secret(secret.expose(), path, to);
}
