//! `server.tls`, and Unix sockets in `server.listen`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

use std::fs;
use std::path::{Path, PathBuf};

use relay_config::{Format, ServerConfig, UnixSocket};
use tempfile::TempDir;

use crate::check::{loader, problems, toml, warnings, yaml, yaml_problems};

const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\n";
const KEY: &str = "-----BEGIN PRIVATE KEY-----\n";

/// Files of TLS.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(TempDir::new().unwrap());
        files.write("cert.pem", CERTIFICATE);
        files.write("key.pem", KEY);
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        #[cfg(unix)]
        set_mode(&self.path(name), 0o600);
    }

    /// Returns settings with these files.
    fn settings(&self, files: &[(&str, &str)]) -> String {
        let lines = files.iter().map(|(key, file)| format!("    {key}: {}\n", self.path(file).display()));
        format!("providers: [{{ name: a, type: mock }}]\nserver:\n  tls:\n{}", lines.collect::<String>())
    }
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

const BOTH: [(&str, &str); 2] = [("cert", "cert.pem"), ("key", "key.pem")];

#[test]
fn the_files_of_the_certificate_come_from_the_file_or_from_variables() {
    let files = Files::new();
    let loaded = yaml(&files.settings(&[BOTH[0], BOTH[1], ("client_ca", "cert.pem")]));
    warnings(&loaded, &[]);
    let tls = loaded.config.server.tls.as_ref().unwrap();
    assert_eq!((&tls.cert, &tls.key), (&files.path("cert.pem"), &files.path("key.pem")));
    assert_eq!(tls.client_ca, Some(files.path("cert.pem")));
    assert_eq!(yaml(&loaded.to_yaml()).config.server.tls, loaded.config.server.tls);

    let [cert, key] = ["cert.pem", "key.pem"].map(|name| files.path(name).display().to_string());
    let variables = [("CC_RELAY_SERVER__TLS__CERT", cert.as_str()), ("CC_RELAY_SERVER__TLS__KEY", &key)];
    let loaded =
        loader(&variables).with_text("c", Format::Yaml, "providers: [{ name: a, type: mock }]").load();
    let tls = loaded.unwrap().config.server.tls.unwrap();
    assert_eq!((tls.cert, tls.client_ca), (files.path("cert.pem"), None));

    for empty in ["tls: {}", "tls:"] {
        assert_eq!(yaml(&format!("server: {{ {empty} }}")).config.server.tls, None);
    }
}

#[test]
fn certificate_and_key_are_set_both_or_not_at_all() {
    let files = Files::new();
    let key = "3:3: server.tls.key: missing; set it to the PEM file with the private key of server.tls.cert";
    let cert = "3:3: server.tls.cert: missing; set it to the PEM file with the certificate of the relay";
    yaml_problems(&files.settings(&BOTH[..1]), &[key]);
    yaml_problems(&files.settings(&BOTH[1..]), &[cert]);
    yaml_problems(&files.settings(&[("client_ca", "cert.pem")]), &[cert, key]);
}

#[test]
fn a_file_that_cannot_be_used_is_an_error_at_its_setting() {
    let files = Files::new();
    for (name, text) in [
        ("empty.pem", ""),
        ("pkcs8.pem", "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"),
        ("rsa.pem", "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"),
        ("ec.pem", "-----BEGIN EC PARAMETERS-----\n-----BEGIN EC PRIVATE KEY-----\n"),
    ] {
        files.write(name, text);
    }
    let check = |(cert, key): (&str, &str), expected: Option<(&str, &str, &str)>| {
        let expected = expected.map(|(place, file, reason)| {
            format!("{place}: cannot use {}: {reason}", files.path(file).display())
        });
        let text = files.settings(&[("cert", cert), ("key", key)]);
        let loaded = loader(&[]).with_text("c", Format::Yaml, text).load();
        problems(loaded, &expected.iter().map(String::as_str).collect::<Vec<_>>());
    };
    check(("cert.pem", "ec.pem"), None);
    let cert = "4:11: server.tls.cert";
    let key = "5:10: server.tls.key";
    let missing = "No such file or directory (os error 2)";
    check(("none.pem", "key.pem"), Some((cert, "none.pem", missing)));
    check(("key.pem", "key.pem"), Some((cert, "key.pem", "it contains no PEM certificate")));
    check(("cert.pem", "none.pem"), Some((key, "none.pem", missing)));
    check(("cert.pem", "empty.pem"), Some((key, "empty.pem", "it contains no PEM private key")));
    let no_key = "it contains a certificate, and no private key";
    check(("cert.pem", "cert.pem"), Some((key, "cert.pem", no_key)));
    for file in ["pkcs8.pem", "rsa.pem"] {
        let encrypted =
            "its private key is encrypted; `openssl pkey -in FILE -out NEW` writes it without a passphrase";
        check(("cert.pem", file), Some((key, file, encrypted)));
    }
    let tilde = "server: { tls: { cert: ~/c.pem, key: ~/k.pem } }";
    let expected = |place: &str, file: &str| {
        format!("{place}: found \"~/{file}\", expected a path without ~; write ${{HOME}}/{file}")
    };
    let (cert, key) = (expected("1:24: server.tls.cert", "c.pem"), expected("1:38: server.tls.key", "k.pem"));
    yaml_problems(tilde, &[&cert, &key]);
}

