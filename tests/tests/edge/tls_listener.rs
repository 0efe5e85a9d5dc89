//! A listener with TLS: protocols, client certificates, other certificates while it runs, and clients that do not complete a
//! handshake.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use relay_config::TlsConfig;
use relay_server::{Listener, ListenerTls};
use relay_tests::fakes::anthropic;
use relay_tests::{
    Answer, Call, CertificateAuthority, Client, Connection, End, Http2Client, Identity, Relay, Tunnel,
    Upstream, provider, sse, tls_connection, within, within_limit,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription, ClientConfig, ProtocolVersion};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[]}"#;
const STREAMED: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[],"stream":true}"#;
const HEALTH: &str = "GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

/// A relay with TLS, and the parts of its certificate.
struct Secure {
    relay: Relay,
    tls: ListenerTls,
    authority: CertificateAuthority,
    identity: Identity,
}

fn files(identity: &Identity) -> TlsConfig {
    TlsConfig::new(identity.cert_file(), identity.key_file())
}

impl Secure {
    async fn start(config: &Value) -> Self {
        Self::start_with(config, None, |builder| builder).await
    }

    /// `clients` is the authority of client certificates.
    async fn start_with(
        config: &Value,
        clients: Option<&CertificateAuthority>,
        set: impl FnOnce(relay_server::Builder) -> relay_server::Builder,
    ) -> Self {
        let authority = CertificateAuthority::new();
        let identity = authority.issue(&["127.0.0.1"]);
        let mut files = files(&identity);
        files.client_ca = clients.map(|clients| clients.ca_file().to_owned());
        let tls = ListenerTls::load(&files).unwrap();
        let listener = relay_server::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let relay = Relay::start_on(Listener::from(listener).with_tls(tls.clone()), config, set).await;
        Self { relay, tls, authority, identity }
    }

    fn address(&self) -> SocketAddr {
        self.relay.address()
    }

    fn client(&self, protocols: &[&str]) -> ClientConfig {
        self.authority.client(protocols, None)
    }

    /// Opens a way for plain clients to the relay.
    async fn tunnel(&self, protocols: &[&str]) -> Tunnel {
        Tunnel::over_tls(self.address(), self.client(protocols)).await
    }
}

fn config(upstream: &Upstream) -> Value {
    json!({"providers": [provider("a", "anthropic", &upstream.url())]})
}

fn without_upstream() -> Value {
    json!({"providers": [provider("a", "anthropic", "http://127.0.0.1:9")]})
}

#[tokio::test]
async fn alpn_and_the_version_of_tls_are_negotiated() {
    for (enable_http2, offered, expected) in [
        (true, &["h2", "http/1.1"][..], Some("h2")),
        (true, &["http/1.1"], Some("http/1.1")),
        (true, &[], None),
        (false, &["h2", "http/1.1"], Some("http/1.1")),
    ] {
        let mut config = without_upstream();
        config["server"] = json!({"enable_http2": enable_http2});
        let secure = Secure::start(&config).await;
        for (version, name) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
            let mut roots = rustls::RootCertStore::empty();
            let authority = CertificateDer::from_pem_file(secure.authority.ca_file()).unwrap();
            roots.add(authority).unwrap();
            let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
            let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]);
            let mut client = builder.unwrap().with_root_certificates(roots).with_no_client_auth();
            client.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
            let mut stream = tls_connection(secure.address(), client).await.unwrap();
            let session = stream.get_ref().1;
            assert_eq!(session.protocol_version(), Some(name));
            assert_eq!(session.alpn_protocol(), expected.map(str::as_bytes));
            if expected != Some("h2") {
                stream.write_all(HEALTH.as_bytes()).await.unwrap();
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await.expect("an answer, and an orderly end");
                assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
                assert!(!answer.contains("strict-transport-security"));
            }
        }
    }
    let mut config = without_upstream();
    config["server"] = json!({"enable_http2": false});
    let secure = Secure::start(&config).await;
    let refused = alert(tls_connection(secure.address(), secure.client(&["h2"])).await);
    assert_eq!(refused, Some(AlertDescription::NoApplicationProtocol));
}

