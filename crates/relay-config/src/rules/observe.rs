//! The rules for the listeners of the relay: that of clients, that of operators, and that of metrics.

use std::net::IpAddr;

use super::{Problems, value_fault};
use crate::config::{AdminConfig, ListenAddress, MetricsConfig, ServerConfig};
use crate::error::Fault;
use crate::tree::KeyPath;

/// The paths that the admin listener itself serves.
const ADMIN_PATHS: [&str; 4] = ["/admin", "/assets", "/healthz", "/index.html"];

/// The listeners of a relay.
pub(crate) struct Listeners<'a> {
    pub(crate) server: &'a ServerConfig,
    pub(crate) metrics: &'a MetricsConfig,
    pub(crate) admin: &'a AdminConfig,
}

/// Checks the listeners of operators. Settings of a listener that is not opened are not compared with others.
pub(crate) fn check(listeners: &Listeners<'_>, root: &KeyPath, to: &mut dyn Problems) {
    let Listeners { metrics, admin, .. } = listeners;
    check_admin(listeners, &root.key("admin"), to);
    check_metrics_path(metrics, admin, &root.key("metrics").key("path"), to);
    if let Some(own) = metrics.listen.as_ref().filter(|_| metrics.enabled) {
        check_metrics_address(own, listeners, &root.key("metrics").key("listen"), to);
    }
}

fn check_admin(listeners: &Listeners<'_>, path: &KeyPath, to: &mut dyn Problems) {
    let Listeners { server, admin, .. } = listeners;
    if !admin.enabled {
        return;
    }
    let own = &admin.listen;
    if admin.token.is_none() && !own.is_loopback() {
        let expected = format!(
            "{own} can be reached from other machines: set a token, preferably as ${{NAME}}, or listen on 127.0.0.1:{}",
            own.port
        );
        to.problem(&path.key("token"), Fault::Missing { expected });
    }
    if admin.is_explicit
        && let Some(other) = server.listen.iter().find(|other| is_same_socket(own, other))
    {
        let found = format!("\"{own}\", which server.listen uses ({other})");
        to.problem(&path.key("listen"), value_fault(found, "an address of its own", ""));
    }
    if let Some(token) = &admin.token {
        super::check_client_secret(token.expose(), &path.key("token"), to);
        let clients = &server.auth;
        let mut keys = clients.keys.iter().map(|client| &client.key).chain(&clients.bearer_secret);
        if keys.any(|key| key == token) {
            let hint = "with one token for both, each client could administer the relay";
            to.problem(&path.key("token"), value_fault("the key of a client", "a token of its own", hint));
        }
    }
}

fn check_metrics_path(metrics: &MetricsConfig, admin: &AdminConfig, path: &KeyPath, to: &mut dyn Problems) {
    let text = metrics.path.as_str();
    let found = || format!("{text:?}");
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'%' | b'\\');
    let expected = "a path that starts with /, as in /metrics";
    if !text.starts_with('/') {
        let hint = match text.contains("://") {
            true => "the address goes into metrics.listen".to_owned(),
            false => format!("write /{}", text.trim()),
        };
        to.problem(path, value_fault(found(), expected, hint));
    } else if !text.bytes().all(is_plain) || text.contains("//") || text.split('/').any(|part| part == "..") {
        let hint = "a query, blanks, escapes and empty segments do not belong into it";
        to.problem(path, value_fault(found(), expected, hint));
    } else if metrics.enabled && metrics.listen.is_none() && admin.enabled && is_of_admin(text) {
        let hint = "the admin listener uses it; choose another path, or set metrics.listen";
        to.problem(path, value_fault(found(), "a path of its own", hint));
    }
}

/// Returns `true` for a path that the admin listener serves itself.
fn is_of_admin(path: &str) -> bool {
    let is_within =
        |known: &str| path.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    path == "/" || ADMIN_PATHS.into_iter().any(is_within)
}

fn check_metrics_address(
    own: &ListenAddress,
    listeners: &Listeners<'_>,
    path: &KeyPath,
    to: &mut dyn Problems,
) {
    let Listeners { server, admin, .. } = listeners;
    if let Some(other) = server.listen.iter().find(|other| is_same_socket(own, other)) {
        let found = format!("\"{own}\", which server.listen uses ({other})");
        to.problem(path, value_fault(found, "an address of its own", ""));
    } else if admin.enabled && is_same_socket(own, &admin.listen) {
        let found = format!("\"{own}\", which the admin listener uses ({})", admin.listen);
        let hint = "remove the line: the admin listener serves the metrics too";
        to.problem(path, value_fault(found, "an address of its own", hint));
    }
}

/// Returns `true` if the second of two listeners at these addresses could not be opened. Port 0 is any free port.
fn is_same_socket(one: &ListenAddress, other: &ListenAddress) -> bool {
    one.port != 0
        && one.port == other.port
        && (is_covered(&one.host, &other.host) || is_covered(&other.host, &one.host))
}

/// Returns `true` if a listener at `around` accepts the connections to `host`.
fn is_covered(host: &str, around: &str) -> bool {
    let is_local = |host: &str| host.eq_ignore_ascii_case("localhost");
    match (host.parse::<IpAddr>(), around.parse::<IpAddr>()) {
        (Ok(host), Ok(around)) if around.is_unspecified() => around.is_ipv6() || host.is_ipv4(),
        (Ok(host), Ok(around)) => host == around,
        (Err(_), Ok(around)) => around.is_unspecified() || (is_local(host) && around.is_loopback()),
        _ => host.eq_ignore_ascii_case(around),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_collide_if_a_listener_accepts_the_connections_of_the_other() {
        #[track_caller]
        fn check(one: (&str, u16), other: (&str, u16), expected: bool) {
            let (one, other) = (ListenAddress::new(one.0, one.1), ListenAddress::new(other.0, other.1));
            assert_eq!(is_same_socket(&one, &other), expected, "{one} {other}");
            assert_eq!(is_same_socket(&other, &one), expected, "{other} {one}");
        }
        check(("127.0.0.1", 1), ("127.0.0.1", 1), true);
        check(("127.0.0.1", 1), ("127.0.0.1", 2), false);
        check(("127.0.0.1", 0), ("127.0.0.1", 0), false);
        check(("127.0.0.1", 1), ("0.0.0.0", 1), true);
        check(("127.0.0.1", 1), ("::", 1), true);
        check(("127.0.0.1", 1), ("localhost", 1), true);
        check(("localhost", 1), ("LOCALHOST", 1), true);
        check(("0.0.0.0", 1), ("relay.example", 1), true);
        check(("::1", 1), ("0.0.0.0", 1), false);
        check(("127.0.0.1", 1), ("127.0.0.2", 1), false);
        check(("127.0.0.1", 1), ("relay.example", 1), false);
    }
}
