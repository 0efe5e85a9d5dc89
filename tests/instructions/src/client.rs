//! A client of a relay that is served on a socket.

use std::sync::Arc;

use relay_server::Relay;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};

use crate::Result;
use crate::message::{read, read_message};

/// The end of a chunked body.
const END: &[u8] = b"\r\n0\r\n\r\n";
/// The beginning of an event.
const EVENT: &[u8] = b"event: ";

/// Serves `relay` on a socket of the loopback device, and sends `body` so many times over one connection, in the thread of the relay.
///
/// With `turns`, the answer is a stream. Each event that has arrived, from the second one on, adds a permit, so that the upstream can
/// wait for it before the next one.
pub(crate) async fn call(
    relay: Relay,
    body: &str,
    requests: usize,
    turns: Option<Arc<Semaphore>>,
) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let served = tokio::spawn(relay_server::serve(listener, relay, async {
        // It is dropped when the client has ended.
        let _ = stopped.await;
    }));
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: {address}\r\nx-api-key: client-key-000007\r\nanthropic-version: 2023-06-01\r\n\
         content-type: application/json\r\nuser-agent: claude-cli/2.1.0 (external, cli)\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    for _ in 0..requests {
        stream.write_all(request.as_bytes()).await?;
        match &turns {
            Some(turns) => read_stream(&mut stream, turns).await?,
            None => read_answer(&mut stream).await?,
        }
    }
    drop((stream, stop));
    served.await?;
    Ok(())
}

/// Reads an answer in one piece.
async fn read_answer(stream: &mut TcpStream) -> Result<()> {
    let mut received = Vec::new();
    read_message(stream, &mut received).await?;
    match received.starts_with(b"HTTP/1.1 200 ") {
        true => Ok(()),
        false => Err(format!("the relay answered: {}", String::from_utf8_lossy(&received)).into()),
    }
}

/// Reads a stream, and adds a permit for each of its events from the second one on.
async fn read_stream(stream: &mut TcpStream, turns: &Semaphore) -> Result<()> {
    let (mut received, mut events) = (Vec::new(), 0_usize);
    while !received.ends_with(END) {
        // The beginning of an event may be in two reads.
        let searched = received.len().saturating_sub(EVENT.len() - 1);
        read(stream, &mut received).await?;
        let before = events;
        events += memchr::memmem::find_iter(&received[searched..], EVENT).count();
        turns.add_permits(events.saturating_sub(1) - before.saturating_sub(1));
    }
    Ok(())
}