/// Returns the alert that ended a handshake or a connection.
fn alert<T>(result: io::Result<T>) -> Option<AlertDescription> {
    match result.err()?.get_ref()?.downcast_ref()? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

/// Starts a stream at the upstream whose first events have been sent.
async fn opening(upstream: &Upstream) -> (Connection, Vec<bytes::Bytes>) {
    let events = sse::recorded("anthropic/hello.sse");
    let (mut connection, _) = upstream.exchange().await;
    connection.send_head(&anthropic::success(Answer::event_stream())).await;
    connection.send_chunk(&events[..4].concat()).await;
    (connection, events)
}

#[tokio::test]
async fn each_event_of_a_stream_arrives_before_the_next_is_sent() {
    let upstream = Upstream::manual().await;
    let secure = Secure::start(&config(&upstream)).await;

    let tunnel = secure.tunnel(&["http/1.1"]).await;
    let mut client = Client::connect(tunnel.address()).await;
    client.call(&Call::messages(STREAMED)).await;
    let (mut connection, events) = opening(&upstream).await;
    client.head().await;
    client.expect(&events[..4].concat()).await;
    for event in &events[4..] {
        connection.send_chunk(event).await;
        client.expect(event).await;
    }
    connection.send_last_chunk().await;
    assert_eq!((client.chunk().await, client.end()), (None, Some(End::Complete)));
    drop(connection);

    let tunnel = secure.tunnel(&["h2"]).await;
    let client = Http2Client::connect(tunnel.address()).await;
    let (opened, answer) = tokio::join!(opening(&upstream), client.post("/v1/messages", STREAMED));
    let ((mut connection, events), mut answer) = (opened, answer.unwrap());
    answer.expect(&events[..4].concat()).await;
    for event in &events[4..] {
        connection.send_chunk(event).await;
        answer.expect(event).await;
    }
    connection.send_last_chunk().await;
    assert_eq!(answer.data().await.unwrap(), None);
}

#[tokio::test]
async fn an_answer_that_breaks_off_does_not_end_like_a_whole_one() {
    let upstream = Upstream::manual().await;
    let secure = Secure::start(&config(&upstream)).await;
    // A client of HTTP/1.0 takes the end of the connection for the end of the answer.
    for version in ["1.0", "1.1"] {
        let mut stream = tls_connection(secure.address(), secure.client(&[])).await.unwrap();
        let length = STREAMED.len();
        let head = format!(
            "POST /v1/messages HTTP/{version}\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}"
        );
        stream.write_all(format!("{head}\r\n\r\n{STREAMED}").as_bytes()).await.unwrap();
        let (connection, _) = opening(&upstream).await;
        let mut start = [0; 64];
        stream.read_exact(&mut start).await.unwrap();
        connection.reset();
        let mut rest = Vec::new();
        let end = within_limit("end of the connection", stream.read_to_end(&mut rest)).await;
        let is_whole = end.is_ok() && (version == "1.0" || rest.ends_with(b"0\r\n\r\n"));
        assert!(!is_whole, "HTTP/{version}: {end:?}");
    }
}

#[tokio::test]
async fn a_client_needs_a_certificate_of_the_configured_authority() {
    let clients = CertificateAuthority::new();
    let secure = Secure::start_with(&without_upstream(), Some(&clients), |builder| builder).await;
    let (right, expired) = (clients.issue(&["alice"]), clients.issue_for_years(&["bob"], 2000, 2001));
    let foreign = CertificateAuthority::new().issue(&["mallory"]);
    for (identity, expected) in [
        (Some(&right), None),
        (None, Some(AlertDescription::CertificateRequired)),
        (Some(&foreign), Some(AlertDescription::UnknownCA)),
        (Some(&expired), Some(AlertDescription::CertificateExpired)),
    ] {
        let client = secure.authority.client(&[], identity);
        // With TLS 1.3 the client has ended its handshake before the relay has seen the certificate.
        let answer = async {
            let mut stream = tls_connection(secure.address(), client).await?;
            stream.write_all(HEALTH.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.map(|_| answer)
        };
        let answer = within_limit("end of the connection", answer).await;
        assert_eq!(
            answer.as_ref().ok().map(|answer| &answer[..15]),
            expected.is_none().then_some("HTTP/1.1 200 OK")
        );
        assert_eq!(alert(answer), expected);
    }
}

#[tokio::test]
async fn a_certificate_is_replaced_while_a_stream_runs() {
    let upstream = Upstream::manual().await;
    let secure = Secure::start(&config(&upstream)).await;
    let tunnel = secure.tunnel(&["http/1.1"]).await;
    let mut client = Client::connect(tunnel.address()).await;
    client.call(&Call::messages(STREAMED)).await;
    let (mut connection, events) = opening(&upstream).await;
    client.head().await;
    client.expect(&events[..4].concat()).await;

    let shown = async || {
        let stream = tls_connection(secure.address(), secure.client(&[])).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone()
    };
    let reload = || ListenerTls::load(&files(&secure.identity)).map(|new| secure.tls.replace(&new));
    assert_eq!(shown().await, *secure.identity.certificate());
    assert!(!reload().unwrap(), "the files are the same");
    let renewed = secure.authority.issue(&["127.0.0.1"]);
    std::fs::copy(renewed.cert_file(), secure.identity.cert_file()).unwrap();
    let error = reload().unwrap_err().to_string();
    assert!(error.contains("is not that of the first certificate"), "{error}");
    assert_eq!(shown().await, *secure.identity.certificate(), "invalid files change nothing");
    secure.identity.overwrite_with(&renewed);
    assert!(reload().unwrap());
    assert_eq!(shown().await, *renewed.certificate());

    connection.send_chunk(&events[4..].concat()).await;
    connection.send_last_chunk().await;
    client.expect(&events[4..].concat()).await;
    assert_eq!((client.chunk().await, client.end()), (None, Some(End::Complete)));
}

#[tokio::test]
async fn a_session_is_not_resumed_after_the_authority_of_clients_has_changed() {
    let (first, second) = (CertificateAuthority::new(), CertificateAuthority::new());
    let secure = Secure::start_with(&without_upstream(), Some(&first), |builder| builder).await;
    let client = std::sync::Arc::new(secure.authority.client(&[], Some(&first.issue(&["alice"]))));
    let exchange = async || {
        let mut stream = tls_connection(secure.address(), std::sync::Arc::clone(&client)).await?;
        stream.write_all(HEALTH.as_bytes()).await?;
        stream.read_to_end(&mut Vec::new()).await
    };
    for _ in 0..2 {
        exchange().await.unwrap();
    }
    let files = files(&secure.identity).with_client_ca(second.ca_file());
    assert!(secure.tls.replace(&ListenerTls::load(&files).unwrap()));
    assert_eq!(alert(exchange().await), Some(AlertDescription::UnknownCA));
}

#[tokio::test]
async fn a_plain_request_is_answered_with_a_hint_at_https() {
    let upstream = Upstream::answering(anthropic::answer).await;
    let secure = Secure::start(&config(&upstream)).await;
    let large = "x".repeat(1 << 20);
    for call in [Call::get("/health"), Call::messages(BODY), Call::messages(large)] {
        let answer = call.send(secure.address()).await;
        assert_eq!((answer.status, answer.end), (400, End::Complete));
        let error = answer.json();
        assert_eq!(
            (&error["type"], &error["error"]["type"]),
            (&json!("error"), &json!("invalid_request_error"))
        );
        assert!(error["error"]["message"].as_str().unwrap().contains("https://"), "{error}");
        assert_eq!(error["request_id"], answer.headers.get("request-id").unwrap());
    }
    assert_eq!(upstream.connections(), 0);
    for bytes in ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\u{1}garbage\r\n\r\n", ""] {
        let mut client = Client::connect(secure.address()).await;
        client.send(bytes).await;
        client.close_write_side().await;
        client.closed().await;
    }
}

#[tokio::test]
async fn a_client_that_speaks_tls_to_a_plain_listener_is_disconnected() {
    let upstream = Upstream::answering(anthropic::answer).await;
    let authority = CertificateAuthority::new();
    for enable_http2 in [true, false] {
        let mut config = config(&upstream);
        config["server"] = json!({"enable_http2": enable_http2});
        let relay = Relay::start(&config).await;
        assert!(tls_connection(relay.address(), authority.client(&[], None)).await.is_err());
    }
}

#[tokio::test]
async fn stalled_handshakes_end_in_time_and_disturb_no_other_client() {
    let first = Duration::from_millis(400);
    let set = |builder: relay_server::Builder| builder.with_head_timeouts(first, first);
    let secure = Secure::start_with(&without_upstream(), None, set).await;
    let mut stalled = Vec::new();
    for bytes in
        [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x16\x03\x01\x40\x00\x01\x00"]
    {
        for _ in 0..30 {
            let mut stream = TcpStream::connect(secure.address()).await.unwrap();
            stream.write_all(bytes).await.unwrap();
            stalled.push(stream);
        }
    }
    let tunnel = secure.tunnel(&[]).await;
    let answer = within(first, "answer to a good client", Call::get("/health").send(tunnel.address())).await;
    assert_eq!(answer.status, 200);
    for mut stream in stalled {
        let mut rest = Vec::new();
        let end = stream.read_to_end(&mut rest);
        // An end or a reset.
        let _ = within(10 * first, "end of a stalled handshake", end).await;
    }
}

#[tokio::test]
async fn handshakes_count_among_the_connections_and_make_room() {
    let set = |builder: relay_server::Builder| builder.with_connection_limit(2);
    let secure = Secure::start_with(&without_upstream(), None, set).await;
    let mut stalled = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(secure.address()).await.unwrap();
        stream.write_all(b"\x16\x03").await.unwrap();
        stalled.push(stream);
    }
    let tunnel = secure.tunnel(&[]).await;
    assert_eq!(Call::get("/health").send(tunnel.address()).await.status, 200);
    within_limit("room", stalled[0].read_to_end(&mut Vec::new())).await.ok();
}

#[tokio::test]
async fn a_stop_ends_idle_connections_with_close_notify_and_completes_streams() {
    let upstream = Upstream::manual().await;
    let mut secure = Secure::start(&config(&upstream)).await;
    let mut idle = Vec::new();
    for protocols in [&["http/1.1"][..], &["h2"], &[]] {
        idle.push(tls_connection(secure.address(), secure.client(protocols)).await.unwrap());
    }
    let mut used = tls_connection(secure.address(), secure.client(&[])).await.unwrap();
    used.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    used.read_exact(&mut [0; 15]).await.unwrap();
    idle.push(used);
    let tunnel = secure.tunnel(&["http/1.1"]).await;
    let mut client = Client::connect(tunnel.address()).await;
    client.call(&Call::messages(STREAMED)).await;
    let (mut connection, events) = opening(&upstream).await;
    client.head().await;
    client.expect(&events[..4].concat()).await;

    secure.relay.stop();
    for mut stream in idle {
        // Without close_notify the end would be an error.
        let end = within_limit("end of an idle connection", stream.read_to_end(&mut Vec::new())).await;
        end.expect("an orderly end");
    }
    connection.send_chunk(&events[4..].concat()).await;
    connection.send_last_chunk().await;
    client.expect(&events[4..].concat()).await;
    assert_eq!((client.chunk().await, client.end()), (None, Some(End::Complete)));
    within_limit("end of the relay", secure.relay.stopped()).await;
}

#[tokio::test]
async fn a_client_that_stops_reading_is_reset_within_the_write_timeout() {
    let filler = "x".repeat(4 << 20);
    let answer = json!({"type": "message", "content": [], "filler": filler});
    let upstream = Upstream::answering(move |_| Answer::json(200, &answer)).await;
    let mut config = config(&upstream);
    config["server"] = json!({"write_timeout_ms": 200, "max_concurrent": 1});
    let secure = Secure::start(&config).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let socket = socket.connect(secure.address()).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(secure.client(&[])));
    let name = rustls::pki_types::ServerName::try_from("127.0.0.1").unwrap();
    let mut unread = connector.connect(name, socket).await.unwrap();
    unread.write_all(&Call::messages(BODY).bytes("localhost")).await.unwrap();
    unread.read_exact(&mut [0; 15]).await.unwrap();

    let tunnel = secure.tunnel(&[]).await;
    let freed = async {
        while Call::post("/v1/messages/count_tokens").json(BODY).send(tunnel.address()).await.status == 503 {}
    };
    within(Duration::from_secs(5), "release of the place", freed).await;
    let end = within_limit("end of the connection", unread.read_to_end(&mut Vec::new())).await;
    assert!(end.is_err(), "the answer has broken off: {end:?}");
}

