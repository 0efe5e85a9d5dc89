//! HTTP/2 frames without a state machine, and an upstream that sends the same frames without end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt, split};
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};

use crate::tls::{CertificateAuthority, Io};

/// The bytes that a client sends first (RFC 9113 section 3.4).
pub const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const HEADER: usize = 9;
const HEADERS: u8 = 0x1;
const SETTINGS: u8 = 0x4;
const ACK: u8 = 0x1;

/// Encodes one HTTP/2 frame (RFC 9113 section 4.1).
#[must_use]
pub fn http2_frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// An HTTP/2 server that never ends its first answer: once a request has arrived, it sends the same bytes again and again.
#[derive(Debug)]
pub struct FloodingUpstream {
    address: SocketAddr,
    floods: Arc<AtomicUsize>,
    accepting: AbortHandle,
}

impl FloodingUpstream {
    /// Listens. On each connection, sends `start` after the first head of a request, and then `repeated` until the peer closes
    /// the connection.
    /// # Panics
    /// If the system has no free port.
    pub async fn start(authority: &CertificateAuthority, start: Vec<u8>, repeated: Vec<u8>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (authority, floods) = (authority.clone(), Arc::<AtomicUsize>::default());
        let sent = Arc::clone(&floods);
        let accepting = tokio::spawn(async move {
            let mut running = JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let (authority, start) = (authority.clone(), start.clone());
                let (repeated, sent) = (repeated.clone(), Arc::clone(&sent));
                running.spawn(async move {
                    if let Ok(io) = authority.accept_http2(stream).await {
                        flood(io, &start, &repeated, &sent).await;
                    }
                });
            }
        });
        Self { address, floods, accepting: accepting.abort_handle() }
    }

    /// Returns `https://localhost:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// Returns the number of times that a connection has taken the repeated bytes.
    #[must_use]
    pub fn floods(&self) -> usize {
        self.floods.load(Ordering::Relaxed)
    }
}

impl Drop for FloodingUpstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn flood(io: Io, start: &[u8], repeated: &[u8], sent: &AtomicUsize) {
    let (mut reader, mut writer) = split(io);
    let settings = [http2_frame(SETTINGS, 0, 0, &[]), http2_frame(SETTINGS, ACK, 0, &[])].concat();
    let mut received = Vec::new();
    if writer.write_all(&settings).await.is_err() {
        return;
    }
    while !has_head(&received) {
        if !matches!(reader.read_buf(&mut received).await, Ok(1..)) {
            return;
        }
    }
    let reading = async {
        let mut discarded = vec![0; 64 * 1024];
        while matches!(reader.read(&mut discarded).await, Ok(1..)) {}
    };
    let writing = async {
        let mut is_open = writer.write_all(start).await.is_ok();
        while is_open {
            is_open = writer.write_all(repeated).await.is_ok() && writer.flush().await.is_ok();
            sent.fetch_add(usize::from(is_open), Ordering::Relaxed);
        }
    };
    tokio::select! {
        () = reading => {}
        () = writing => {}
    }
}

/// Returns `true` if the bytes of a client contain a HEADERS frame.
fn has_head(bytes: &[u8]) -> bool {
    let mut rest = bytes.get(HTTP2_PREFACE.len()..).unwrap_or_default();
    while let Some(header) = rest.get(..HEADER) {
        if header[3] == HEADERS {
            return true;
        }
        let length = usize::from(header[0]) << 16 | usize::from(header[1]) << 8 | usize::from(header[2]);
        rest = rest.get(HEADER + length..).unwrap_or_default();
    }
    false
}
