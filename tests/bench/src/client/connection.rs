//! One HTTP/1.1 connection to a proxy.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::Result;

/// The betas of Claude Code.
const BETAS: &str =
    "claude-code-20250219,interleaved-thinking-2025-05-14,fine-grained-tool-streaming-2025-05-14";

/// The requests of one client session: address, headers and body.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) path: String,
    /// The key that the client sends as `x-api-key`.
    pub(crate) key: String,
    pub(crate) body: Bytes,
}

impl Target {
    /// Returns a request with the headers that Claude Code sends.
    /// # Errors
    /// If the path or the key has characters that HTTP does not allow.
    pub(crate) fn request(&self, session: usize) -> Result<Request<Full<Bytes>>> {
        let request = Request::post(self.path.as_str())
            .header("host", self.address.to_string())
            .header("accept", "application/json")
            .header("content-type", "application/json")
            .header("user-agent", "claude-cli/2.1.330 (external, cli)")
            .header("x-claude-code-session-id", format!("0b1c2d3e-4f50-4162-8738-{session:012x}"))
            .header("x-stainless-lang", "js")
            .header("x-stainless-package-version", "0.128.0")
            .header("x-stainless-retry-count", "0")
            .header("x-stainless-timeout", "600")
            .header("anthropic-beta", BETAS)
            .header("anthropic-version", "2023-06-01")
            .header("x-api-key", self.key.as_str())
            .header("x-app", "cli");
        Ok(request.body(Full::new(self.body.clone()))?)
    }
}

/// A connection. Dropping it closes it.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

impl Connection {
    /// Connects to `address`.
    /// # Errors
    /// If the connection is refused.
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(async move {
            // An error of the connection is an error of the request too, which reports it.
            let _ = connection.await;
        });
        Ok(Self { sender, driver })
    }

    /// Sends a request and returns the answer's head with its body.
    /// # Errors
    /// If there is no answer, or one of another status than 200. The message has the start of its body.
    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>> {
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        if response.status() == StatusCode::OK {
            return Ok(response);
        }
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        let text = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
        Err(format!("status {status}: {text}").into())
    }

    /// Sends a request and returns the body of the answer.
    /// # Errors
    /// The errors of [`send`](Self::send), and an error if the body breaks off.
    pub(crate) async fn answer(&mut self, request: Request<Full<Bytes>>) -> Result<Bytes> {
        Ok(self.send(request).await?.into_body().collect().await?.to_bytes())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
