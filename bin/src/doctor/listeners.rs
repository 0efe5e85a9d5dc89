//! The checks of the addresses that the relay listens on.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};

use relay_config::{Config, ListenAddress};

use super::check::{Check, Group};
use super::port_holder::Holder;
use crate::probe::Server;
use crate::status;

/// An address of the configuration.
struct Place<'a> {
    /// The setting that names it.
    setting: &'static str,
    address: &'a ListenAddress,
    /// `true` if the relay does not start without it.
    is_required: bool,
}

/// Checks every address. An address is free, or a cc-relay uses it, or another program does.
pub(super) async fn check(config: &Config) -> Group {
    let mut checks = Vec::new();
    for place in places(config) {
        checks.push(place.check().await);
    }
    checks.extend(config.server.unix_sockets.iter().map(|socket| {
        let directory = socket.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        match directory.is_none_or(std::path::Path::is_dir) {
            true => Check::ok("server.listen", format!("{socket}: its directory exists")),
            false => {
                Check::fail("server.listen", format!("{socket}: its directory does not exist"), "create it")
            }
        }
    }));
    Group::new("listeners", checks)
}

fn places(config: &Config) -> Vec<Place<'_>> {
    let place = |setting, address, is_required| Place { setting, address, is_required };
    let mut places: Vec<_> =
        config.server.listen.iter().map(|address| place("server.listen", address, true)).collect();
    if config.admin.enabled {
        places.push(place("admin.listen", &config.admin.listen, config.admin.is_explicit));
    }
    let metrics = config.metrics.listen.as_ref().filter(|_| config.metrics.enabled);
    places.extend(metrics.map(|address| place("metrics.listen", address, true)));
    places
}

impl Place<'_> {
    async fn check(&self) -> Check {
        let (setting, address) = (self.setting, self.address);
        if address.port == 0 {
            return Check::ok(setting, format!("{address}: the system chooses the port"));
        }
        let resolved = (address.host.as_str(), address.port).to_socket_addrs();
        let resolved: Vec<SocketAddr> = match resolved {
            Ok(found) => found.collect(),
            Err(error) => {
                return Check::fail(
                    setting,
                    format!("{address}: {error}"),
                    format!("correct the host of {setting}"),
                );
            }
        };
        let failed = resolved.iter().find_map(|socket| TcpListener::bind(socket).err());
        match failed {
            None => Check::ok(setting, format!("{address} is free")),
            Some(error) if error.kind() == io::ErrorKind::AddrInUse => self.in_use().await,
            Some(error) => self.failed(&error),
        }
    }

    fn failed(&self, error: &io::Error) -> Check {
        let fix = match error.kind() {
            io::ErrorKind::PermissionDenied => "ports below 1024 often need privileges; choose another one",
            _ => "use 127.0.0.1 for clients on this machine, 0.0.0.0 for all its addresses",
        };
        Check::fail(self.setting, format!("{}: {error}", self.address), fix)
    }

    async fn in_use(&self) -> Check {
        let (setting, address) = (self.setting, self.address);
        let holder = Holder::of(address.port);
        let uptime = holder.as_ref().and_then(|holder| holder.uptime).map(|uptime| format!(", up {uptime}"));
        let uptime = uptime.unwrap_or_default();
        if let Server::Relay { version, .. } = Server::at(&status::url_of(address), None).await {
            return Check::ok(setting, format!("{address}: cc-relay {version} runs here{uptime}"));
        }
        match holder {
            // The probe does not speak TLS, and the admin API may need a token.
            Some(holder) if holder.name == "cc-relay" => {
                Check::ok(setting, format!("{address}: a cc-relay runs here (process {}{uptime})", holder.id))
            }
            other => {
                let by = other.map_or_else(|| "another program".to_owned(), |holder| holder.to_string());
                let text = format!("{address} is in use by {by}");
                let fix = format!("stop that program, or choose another port with {setting}");
                match self.is_required {
                    true => Check::fail(setting, text, fix),
                    false => Check::warn(setting, text, fix),
                }
            }
        }
    }
}
