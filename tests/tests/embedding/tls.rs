//! TLS settings that are made in code.

use std::sync::Arc;

use relay_config::{Config, Format, Loader};
use relay_server::{BuildError, Relay};
use relay_tests::fakes::anthropic;
use relay_tests::{CertificateAuthority, PROVIDER_KEY, Upstream};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use tower::ServiceExt;

const BODY: &str = r#"{"model":"m","max_tokens":8,"messages":[{"role":"user","content":"hi"}]}"#;

/// Trusts `authority`, and names a protocol that the relay replaces.
fn trusting(authority: &CertificateAuthority) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.ca_file()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut tls = builder.with_root_certificates(roots).with_no_client_auth();
    tls.alpn_protocols = vec![b"acme".to_vec()];
    tls
}

fn load(url: &str, ca_file: Option<&str>) -> Config {
    let mut provider = json!({"name": "a", "type": "zai", "base_url": url, "keys": [{"key": PROVIDER_KEY}]});
    if let Some(ca_file) = ca_file {
        provider["ca_file"] = json!(ca_file);
    }
    let text = json!({"providers": [provider]}).to_string();
    Loader::new().with_text("c", Format::Yaml, text).load().unwrap().config
}

#[tokio::test]
async fn connections_use_the_tls_settings_of_the_program() {
    let authority = CertificateAuthority::new();
    let upstream = Upstream::builder().tls(&authority).answering(anthropic::answer).await;
    for (tls, expected) in [(None, 502), (Some(trusting(&authority)), 200)] {
        let builder = Relay::builder(load(&upstream.url(), None)).without_proxy();
        let relay = match tls {
            Some(tls) => builder.with_tls(tls),
            None => builder,
        };
        let request =
            http::Request::post("/v1/messages").body(http_body_util::Full::<bytes::Bytes>::from(BODY));
        let response = relay.build().unwrap().oneshot(request.unwrap()).await.unwrap();
        assert_eq!(response.status(), expected);
    }
}

#[tokio::test]
async fn a_ca_file_beside_tls_settings_in_code_is_refused() {
    let authority = CertificateAuthority::new();
    let config = load("https://upstream.example", authority.ca_file().to_str());
    let error = Relay::builder(config).with_tls(trusting(&authority)).build().unwrap_err();
    assert!(matches!(error, BuildError::Tls { .. }), "{error}");
}
