//! Upstreams that end their connection while a large request is on its way to them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use relay_tests::fakes::anthropic;
use relay_tests::{Call, End, Relay, Upstream, provider};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::AbortHandle;

const SIZE: usize = 1024 * 1024;
/// The size of the upstream's receive buffer. The rest of an upload waits in the relay.
const BUFFER: u32 = 16 * 1024;

/// A server that reads a part of each connection, and then ends it.
struct Dying {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    accepting: AbortHandle,
}

impl Dying {
    /// Reads `bytes` bytes of each connection. `resets` chooses RST; without it, the server sends FIN and reads no more.
    async fn after(bytes: usize, resets: bool) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(BUFFER).expect("a new socket takes options");
        socket.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
        let listener = socket.listen(16).expect("a bound socket");
        let address = listener.local_addr().expect("a bound socket");
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(read_part(stream, bytes, resets));
            }
        });
        Self { address, connections, accepting: accepting.abort_handle() }
    }
}

impl Drop for Dying {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn read_part(mut stream: TcpStream, bytes: usize, resets: bool) {
    // An error means that the relay has closed the connection.
    let _ = stream.read_exact(&mut vec![0; bytes]).await;
    if resets {
        stream.set_zero_linger().expect("an open socket takes options");
        return;
    }
    // To close the socket would reset the connection, since the rest of the upload is unread.
    // An error means that the relay has closed the connection.
    let _ = stream.shutdown().await;
    std::future::pending::<()>().await;
}

/// A request of about [`SIZE`] bytes.
fn message() -> String {
    json!({"model": "claude-opus-5-5", "max_tokens": 8, "messages": [{"role": "user", "content": "x".repeat(SIZE)}]})
        .to_string()
}

async fn circuit(relay: &Relay) -> Value {
    Call::get("/v1/providers").send(relay.address()).await.json()["data"][0].clone()
}

#[tokio::test]
async fn an_upload_that_dies_is_sent_whole_to_the_next_provider() {
    let next = Upstream::answering(anthropic::answer_with("next")).await;
    for percent in [10, 50, 90] {
        for resets in [false, true] {
            let dying = Dying::after(SIZE / 100 * percent, resets).await;
            let url = format!("http://{}", dying.address);
            let providers =
                [provider("dying", "anthropic", &url), provider("next", "anthropic", &next.url())];
            let relay = Relay::start(&json!({"providers": providers})).await;
            let body = message();
            let response = Call::messages(body.clone()).send(relay.address()).await;
            assert_eq!(response.text(), "next", "{percent} %, resets: {resets}");
            assert!(next.take_requests().iter().all(|request| request.body == body));
            assert_eq!(dying.connections.load(Ordering::Relaxed), 1, "the upload may have been processed");
        }
    }
}

#[tokio::test]
async fn an_upload_that_dies_is_an_error_if_no_other_provider_can_have_it() {
    for percent in [10, 50, 90] {
        for resets in [false, true] {
            let dying = Dying::after(SIZE / 100 * percent, resets).await;
            let url = format!("http://{}", dying.address);
            let relay = Relay::start(&json!({
                "providers": [provider("dying", "anthropic", &url)],
                "health": {"health_check": {"enabled": false}},
            }))
            .await;
            // A body that the relay holds, and one that passes through it.
            for call in [Call::messages(message()), Call::post("/v1/files").body("x".repeat(SIZE))] {
                let response = call.send(relay.address()).await;
                let label = format!("{percent} %, resets: {resets}: {response:?}");
                assert_eq!((response.status, response.end), (502, End::Complete), "{label}");
                assert_eq!(response.json()["error"]["type"], "api_error", "{label}");
            }
            assert_eq!(dying.connections.load(Ordering::Relaxed), 2, "no upload is repeated");
            assert_eq!(circuit(&relay).await["in_flight"], 0);
        }
    }
}
