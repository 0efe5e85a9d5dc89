//! `server.tls`, and Unix sockets in `server.listen`.

use std::path::Path;

use relay_tests::{CertificateAuthority, Identity, tls_connection};
use serde_json::json;

use crate::process::{Process, User, mode};

const READY: &str = "listening on ";

fn config(identity: &Identity, client_ca: Option<&Path>) -> String {
    let mut tls = json!({"cert": identity.cert_file(), "key": identity.key_file()});
    if let Some(client_ca) = client_ca {
        tls["client_ca"] = json!(client_ca);
    }
    json!({"server": {"tls": tls}, "providers": [{"name": "local", "type": "mock"}]}).to_string()
}

#[test]
fn a_relay_on_a_unix_socket_is_found_by_status_and_explain_and_removes_the_socket() {
    let user = User::new();
    user.write("config.yaml", "providers: [{ name: local, type: mock }]");
    user.write("request.json", r#"{"model":"m","max_tokens":8,"messages":[]}"#);
    let listen = ["--listen", "unix:relay.sock?mode=0660"];
    let start = || Process::spawn(user.command(&[&["serve"][..], &listen].concat()));
    let mut relay = start();
    let line = relay.wait_for(READY);
    assert!(line.ends_with("listening on unix:relay.sock"), "{line}");
    relay.wait_for("Claude Code needs a proxy in front of a Unix socket");
    assert_eq!(mode(&user.path("relay.sock")), 0o660);
    for arguments in [&["--listen", "unix:relay.sock"][..], &["--url", "unix:relay.sock"]] {
        let outcome = user.run(&[&["status"], arguments].concat());
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
        assert!(outcome.stdout.contains(" at unix:relay.sock: ready\n"), "{outcome:?}");
        assert!(outcome.stdout.contains("local     mock  ready  any\n"), "{outcome:?}");
    }
    let explained = user.run(&["explain", "request.json", "--listen", "unix:relay.sock", "--json"]);
    assert_eq!(explained.code, Some(0), "{explained:?}");
    assert!(explained.stdout.contains("unix:relay.sock"), "{explained:?}");

    let second = start().outcome();
    assert_eq!(second.code, Some(1));
    let text =
        "cannot listen on unix:relay.sock?mode=0660: a process listens there, perhaps another cc-relay";
    assert!(second.stderr.contains(text), "{second:?}");

    relay.signal("TERM");
    assert_eq!(relay.exit_code(), Some(0));
    assert!(!user.path("relay.sock").exists());

    let mut killed = start();
    killed.wait_for(READY);
    killed.signal("KILL");
    assert_eq!(killed.exit_code(), None);
    assert!(user.path("relay.sock").exists());
    start().wait_for(READY);
}

#[test]
fn a_unix_socket_that_cannot_be_opened_ends_the_start_with_the_reason() {
    let user = User::new();
    user.write("file", "text");
    for (path, expected) in [
        ("unix:file", "cannot listen on unix:file: the file exists and is not a socket"),
        ("unix:missing/a", "cannot listen on unix:missing/a: its directory does not exist; create it"),
        #[cfg(target_os = "linux")]
        ("unix:/sys/a", "cannot listen on unix:/sys/a: not permitted; its directory is not writable"),
    ] {
        let outcome = user.run(&["serve", "--demo", "--listen", path]);
        assert_eq!(outcome.code, Some(1));
        assert!(outcome.stderr.contains(expected), "{outcome:?}");
    }
    assert_eq!(std::fs::read_to_string(user.path("file")).unwrap(), "text");
}

#[test]
fn a_relay_with_tls_is_found_by_status_and_uses_another_certificate_once_the_files_have_changed() {
    let authority = CertificateAuthority::new();
    let identity = authority.issue(&["127.0.0.1"]);
    let user = User::new();
    user.write("config.yaml", &config(&identity, None));
    let mut relay = Process::spawn(user.command(&["serve", "--listen", "127.0.0.1:0"]));
    let line = relay.wait_for("listening on https://127.0.0.1:");
    relay.wait_for("ANTHROPIC_BASE_URL=https://127.0.0.1:");
    let address: std::net::SocketAddr = line.rsplit("https://").next().unwrap().parse().unwrap();
    let status = || user.run(&["status", "--listen", &address.to_string()]);
    let outcome = status();
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
    assert!(outcome.stdout.contains(&format!(" at https://{address}: ready\n")), "{outcome:?}");
    let stranger = User::new().run(&["status", "--url", &format!("https://{address}")]);
    assert_eq!(stranger.code, Some(1), "another certificate is not trusted: {stranger:?}");

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let shown = || {
        let stream = runtime.block_on(tls_connection(address, authority.client(&[], None))).unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone()
    };
    assert_eq!(shown(), *identity.certificate());
    let renewed = authority.issue(&["127.0.0.1"]);
    identity.overwrite_with(&renewed);
    relay.wait_for("server.tls: the files have other contents");
    assert_eq!(shown(), *renewed.certificate());
    assert_eq!(status().code, Some(0));

    std::fs::write(identity.cert_file(), "no certificate").unwrap();
    relay.wait_for("it contains no PEM certificate");
    assert_eq!(shown(), *renewed.certificate());
}

#[test]
fn a_listener_that_requires_client_certificates_is_reached_by_status_over_a_unix_socket() {
    let authority = CertificateAuthority::new();
    let identity = authority.issue(&["127.0.0.1"]);
    let user = User::new();
    user.write("config.yaml", &config(&identity, Some(authority.ca_file())));
    let refused = user.run(&["status", "--listen", "127.0.0.1:1"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("requires a client certificate (server.tls.client_ca)"), "{refused:?}");
    let mut relay = Process::spawn(user.command(&["serve", "--listen", "127.0.0.1:0,unix:relay.sock"]));
    let line = relay.wait_for("listening on https://");
    relay.wait_for("listening on unix:");
    let outcome = user.run(&["status", "--listen", "127.0.0.1:1,unix:relay.sock"]);
    assert!(outcome.stdout.contains(" at unix:relay.sock: ready\n"), "{outcome:?}");

    let address: std::net::SocketAddr = line.rsplit("https://").next().unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        use tokio::io::AsyncReadExt;
        let mut stream = tls_connection(address, authority.client(&[], None)).await.unwrap();
        assert!(stream.read_to_end(&mut Vec::new()).await.is_err());
    });
    let line = relay.wait_for("refused a client without a certificate (server.tls.client_ca)");
    assert!(line.contains("INFO") && line.contains("peer=127.0.0.1:"), "{line}");
    relay.signal("TERM");
    relay.exit_code();
    assert!(!relay.seen().contains("WARN"), "{}", relay.seen());
}

