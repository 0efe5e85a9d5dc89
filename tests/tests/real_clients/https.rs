//! The real clients with a relay that serves https.

use std::net::SocketAddr;
use std::path::Path;

use relay_config::TlsConfig;
use relay_server::{Listener, ListenerTls};
use relay_tests::fakes::anthropic;
use relay_tests::{CertificateAuthority, ClaudeCode, Python, Relay, Upstream, provider};
use serde_json::json;

const TEXT: &str = "Hello! How can I help you today?";

/// Starts a relay with a certificate of `authority`, and returns its base URL too.
async fn start(
    authority: &CertificateAuthority,
    clients: Option<&CertificateAuthority>,
    upstream: &Upstream,
) -> (Relay, String) {
    let identity = authority.issue(&["127.0.0.1"]);
    let mut files = TlsConfig::new(identity.cert_file(), identity.key_file());
    files.client_ca = clients.map(|clients| clients.ca_file().to_owned());
    let listener = Listener::from(relay_server::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap());
    let listener = listener.with_tls(ListenerTls::load(&files).unwrap());
    let config = json!({"providers": [provider("a", "anthropic", &upstream.url())]});
    let relay = Relay::start_on(listener, &config, |builder| builder).await;
    let url = format!("https://{}", relay.address());
    (relay, url)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test]
async fn the_python_package_trusts_the_authority_of_ssl_cert_file() {
    let Some(python) = Python::find() else { return };
    let (authority, upstream) = (CertificateAuthority::new(), Upstream::answering(anthropic::answer).await);
    let (_relay, url) = start(&authority, None, &upstream).await;
    let calls = ["create", "stream"].map(|method| json!({"method": method, "model": "claude-opus-5-5"}));
    let refused = python.calls(&url, "key", &calls[..1]).await;
    assert_eq!(refused[0]["error"]["class"], "anthropic.APIConnectionError");

    let python = python.with("SSL_CERT_FILE", text(authority.ca_file()));
    let outcomes = python.calls(&url, "key", &calls).await;
    assert_eq!(outcomes[0]["message"]["content"][0]["text"], TEXT, "{outcomes:?}");
    assert_eq!(outcomes[1]["text"], TEXT, "{outcomes:?}");
}

#[tokio::test]
async fn claude_code_trusts_the_authority_of_node_extra_ca_certs_and_sends_its_certificate() {
    let Some(claude) = ClaudeCode::find() else { return };
    let (authority, upstream) = (CertificateAuthority::new(), Upstream::answering(anthropic::answer).await);
    let (_open, url) = start(&authority, None, &upstream).await;
    let claude = claude.with("NODE_EXTRA_CA_CERTS", text(authority.ca_file()));
    let finished = claude.print(&url, ["say hello"]).await;
    assert!(finished.status.success(), "{finished:#?}");
    assert_eq!(finished.stdout.trim(), TEXT);

    let clients = CertificateAuthority::new();
    let identity = clients.issue(&["alice"]);
    let (_closed, url) = start(&authority, Some(&clients), &upstream).await;
    let claude = claude
        .with("CLAUDE_CODE_CLIENT_CERT", text(&identity.cert_file()))
        .with("CLAUDE_CODE_CLIENT_KEY", text(&identity.key_file()));
    let finished = claude.print(&url, ["say hello"]).await;
    assert!(finished.status.success(), "{finished:#?}");
    assert_eq!(finished.stdout.trim(), TEXT);
}
