//! The limits of the pool, over real sockets.

use std::time::Duration;

use relay_messages::Payload;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::connect::Proxies;
use crate::roots::TrustRoots;
use crate::tls::client_config;

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A pool, and the socket of the only upstream.
struct Scene {
    pool: Pool,
    listener: TcpListener,
    scheme: &'static str,
}

impl Scene {
    async fn new(limits: PoolLimits) -> Self {
        let tls = client_config(&TrustRoots::load(), None).unwrap();
        let connector = Connector::new(tls, Proxies::none(), Duration::from_secs(5), None);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { pool: Pool::with_limits(connector, limits), listener, scheme: "http" }
    }

    /// Sends a request in a new task.
    fn send(&self, queue: &QueueTime) -> tokio::task::JoinHandle<Result<Response<ReceivedBody>, SendError>> {
        let mut request = Request::new(RequestBody::Payload(Payload::default()));
        let uri = format!("{}://{}/", self.scheme, self.listener.local_addr().unwrap());
        *request.uri_mut() = uri.parse().unwrap();
        let (pool, queue) = (self.pool.clone(), queue.clone());
        tokio::spawn(async move { pool.send(request, &queue).await })
    }

    /// Returns the number of idle HTTP/1.1 connections.
    fn idle(&self) -> usize {
        let uri = format!("http://{}/", self.listener.local_addr().unwrap()).parse().unwrap();
        self.pool.host(&uri).unwrap().idle()
    }

    /// Accepts a connection and reads the head of its first request.
    async fn accept(&self) -> TcpStream {
        let (mut stream, _) = self.listener.accept().await.unwrap();
        read_head(&mut stream).await;
        stream
    }
}

async fn read_head(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut head).await.unwrap(), 0, "the connection is closed");
    }
}

async fn is_closed(stream: &mut TcpStream) -> bool {
    matches!(stream.read(&mut [0; 1]).await, Ok(0) | Err(_))
}

#[tokio::test]
async fn an_idle_connection_is_closed_at_its_limit() {
    let limits = PoolLimits { idle: Duration::from_millis(50), ..PoolLimits::default() };
    let scene = Scene::new(limits).await;
    let sent = scene.send(&QueueTime::default());
    let mut stream = scene.accept().await;
    stream.write_all(RESPONSE).await.unwrap();
    drop(sent.await.unwrap().unwrap());
    // The body was not read, so its connection is closed at once.
    assert!(is_closed(&mut stream).await);

    let sent = scene.send(&QueueTime::default());
    let mut stream = scene.accept().await;
    stream.write_all(RESPONSE).await.unwrap();
    let body = http_body_util::BodyExt::collect(sent.await.unwrap().unwrap().into_body()).await.unwrap();
    assert_eq!(body.to_bytes(), "ok");
    let since = tokio::time::Instant::now();
    assert!(is_closed(&mut stream).await);
    assert!(since.elapsed() >= Duration::from_millis(40));
}

