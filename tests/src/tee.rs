//! A TCP forwarder that records every byte a client sends.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use crate::request::Request;
use crate::upstream::lock;

/// A TCP forwarder that records the bytes of its clients, to compare the requests of a real client with those that
/// the upstream received.
#[derive(Debug)]
pub struct Tee {
    address: SocketAddr,
    recorded: Recorded,
    accepting: AbortHandle,
}

/// The bytes of each connection, in the order of acceptance.
type Recorded = Arc<Mutex<Vec<Vec<u8>>>>;

impl Tee {
    /// Listens, and forwards connections to `target`.
    /// # Panics
    /// If the system has no free port.
    pub async fn before(target: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let recorded = Recorded::default();
        let accepting = tokio::spawn(accept(listener, target, Arc::clone(&recorded))).abort_handle();
        Self { address, recorded, accepting }
    }

    /// Returns `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the address on which the forwarder listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns every complete request that was sent, ordered by connection.
    /// # Panics
    /// If a client sent something that is not HTTP/1.1.
    pub async fn requests(&self) -> Vec<Request> {
        let connections = lock(&self.recorded).clone();
        let mut requests = Vec::new();
        for (number, bytes) in connections.iter().enumerate() {
            requests.extend(Request::parse_all(bytes, number).await.expect("clients speak HTTP/1.1"));
        }
        requests
    }
}

impl Drop for Tee {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, recorded: Recorded) {
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                let number = {
                    let mut recorded = lock(&recorded);
                    recorded.push(Vec::new());
                    recorded.len() - 1
                };
                running.spawn(forward(client, target, Arc::clone(&recorded), number));
            }
            Some(_) = running.join_next() => {}
        }
    }
}

/// Copies in both directions until one side ends. Then drops both sockets, which closes both connections.
async fn forward(client: TcpStream, target: SocketAddr, recorded: Recorded, number: usize) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    for socket in [&client, &server] {
        socket.set_nodelay(true).expect("a fresh socket takes options");
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = copy(from_client, to_server, |bytes| lock(&recorded)[number].extend_from_slice(bytes)) => {}
        () = copy(from_server, to_client, |_| {}) => {}
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut record: impl FnMut(&[u8])) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        record(&buffer[..count]);
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