#[test]
fn the_log_has_the_subject_of_a_clients_certificate_in_each_format() {
    let authority = CertificateAuthority::new();
    let (identity, client) = (authority.issue(&["127.0.0.1"]), authority.issue(&["alice"]));
    let subject = "CN=rcgen self signed cert";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (format, expected) in
        [("text", format!("client_subject={subject:?}")), ("json", format!("\"client_subject\":{subject:?}"))]
    {
        let user = User::new();
        user.write("config.yaml", &config(&identity, Some(authority.ca_file())));
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--log-format", format];
        let mut relay = Process::spawn(user.command(&arguments));
        let line = relay.wait_for("listening on https://");
        let address = line.split("https://").nth(1).and_then(|rest| rest.split('"').next());
        let address: std::net::SocketAddr = address.unwrap().parse().unwrap();
        runtime.block_on(async {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let mut stream = tls_connection(address, authority.client(&[], Some(&client))).await.unwrap();
            let request = "GET /v1/models HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
            stream.write_all(request.as_bytes()).await.unwrap();
            stream.read_to_end(&mut Vec::new()).await.unwrap();
        });
        let line = relay.wait_for("/v1/models");
        assert!(line.contains(&expected), "no {expected} in {line}");
    }
}

#[test]
fn config_validate_reports_files_that_do_not_belong_together_and_certificates_that_have_expired() {
    let authority = CertificateAuthority::new();
    let (identity, expired) = (authority.issue(&["a"]), authority.issue_for_years(&["a"], 2000, 2001));
    let user = User::new();
    user.write("config.yaml", &config(&expired, None));
    let outcome = user.run(&["config", "validate"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let warning = "a certificate in server.tls.cert has expired on 2001-01-01T00:00:00Z: clients refuse it";
    assert!(outcome.stderr.contains(warning), "{outcome:?}");

    std::fs::copy(expired.key_file(), identity.key_file()).unwrap();
    user.write("config.yaml", &config(&identity, None));
    for arguments in [&["config", "validate"][..], &["serve", "--listen", "127.0.0.1:0"]] {
        let outcome = user.run(arguments);
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        assert!(outcome.stderr.contains("server.tls.key: the private key in "), "{outcome:?}");
    }
}
