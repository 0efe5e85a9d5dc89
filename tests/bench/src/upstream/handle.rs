//! The benchmark's side of the upstream: starts its process and sets its scenario.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use bytes::Bytes;
use http::{Method, Request};
use tokio::io::{AsyncBufReadExt, BufReader};

use super::scenario::Scenario;
use super::server::{END_PATH, FLOODED_PATH, SCENARIO_PATH};
use crate::Result;
use crate::client::connection::Connection;
use crate::process::{Process, own_program};

/// The protocol between a proxy and the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Plain,
    TlsHttp1,
    TlsHttp2,
}

/// A running upstream. Dropping it stops it.
#[derive(Debug)]
pub(crate) struct Upstream {
    ports: [u16; 3],
    /// True if the caller has chosen the port of the plain listener.
    has_fixed_port: bool,
    ca_file: PathBuf,
    process: Process,
}

impl Upstream {
    /// Starts the upstream, with a plain listener on `port` or a free one. Its files are in `directory`.
    /// # Errors
    /// If the process does not start or does not print its ports.
    pub(crate) async fn start(directory: &Path, port: Option<u16>) -> Result<Self> {
        let ca_file = directory.join("ca.pem");
        let mut command = own_program()?;
        command.arg("upstream").arg(&ca_file).arg(port.unwrap_or(0).to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::start(&mut command)?;
        let output = process.take_output().ok_or("the upstream has no output")?;
        let line = BufReader::new(output).lines().next_line().await?.ok_or("the upstream did not start")?;
        let ports: Vec<u16> = line.split(' ').map(str::parse).collect::<std::result::Result<_, _>>()?;
        let ports = ports.try_into().map_err(|_| "the upstream did not print three ports")?;
        Ok(Self { ports, has_fixed_port: port.is_some(), ca_file, process })
    }

    /// Returns `true` if proxies that run already depend on this upstream.
    pub(crate) fn has_fixed_port(&self) -> bool {
        self.has_fixed_port
    }

    /// Returns the address for this protocol.
    pub(crate) fn address(&self, protocol: Protocol) -> SocketAddr {
        let [plain, http1, http2] = self.ports;
        let port = match protocol {
            Protocol::Plain => plain,
            Protocol::TlsHttp1 => http1,
            Protocol::TlsHttp2 => http2,
        };
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    }

    /// Returns the URL for this protocol.
    pub(crate) fn url(&self, protocol: Protocol) -> String {
        let scheme = if protocol == Protocol::Plain { "http" } else { "https" };
        format!("{scheme}://{}", self.address(protocol))
    }

    /// Returns the certificate of the authority that the upstream's certificate is from.
    pub(crate) fn ca_file(&self) -> &Path {
        &self.ca_file
    }

    /// Returns the id of the process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Sets the form of the streams that start from now on.
    /// # Errors
    /// If the upstream does not confirm it.
    pub(crate) async fn set(&self, scenario: Scenario) -> Result<()> {
        self.call(Method::PUT, SCENARIO_PATH, scenario.to_string()).await.map(drop)
    }

    /// Ends the open streams that have no end of their own.
    /// # Errors
    /// If the upstream does not confirm it.
    pub(crate) async fn end_streams(&self) -> Result<()> {
        self.call(Method::PUT, END_PATH, String::new()).await.map(drop)
    }

    /// Returns the bytes of large deltas that the upstream could send so far, over all streams.
    /// # Errors
    /// If the upstream does not report them.
    pub(crate) async fn flooded(&self) -> Result<u64> {
        let answer = self.call(Method::GET, FLOODED_PATH, String::new()).await?;
        Ok(std::str::from_utf8(&answer)?.parse()?)
    }

    async fn call(&self, method: Method, path: &str, body: String) -> Result<Bytes> {
        let address = self.address(Protocol::Plain);
        let mut connection = Connection::open(address).await?;
        let request = Request::builder().method(method).uri(path).header("host", address.to_string());
        connection.answer(request.body(Bytes::from(body).into())?).await
    }
}