#[tokio::test]
async fn a_web_page_of_the_https_origin_is_refused_unless_it_is_listed() {
    let mut config = without_upstream();
    config["server"] = json!({"cors": {"allowed_origins": ["https://app.example"]}});
    let secure = Secure::start(&config).await;
    let tunnel = secure.tunnel(&[]).await;
    for (header, value, expected) in [
        ("origin", "https://app.example", 200),
        ("origin", "https://evil.example", 403),
        ("host", "evil.example", 403),
        ("host", "localhost:8443", 200),
    ] {
        let answer = Call::get("/v1/models").header(header, value).send(tunnel.address()).await;
        assert_eq!(answer.status, expected, "{header}: {value}");
    }
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let authority = CertificateAuthority::new();
    let (one, other) = (authority.issue(&["a"]), authority.issue(&["b"]));
    let check = |files: &TlsConfig, expected: &str| {
        let error = ListenerTls::load(files).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(error.starts_with("server.tls."), "{error}");
    };
    let missing = std::path::Path::new("/nonexistent.pem");
    check(&TlsConfig::new(missing, one.key_file()), "server.tls.cert: cannot read /nonexistent.pem");
    check(&TlsConfig::new(one.cert_file(), missing), "server.tls.key: cannot read /nonexistent.pem");
    check(&TlsConfig::new(one.key_file(), one.key_file()), "it contains no PEM certificate");
    check(&TlsConfig::new(one.cert_file(), one.cert_file()), "it contains no PEM private key");
    check(&TlsConfig::new(one.cert_file(), other.key_file()), "is not that of the first certificate");
    check(&files(&one).with_client_ca(one.key_file()), "server.tls.client_ca: cannot use");
    for (text, expected) in [
        (
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
            "is encrypted",
        ),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "is none of RSA"),
        ("-----BEGIN PRIVATE KEY-----\n?\n-----END PRIVATE KEY-----\n", "a section is not base64"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n", "a section has no end"),
    ] {
        std::fs::write(other.key_file(), text).unwrap();
        check(&TlsConfig::new(one.cert_file(), other.key_file()), expected);
    }
}

