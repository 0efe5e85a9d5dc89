//! Resolves `server.tls`.

use std::path::{Path, PathBuf};

use super::pem;
use super::reporter::Reporter;
use crate::config::TlsConfig;
use crate::error::{Concern, Fault};
use crate::raw;
use crate::tree::KeyPath;

/// Resolves the files of the listener's TLS. `None` if it has none.
pub(super) fn resolve(raw: raw::Tls, path: &KeyPath, to: &mut Reporter<'_>) -> Option<TlsConfig> {
    let raw::Tls { cert, key, client_ca } = raw;
    let (cert, key) = match (cert, key) {
        (None, None) if client_ca.is_none() => return None,
        (cert, key) => {
            missing(&cert, &path.key("cert"), "the PEM file with the certificate of the relay", to);
            missing(&key, &path.key("key"), "the PEM file with the private key of server.tls.cert", to);
            (cert, key)
        }
    };
    let check = |file: &Option<PathBuf>, name: &str, to: &mut Reporter<'_>| {
        if let Some(file) = file {
            pem::check_certificates(file, &path.key(name), to);
        }
    };
    check(&cert, "cert", to);
    check(&client_ca, "client_ca", to);
    if let Some(file) = &key {
        check_key(file, &path.key("key"), to);
    }
    Some(TlsConfig { cert: cert?, key: key?, client_ca })
}

fn missing(file: &Option<PathBuf>, path: &KeyPath, expected: &str, to: &mut Reporter<'_>) {
    if file.is_none() {
        to.problem(path, Fault::Missing { expected: format!("set it to {expected}") });
    }
}

/// Refuses a file without a usable private key, and warns about one that every user can read.
fn check_key(file: &Path, path: &KeyPath, to: &mut Reporter<'_>) {
    pem::check_private_key(file, path, to);
    if is_readable_by_others(file) {
        to.warning(path, Concern::KeyReadableByOthers);
    }
}

#[cfg(unix)]
fn is_readable_by_others(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn is_readable_by_others(_: &Path) -> bool {
    false
}
