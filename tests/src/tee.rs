//! A tap in front of an address that keeps every byte a client sends.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use crate::request::Request;
use crate::upstream::lock;

/// Passes connections on to an address, byte for byte, and keeps what the clients sent: what a real client meant,
/// to compare with what the upstream got.
#[derive(Debug)]
pub struct Tee {
    address: SocketAddr,
    sent: Sent,
    accepting: AbortHandle,
}

/// The bytes of each connection, in the order of accepting.
type Sent = Arc<Mutex<Vec<Vec<u8>>>>;

impl Tee {
    /// Listens in front of `target`.
    /// # Panics
    /// If the system has no port left.
    pub async fn before(target: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let sent = Sent::default();
        let accepting = tokio::spawn(accept(listener, target, Arc::clone(&sent))).abort_handle();
        Self { address, sent, accepting }
    }

    /// `http://127.0.0.1:PORT` of the tap.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where the tap listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every complete request that was sent, connection by connection.
    /// # Panics
    /// If a client sent something that is not HTTP/1.1.
    pub async fn requests(&self) -> Vec<Request> {
        let connections = lock(&self.sent).clone();
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

async fn accept(listener: TcpListener, target: SocketAddr, sent: Sent) {
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                let number = {
                    let mut sent = lock(&sent);
                    sent.push(Vec::new());
                    sent.len() - 1
                };
                running.spawn(pass_on(client, target, Arc::clone(&sent), number));
            }
            Some(_) = running.join_next() => {}
        }
    }
}

/// Copies both ways until one side ends; dropping both sockets then shows each side that the other has gone.
async fn pass_on(client: TcpStream, target: SocketAddr, sent: Sent, number: usize) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    for socket in [&client, &server] {
        socket.set_nodelay(true).expect("a fresh socket takes options");
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = copy(from_client, to_server, |bytes| lock(&sent)[number].extend_from_slice(bytes)) => {}
        () = copy(from_server, to_client, |_| {}) => {}
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut seen: impl FnMut(&[u8])) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        seen(&buffer[..count]);
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