#[test]
fn a_certificate_that_is_not_valid_now_is_a_warning() {
    use std::time::SystemTime;
    let authority = CertificateAuthority::new();
    let now = SystemTime::now();
    let warnings = |from, until| {
        let identity = authority.issue_for_years(&["a"], from, until);
        ListenerTls::load(&files(&identity)).unwrap().warnings(now)
    };
    assert_eq!(warnings(2000, 4000), [""; 0]);
    let expired = "a certificate in server.tls.cert has expired on 2001-01-01T00:00:00Z: clients refuse it";
    assert_eq!(warnings(2000, 2001), [expired]);
    let early = "a certificate in server.tls.cert is valid from 3000-01-01T00:00:00Z only: clients refuse it";
    assert_eq!(warnings(3000, 4000), [early]);
    let identity = authority.issue_for_years(&["a"], 2000, 2030);
    let until = relay_config::parse_rfc3339("2030-01-01T00:00:00Z").unwrap();
    let tls = ListenerTls::load(&files(&identity)).unwrap();
    let ends = "a certificate in server.tls.cert expires on 2030-01-01T00:00:00Z";
    assert_eq!(tls.warnings(until - Duration::from_secs(6 * 24 * 3600)), [ends]);
    assert_eq!(tls.warnings(until - Duration::from_secs(8 * 24 * 3600)), [""; 0]);
}