#[tokio::test]
async fn requests_above_the_limit_of_connections_wait_for_a_free_one() {
    let scene = Scene::new(PoolLimits { connections: 1, ..PoolLimits::default() }).await;
    let (first, second) = (QueueTime::default(), QueueTime::default());
    let sent = scene.send(&first);
    let mut stream = scene.accept().await;
    let waiting = scene.send(&second);
    while !second.is_waiting() {
        tokio::task::yield_now().await;
    }
    stream.write_all(RESPONSE).await.unwrap();
    let body = sent.await.unwrap().unwrap().into_body();
    assert!(second.is_waiting(), "the body of the first response has not ended");
    http_body_util::BodyExt::collect(body).await.unwrap();
    read_head(&mut stream).await;
    stream.write_all(RESPONSE).await.unwrap();
    assert!(waiting.await.unwrap().is_ok());
    assert!(!second.is_waiting() && second.total() > Duration::ZERO);
    assert_eq!(first.total(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_request_for_which_no_connection_becomes_free_is_not_a_failure_of_the_upstream() {
    let scene = Scene::new(PoolLimits { connections: 0, ..PoolLimits::default() }).await;
    let error = scene.send(&QueueTime::default()).await.unwrap().unwrap_err();
    assert!(matches!(error, SendError::Saturated(_)), "{error:?}");
}

#[tokio::test]
async fn the_number_of_idle_connections_is_limited() {
    let scene = Scene::new(PoolLimits { idle_per_host: 1, ..PoolLimits::default() }).await;
    let queue = QueueTime::default();
    let (first, second) = (scene.send(&queue), scene.send(&queue));
    let mut streams = [scene.accept().await, scene.accept().await];
    for stream in &mut streams {
        stream.write_all(RESPONSE).await.unwrap();
    }
    for sent in [first, second] {
        http_body_util::BodyExt::collect(sent.await.unwrap().unwrap().into_body()).await.unwrap();
    }
    let [first, second] = &mut streams;
    tokio::select! {
        closed = is_closed(first) => assert!(closed),
        closed = is_closed(second) => assert!(closed),
    }
}

#[tokio::test]
async fn surplus_idle_connections_are_closed_sooner_than_the_last_one() {
    const BURST: usize = 4;
    let surplus = Duration::from_millis(100);
    let limits = PoolLimits { kept_per_host: 1, surplus, ..PoolLimits::default() };
    let (scene, queue) = (Scene::new(limits).await, QueueTime::default());
    let sent: Vec<_> = (0..BURST).map(|_| scene.send(&queue)).collect();
    let mut closed = tokio::task::JoinSet::new();
    for _ in 0..BURST {
        let mut stream = scene.accept().await;
        stream.write_all(RESPONSE).await.unwrap();
        closed.spawn(async move { is_closed(&mut stream).await });
    }
    let since = tokio::time::Instant::now();
    for sent in sent {
        http_body_util::BodyExt::collect(sent.await.unwrap().unwrap().into_body()).await.unwrap();
    }
    for _ in 1..BURST {
        assert!(closed.join_next().await.unwrap().unwrap());
    }
    assert!(since.elapsed() >= surplus);
    assert!(tokio::time::timeout(3 * surplus, closed.join_next()).await.is_err());
    assert_eq!(scene.idle(), 1);
}

#[tokio::test]
async fn a_burst_of_requests_reuses_the_connections_of_the_burst_before() {
    // Below the 128 connections that the listener keeps before they are accepted.
    const BURST: usize = 100;
    let (scene, queue) = (Scene::new(PoolLimits::default()).await, QueueTime::default());
    let collect = async |sent: Vec<tokio::task::JoinHandle<Result<Response<ReceivedBody>, SendError>>>| {
        for sent in sent {
            http_body_util::BodyExt::collect(sent.await.unwrap().unwrap().into_body()).await.unwrap();
        }
    };
    let sent: Vec<_> = (0..BURST).map(|_| scene.send(&queue)).collect();
    let mut streams = Vec::new();
    for _ in 0..BURST {
        streams.push(scene.accept().await);
    }
    for stream in &mut streams {
        stream.write_all(RESPONSE).await.unwrap();
    }
    collect(sent).await;
    // A connection that has not written its whole request yet is returned by a task of its own.
    while scene.idle() < BURST {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let sent: Vec<_> = (0..BURST).map(|_| scene.send(&queue)).collect();
    for stream in &mut streams {
        read_head(stream).await;
        stream.write_all(RESPONSE).await.unwrap();
    }
    collect(sent).await;
}

#[tokio::test]
async fn a_cancelled_request_ends_the_connection_attempt_that_it_waits_for() {
    let mut scene = Scene::new(PoolLimits::default()).await;
    scene.scheme = "https";
    let (first, second) = (scene.send(&QueueTime::default()), scene.send(&QueueTime::default()));
    let (mut stream, _) = scene.listener.accept().await.unwrap();
    let mut hello = [0; 1024];
    assert_ne!(stream.read(&mut hello).await.unwrap(), 0);
    first.abort();
    let still_open = tokio::time::timeout(Duration::from_millis(50), stream.read(&mut hello)).await;
    assert!(still_open.is_err(), "the second request waits for the same attempt");
    second.abort();
    assert!(is_closed(&mut stream).await);
}
