//! nginx as a reverse proxy.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::real::{find_program, isolated_command};
use crate::time_limit::within_limit;

/// A running nginx on `127.0.0.1`. Dropping it stops it.
#[derive(Debug)]
pub struct Nginx {
    address: SocketAddr,
    _process: Child,
    _directory: TempDir,
}

impl Nginx {
    /// Starts the nginx that `CC_RELAY_TEST_NGINX` names, else that of the system, in front of the server at `to`. `options`
    /// are further lines of the `location`; everything else has nginx's defaults, except the limit of a body (40 MiB).
    /// Returns `None` if there is no nginx.
    /// # Panics
    /// If nginx does not start.
    pub async fn start(to: SocketAddr, options: &str) -> Option<Self> {
        let program = find_program("CC_RELAY_TEST_NGINX", "/usr/sbin/nginx")?;
        let directory = TempDir::new().expect("a temporary directory");
        let unused = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let address = unused.expect("a free port");
        let path = directory.path().join("nginx.conf");
        std::fs::write(&path, configuration(address, to, options)).expect("a writable directory");
        let process = command(program, &directory, path).spawn().expect("nginx starts");
        let listening = async {
            while TcpStream::connect(address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        within_limit("start of nginx", listening).await;
        Some(Self { address, _process: process, _directory: directory })
    }

    /// Returns the address on which nginx listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn command(program: PathBuf, directory: &TempDir, configuration: PathBuf) -> Command {
    let mut command = isolated_command(&program);
    command.arg("-p").arg(directory.path()).arg("-c").arg(configuration).args(["-e", "stderr"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn configuration(address: SocketAddr, to: SocketAddr, options: &str) -> String {
    format!(
        "daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    client_max_body_size 40m;
    server {{
        listen {address};
        location / {{
            proxy_pass http://{to};
            {options}
        }}
    }}
}}
"
    )
}
