//! The subject of a client's certificate in the record of its requests.

use std::net::SocketAddr;
use std::sync::Arc;

use relay_config::TlsConfig;
use relay_server::{Listener, ListenerTls};
use relay_tests::{
    CertificateAuthority, Http2Client, Records, Relay, Tunnel, provider, tls_connection, within_limit,
};
use rustls::HandshakeKind;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const HEALTH: &str = "GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
/// The subject of every certificate that the tests issue.
const SUBJECT: &str = "CN=rcgen self signed cert";

/// Starts a relay that demands certificates of this authority, if there is one. Returns the authority of its own certificate, and
/// the records of requests that have ended.
async fn relay(clients: Option<&CertificateAuthority>) -> (Relay, CertificateAuthority, Records) {
    let authority = CertificateAuthority::new();
    let identity = authority.issue(&["127.0.0.1"]);
    let mut files = TlsConfig::new(identity.cert_file(), identity.key_file());
    files.client_ca = clients.map(|clients| clients.ca_file().to_owned());
    let listener = relay_server::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let listener = Listener::from(listener).with_tls(ListenerTls::load(&files).unwrap());
    let (records, keep) = relay_tests::records();
    let config = json!({"providers": [provider("a", "anthropic", "http://127.0.0.1:9")]});
    let relay = Relay::start_on(listener, &config, |relay| relay.on_finished(keep)).await;
    (relay, authority, records)
}

async fn subject(records: &mut Records) -> Option<Arc<str>> {
    within_limit("record", records.recv()).await.unwrap().client_subject.clone()
}

#[tokio::test]
async fn each_request_of_a_connection_has_the_subject_also_after_a_resumed_handshake() {
    let clients = CertificateAuthority::new();
    let (relay, authority, mut records) = relay(Some(&clients)).await;
    let client = Arc::new(authority.client(&[], Some(&clients.issue(&["alice"]))));
    for expected in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let mut stream = tls_connection(relay.address(), Arc::clone(&client)).await.unwrap();
        let kept = HEALTH.replace("connection: close\r\n", "");
        stream.write_all(format!("{kept}{HEALTH}").as_bytes()).await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(expected));
        for _ in 0..2 {
            assert_eq!(subject(&mut records).await.as_deref(), Some(SUBJECT));
        }
    }

    let http2 = authority.client(&["h2"], Some(&clients.issue(&["alice"])));
    let tunnel = Tunnel::over_tls(relay.address(), http2).await;
    let client = Http2Client::connect(tunnel.address()).await;
    for _ in 0..2 {
        client.request("GET", "/health").await.unwrap();
        assert_eq!(subject(&mut records).await.as_deref(), Some(SUBJECT));
    }
}

#[tokio::test]
async fn a_certificate_that_the_listener_does_not_demand_is_not_recorded() {
    let (relay, authority, mut records) = relay(None).await;
    let client = authority.client(&[], Some(&authority.issue(&["alice"])));
    let mut stream = tls_connection(relay.address(), client).await.unwrap();
    stream.write_all(HEALTH.as_bytes()).await.unwrap();
    stream.read_to_end(&mut Vec::new()).await.unwrap();
    assert_eq!(subject(&mut records).await, None);
}
