//! The scripted upstream: a server in a process of its own.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::events::Framing;
use super::scenario::Scenario;
use super::stream::{Control, EventBody};
use super::tls;
use crate::Result;
use crate::body::MODEL;
use crate::listen::listen;

/// The path at which the scenario is set.
pub(crate) const SCENARIO_PATH: &str = "/bench/scenario";
/// The path that ends the open streams.
pub(crate) const END_PATH: &str = "/bench/end";
/// The path that returns the bytes of all large deltas so far.
pub(crate) const FLOODED_PATH: &str = "/bench/flooded";

type AnswerBody = Either<Full<Bytes>, EventBody>;

#[derive(Debug)]
struct Script {
    scenario: Mutex<Scenario>,
    control: Control,
}

/// Serves until standard input ends, which happens at the latest with the process that started this one. Listens on `port`
/// for plain connections, and prints the three ports: plain, TLS with HTTP/1.1, TLS with HTTP/2.
/// # Errors
/// If a port or a certificate cannot be had.
pub(crate) async fn serve(ca_file: &Path, port: u16) -> Result<()> {
    let (http1, http2) = tls::acceptors(ca_file)?;
    let script =
        Arc::new(Script { scenario: Mutex::new(Scenario::Burst { events: 1 }), control: Control::default() });
    let mut ports = Vec::new();
    for (port, acceptor) in [(port, None), (0, Some(http1)), (0, Some(http2))] {
        let listener = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        ports.push(listener.local_addr()?.port().to_string());
        tokio::spawn(accept(listener, acceptor, Arc::clone(&script)));
    }
    crate::print(&ports.join(" "))?;
    // A thread of its own, so that the end of the process does not wait for it.
    let (ended, end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = ended.send(());
    });
    Ok(end.await?)
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, script: Arc<Script>) {
    loop {
        // A failed accept, for want of files for example, shows itself in the client's errors.
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let (tls, script) = (tls.clone(), Arc::clone(&script));
        tokio::spawn(async move {
            match tls {
                None => connection(stream, script).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        connection(stream, script).await;
                    }
                }
            }
        });
    }
}

async fn connection(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, script: Arc<Script>) {
    let service = service_fn(move |request| {
        let script = Arc::clone(&script);
        async move {
            let answer = answer(request, &script).await;
            Ok::<_, Infallible>(answer.unwrap_or_else(|error| failure(&error.to_string())))
        }
    });
    let mut server = auto::Builder::new(TokioExecutor::new());
    // As many as a vendor's front end allows, and large windows, so that the upstream is never what is measured.
    server.http2().max_concurrent_streams(128).initial_stream_window_size(1 << 20);
    server.http2().initial_connection_window_size(16 << 20);
    // A client that leaves ends the connection with an error.
    let _ = server.serve_connection(TokioIo::new(io), service).await;
}

async fn answer(request: Request<Incoming>, script: &Script) -> Result<Response<AnswerBody>> {
    let (head, body) = request.into_parts();
    match (head.method, head.uri.path()) {
        (Method::PUT, SCENARIO_PATH) => {
            let text = body.collect().await?.to_bytes();
            let scenario = std::str::from_utf8(&text)?.parse()?;
            *script.scenario.lock().unwrap_or_else(PoisonError::into_inner) = scenario;
            Ok(json("{}"))
        }
        (Method::PUT, END_PATH) => {
            script.control.end_streams();
            Ok(json("{}"))
        }
        (Method::GET, FLOODED_PATH) => Ok(json(&script.control.flooded().to_string())),
        (Method::POST, path) => {
            let of_bedrock = path.ends_with("/invoke-with-response-stream");
            let received = receive(body).await?;
            if of_bedrock {
                stream(script, Framing::EventStream)
            } else if received.wants_stream {
                stream(script, Framing::Sse)
            } else {
                Ok(json(&message(received.length)))
            }
        }
        _ => Ok(json("{}")),
    }
}

/// The facts of a request body that the answer depends on.
struct Received {
    length: usize,
    wants_stream: bool,
}

/// Reads a body without keeping it.
async fn receive(mut body: Incoming) -> Result<Received> {
    const STREAM: &[u8] = b"\"stream\":true}";
    let mut length = 0;
    let mut tail = Vec::with_capacity(2 * STREAM.len());
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        length += data.len();
        tail.extend_from_slice(&data[data.len().saturating_sub(STREAM.len())..]);
        let excess = tail.len().saturating_sub(STREAM.len());
        tail.drain(..excess);
    }
    if tail.last() != Some(&b'}') {
        return Err(format!("a body of {length} bytes is not a whole object").into());
    }
    Ok(Received { length, wants_stream: tail.ends_with(STREAM) })
}

fn stream(script: &Script, framing: Framing) -> Result<Response<AnswerBody>> {
    let scenario = *script.scenario.lock().unwrap_or_else(PoisonError::into_inner);
    let body = EventBody::new(scenario, framing, &script.control)?;
    let mut response = Response::new(Either::Right(body));
    response.headers_mut().insert(header::CONTENT_TYPE, framing.content_type().parse()?);
    Ok(response)
}

/// Returns an answer of about 1 KB. Its `input_tokens` are the bytes of the request, for the client to check.
fn message(received: usize) -> String {
    let text = "The change is complete. ".repeat(28);
    format!(
        r#"{{"id":"msg_01XFDUDYJgAACzvnptvVoYEL","type":"message","role":"assistant","model":"{MODEL}","content":[{{"type":"text","text":"{text}"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{{"input_tokens":{received},"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":42}}}}"#
    )
}

fn json(text: &str) -> Response<AnswerBody> {
    let mut response = Response::new(Either::Left(Full::new(Bytes::from(text.to_owned()))));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

fn failure(message: &str) -> Response<AnswerBody> {
    let error = serde_json::json!({"type": "invalid_request_error", "message": message});
    let mut response = json(&serde_json::json!({"type": "error", "error": error}).to_string());
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}
