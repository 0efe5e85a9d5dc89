//! Starting a peer, and waiting until it serves.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Request;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use super::{Kind, Lab, Peer, Spec, servers};
use crate::Result;
use crate::client::connection::Connection;
use crate::listen::free_address;
use crate::process::{Process, find, isolated, own_program};
use crate::upstream::handle::Protocol;

/// The longest time until a peer serves.
const LIMIT: Duration = Duration::from_secs(20);

/// The way in which a program is executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Launch {
    /// On the CPU of the proxies.
    Placed,
    /// Without a program in between, for the time of a start.
    Plain,
}

/// Starts a peer and waits until it serves. Returns `None` if its program is not installed.
/// # Errors
/// If the program ends, or does not serve in time.
pub(crate) async fn start(spec: &Spec, lab: &Lab, launch: Launch) -> Result<Option<Peer>> {
    let (name, prefix) = (spec.name.clone(), String::new());
    match &spec.kind {
        Kind::Direct => {
            let address = lab.upstream.address(Protocol::Plain);
            return Ok(Some(Peer { name, address, prefix, pid: None, process: None, _directory: None }));
        }
        Kind::External(peer) => {
            let (address, prefix, pid) = (peer.address, peer.prefix.clone(), Some(peer.pid));
            return Ok(Some(Peer { name, address, prefix, pid, process: None, _directory: None }));
        }
        _ => {}
    }
    let Some(program) = program_of(&spec.kind, lab)? else { return Ok(None) };
    let mut command = match launch {
        Launch::Placed => lab.placement.proxy(&program),
        Launch::Plain => isolated(&program),
    };
    let (address, directory) = (free_address()?, TempDir::new()?);
    arguments(&mut command, spec, lab, address, directory.path())?;
    let mut process = Process::start(&mut command)?;
    let ready = wait(address, matches!(spec.kind, Kind::Relay(_)), &mut process);
    let ready = timeout(LIMIT, ready).await.map_err(|_| Into::into("it does not serve")).flatten();
    ready.map_err(|error| format!("{name}: {error}"))?;
    let pid = Some(process.pid());
    Ok(Some(Peer { name, address, prefix, pid, process: Some(process), _directory: Some(directory) }))
}

fn program_of(kind: &Kind, lab: &Lab) -> Result<Option<PathBuf>> {
    Ok(match kind {
        Kind::Hyper => Some(own_program()?.as_std().get_program().into()),
        Kind::Nginx => find("nginx"),
        Kind::Haproxy => find("haproxy"),
        Kind::Envoy => lab.envoy.clone(),
        Kind::Relay(_) => Some(lab.relay.clone()),
        Kind::Direct | Kind::External(_) => None,
    })
}

/// Adds the arguments, after the files that they name have been written to `directory`.
fn arguments(
    command: &mut Command,
    spec: &Spec,
    lab: &Lab,
    address: SocketAddr,
    directory: &Path,
) -> Result<()> {
    let upstream = lab.upstream.address(spec.protocol);
    let write = |name: &str, text: String| -> Result<PathBuf> {
        let path = directory.join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    };
    match spec.kind {
        Kind::Hyper => {
            command.arg("proxy").arg(address.to_string()).arg(lab.upstream.url(spec.protocol));
            command.arg(lab.upstream.ca_file());
            if spec.protocol == Protocol::TlsHttp2 {
                command.arg("--http2");
            }
        }
        Kind::Nginx => {
            let ca_file = (spec.protocol != Protocol::Plain).then(|| lab.upstream.ca_file());
            let config = write("nginx.conf", servers::nginx(address, upstream, ca_file))?;
            command.arg("-p").arg(directory).arg("-c").arg(config).args(["-e", "stderr"]);
        }
        Kind::Haproxy => {
            command.args(["-db", "-q", "-f"]).arg(write("haproxy.cfg", servers::haproxy(address, upstream))?);
        }
        Kind::Envoy => {
            command.args(["--concurrency", "1", "--disable-hot-restart", "-l", "error", "-c"]);
            command.arg(write("envoy.yaml", servers::envoy(address, upstream))?);
        }
        Kind::Relay(variant) => {
            // The relay watches the directory of its configuration. It writes elsewhere, as an installed one does.
            let data = directory.join("data");
            std::fs::create_dir(&data)?;
            let config = variant.text(address, &lab.upstream, spec.protocol, &data);
            command.arg("--config").arg(write(variant.file_name(), config)?);
        }
        Kind::Direct | Kind::External(_) => {}
    }
    Ok(())
}

/// Waits until the process accepts connections and, with `health`, `GET /health` succeeds.
async fn wait(address: SocketAddr, health: bool, process: &mut Process) -> Result<()> {
    const BETWEEN: Duration = Duration::from_micros(200);
    while TcpStream::connect(address).await.is_err() {
        if process.has_ended() {
            return Err("it ended at its start".into());
        }
        sleep(BETWEEN).await;
    }
    if health {
        let request = Request::get("/health").header("host", address.to_string());
        Connection::open(address).await?.answer(request.body(Default::default())?).await?;
    }
    Ok(())
}
