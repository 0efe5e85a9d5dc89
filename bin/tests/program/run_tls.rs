//! `cc-relay run` beside a relay that serves https.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use relay_tests::CertificateAuthority;
use serde_json::json;

use crate::process::{Outcome, Process, User};

/// A relay with TLS, and a user who has its configuration.
struct Secure {
    user: User,
    address: SocketAddr,
    _relay: Process,
}

impl Secure {
    fn start(cert: &Path, key: &Path, client_ca: Option<&Path>) -> Self {
        let tls = match client_ca {
            Some(client_ca) => json!({"cert": cert, "key": key, "client_ca": client_ca}),
            None => json!({"cert": cert, "key": key}),
        };
        let config = |listen: &str| {
            json!({"server": {"listen": listen, "tls": tls}, "providers": [{"name": "m", "type": "mock"}]})
                .to_string()
        };
        let server = User::new();
        server.write("config.yaml", &config("127.0.0.1:0"));
        let mut relay = Process::spawn(server.command(&["serve", "--config", "config.yaml"]));
        let line = relay.wait_for("listening on https://");
        let address: SocketAddr = line.rsplit("https://").next().unwrap().parse().unwrap();
        let user = User::new();
        user.write("config.yaml", &config(&address.to_string()));
        let claude = user.write("claude", "#!/bin/sh\necho \"$ANTHROPIC_BASE_URL $NODE_EXTRA_CA_CERTS\"\n");
        fs::set_permissions(claude, fs::Permissions::from_mode(0o755)).unwrap();
        Self { user, address, _relay: relay }
    }

    /// Runs Claude Code, with `NODE_EXTRA_CA_CERTS` if `authorities` is set.
    fn claude(&self, authorities: Option<&Path>) -> Outcome {
        let variables = authorities.map(|file| ("NODE_EXTRA_CA_CERTS", file.display().to_string()));
        let outcome = self.user.spawn_with(&["run", "--", "./claude"], variables.as_slice()).outcome();
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        outcome
    }

    /// Asserts that the command got a relay of its own, with the reason.
    #[track_caller]
    fn assert_own(&self, outcome: &Outcome, reason: &str) {
        assert!(outcome.stdout.starts_with("http://127.0.0.1:"), "{outcome:?}");
        let start = format!("warning: the relay at https://{} is not used, and one is started", self.address);
        assert!(outcome.stderr.starts_with(&start) && outcome.stderr.contains(reason), "{outcome:?}");
    }
}

/// Asserts the base URL of the command, and the file with its authorities.
#[track_caller]
fn assert_used(outcome: &Outcome, url: &str, authorities: &Path) {
    let expected = format!("{url} {}\n", authorities.display());
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), (expected.as_str(), ""));
}

#[test]
fn claude_code_gets_the_authority_of_the_relay_that_runs() {
    let authority = CertificateAuthority::new();
    for name in ["127.0.0.1", "localhost"] {
        let identity = authority.issue(&[name]);
        let secure = Secure::start(&identity.cert_file(), &identity.key_file(), None);
        let url = format!("https://{name}:{}", secure.address.port());
        assert_used(&secure.claude(None), &url, &identity.cert_file());
        // An authority that Claude Code trusts anyway is kept.
        assert_used(&secure.claude(Some(authority.ca_file())), &url, authority.ca_file());
        let other = CertificateAuthority::new();
        secure.assert_own(&secure.claude(Some(other.ca_file())), "NODE_EXTRA_CA_CERTS names a file without");
        let line = ["run", "--", "sh", "-c", "echo $ANTHROPIC_BASE_URL"];
        secure.assert_own(&secure.user.run(&line), "the system does not trust the authority");
    }
}

#[test]
fn a_certificate_that_is_its_own_authority_is_trusted_by_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let (cert, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
    for (name, is_usable) in [("127.0.0.1", true), ("relay.example", false)] {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        // As `openssl req -x509` makes it.
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pair = KeyPair::generate().unwrap();
        fs::write(&cert, params.self_signed(&pair).unwrap().pem()).unwrap();
        fs::write(&key, pair.serialize_pem()).unwrap();
        let secure = Secure::start(&cert, &key, None);
        let outcome = secure.claude(None);
        if is_usable {
            assert_used(&outcome, &format!("https://{}", secure.address), &cert);
        } else {
            secure.assert_own(&outcome, "its certificate has another name");
        }
    }
}

#[test]
fn a_relay_that_requires_client_certificates_is_not_used() {
    let authority = CertificateAuthority::new();
    let identity = authority.issue(&["127.0.0.1"]);
    let secure = Secure::start(&identity.cert_file(), &identity.key_file(), Some(authority.ca_file()));
    secure.assert_own(&secure.claude(None), "requires client certificates (server.tls.client_ca)");
}

#[test]
fn without_a_relay_one_is_started_and_nothing_is_printed() {
    let authority = CertificateAuthority::new();
    let identity = authority.issue(&["127.0.0.1"]);
    let Secure { user, .. } = Secure::start(&identity.cert_file(), &identity.key_file(), None);
    let outcome = user.run(&["run", "--", "./claude"]);
    assert!(outcome.stdout.starts_with("http://127.0.0.1:"), "{outcome:?}");
    assert_eq!(outcome.stderr, "");
}