#[cfg(unix)]
#[test]
fn a_private_key_that_every_user_can_read_is_a_warning() {
    let files = Files::new();
    set_mode(&files.path("key.pem"), 0o644);
    let expected = "5:10: server.tls.key: every user of this machine can read the private key; chmod 600";
    warnings(&yaml(&files.settings(&BOTH)), &[expected]);
    set_mode(&files.path("key.pem"), 0o640);
    warnings(&yaml(&files.settings(&BOTH)), &[]);
}

#[test]
fn client_certificates_admit_clients_of_other_machines() {
    let files = Files::new();
    let text = |client_ca: &[(&str, &str)]| {
        files.settings(&[&BOTH[..], client_ca].concat()) + "  listen: 0.0.0.0:8787\n"
    };
    let loaded = yaml(&text(&[]));
    assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
    assert!(loaded.warnings[0].to_string().contains("server.listen: 0.0.0.0:8787 can be reached"));
    warnings(&yaml(&text(&[("client_ca", "cert.pem")])), &[]);
}

#[cfg(unix)]
#[test]
fn unix_sockets_stand_among_the_addresses() {
    let server = |listen: &str| yaml(&format!("server: {{ listen: {listen} }}")).config.server;
    let sockets = |server: &ServerConfig| -> Vec<String> {
        server.unix_sockets.iter().map(ToString::to_string).collect()
    };
    let only = server("unix:/run/cc-relay.sock");
    assert_eq!(sockets(&only), ["unix:/run/cc-relay.sock"]);
    assert_eq!((only.unix_sockets[0].mode, only.listen.len()), (0o600, 0));
    assert!(only.is_loopback_only());

    let several = server("['127.0.0.1:1', 'unix:///tmp/a?mode=0660', unix:b]");
    assert_eq!(sockets(&several), ["unix:/tmp/a?mode=0660", "unix:b"]);
    assert_eq!(several.listen.len(), 1);
    assert_eq!(several.unix_sockets[0], UnixSocket::new("/tmp/a").with_mode(0o660));
    let in_one = server("'127.0.0.1:1,unix:/tmp/a?mode=660, unix:b'");
    assert_eq!((&in_one.listen, &in_one.unix_sockets), (&several.listen, &several.unix_sockets));
    let loaded = toml("server.listen = ['unix:/a', '0.0.0.0:1']\nserver.auth.api_key = 'k'");
    assert!(!loaded.config.server.is_loopback_only());
    assert_eq!(
        yaml(&loaded.to_yaml().replace("***", "k")).config.server.unix_sockets[0].path,
        Path::new("/a")
    );
}

#[cfg(unix)]
#[test]
fn a_unix_socket_that_cannot_be_opened_is_an_error_with_a_hint() {
    #[track_caller]
    fn check(text: &str, hint: &str) {
        let expected = "expected unix: and a path, as in unix:/run/cc-relay.sock";
        let problem = format!("1:19: server.listen: found {text:?}, {expected}; {hint}");
        yaml_problems(&format!("server: {{ listen: '{text}' }}"), &[&problem]);
    }
    check("unix:", "add the path");
    check("unix:/run/", "add the name of the file");
    check("unix:~/a", "write unix:${HOME}/a");
    check("unix:@a", "a socket without a file would admit every user of this machine; write a path");
    let mode = "after the path, only the permissions of the file may follow, in octal: ?mode=0660";
    for query in ["", "mode=", "mode=9", "mode=88", "mode=1777", "mode=06600", "mode=rw", "user=a"] {
        check(&format!("unix:/a?{query}"), mode);
    }
    let long = format!("unix:/{}", "x".repeat(UnixSocket::MAX_PATH));
    let bytes = UnixSocket::MAX_PATH + 1;
    check(&long, &format!("the path has {bytes} bytes, and that of a socket at most {}", bytes - 1));
    yaml(&format!("server: {{ listen: '{}' }}", &long[..long.len() - 1]));

    let host = "expected host:port, as in 127.0.0.1:8787";
    let plain =
        format!("1:19: server.listen: found \"/run/a\", {host}; for a Unix socket, write unix:/run/a");
    yaml_problems("server: { listen: /run/a }", &[&plain]);
    let twice = "1:29: server.listen[1]: found \"unix:/a?mode=0666\" twice, expected each address once";
    yaml_problems("server: { listen: [unix:/a, 'unix:/a?mode=0666'] }", &[twice]);
    let admin = "1:18: admin.listen: found \"unix:/a\", expected host:port, as in 127.0.0.1:8788; a Unix socket is \
                 only for server.listen";
    yaml_problems("admin: { listen: unix:/a }", &[admin]);
}
