//! Checks the PEM files that settings name.

use std::fs;
use std::path::Path;

use super::reporter::Reporter;
use crate::error::Fault;
use crate::tree::KeyPath;

const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";
/// The end of the labels of private keys: `PRIVATE KEY`, `RSA PRIVATE KEY`, `EC PRIVATE KEY`, `ENCRYPTED PRIVATE KEY`.
const PRIVATE_KEY: &str = "PRIVATE KEY-----";
/// The labels and headers of keys that need a passphrase.
const ENCRYPTED: [&str; 2] = ["-----BEGIN ENCRYPTED PRIVATE KEY-----", "Proc-Type: 4,ENCRYPTED"];

/// Refuses a file without certificates.
pub(super) fn check_certificates(file: &Path, path: &KeyPath, to: &mut Reporter<'_>) {
    check(file, path, to, |pem| match contains(pem, CERTIFICATE) {
        true => None,
        false => Some("it contains no PEM certificate"),
    });
}

/// Refuses a file without a private key, or with an encrypted one.
pub(super) fn check_private_key(file: &Path, path: &KeyPath, to: &mut Reporter<'_>) {
    check(file, path, to, |pem| {
        if ENCRYPTED.into_iter().any(|mark| contains(pem, mark)) {
            Some(
                "its private key is encrypted; `openssl pkey -in FILE -out NEW` writes it without a passphrase",
            )
        } else if contains(pem, PRIVATE_KEY) {
            None
        } else if contains(pem, CERTIFICATE) {
            Some("it contains a certificate, and no private key")
        } else {
            Some("it contains no PEM private key")
        }
    });
}

/// Reports the reason of `fault`, or that the file cannot be read.
fn check(
    file: &Path,
    path: &KeyPath,
    to: &mut Reporter<'_>,
    fault: impl FnOnce(&[u8]) -> Option<&'static str>,
) {
    if to.check_path(file, path) {
        return;
    }
    let reason = match fs::read(file) {
        Ok(pem) => fault(&pem).map(str::to_owned),
        Err(error) => Some(error.to_string()),
    };
    if let Some(reason) = reason {
        to.problem(path, Fault::File { path: file.to_owned(), reason });
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
