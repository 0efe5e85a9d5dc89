//! The errors in the files of a listener's TLS.

use std::io;
use std::path::PathBuf;

/// An error in a file of [`TlsConfig`](relay_config::TlsConfig). Its message names the setting and the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenerTlsError {
    /// A file cannot be read.
    #[error("{setting}: cannot read {}", path.display())]
    Read {
        /// The path of the setting.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A file is not in PEM.
    #[error("{setting}: cannot use {}: it is not valid PEM: {reason}", path.display())]
    Malformed {
        /// The path of the setting.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// The fault.
        reason: String,
    },
    /// A file contains no certificate.
    #[error("{setting}: cannot use {}: it contains no PEM certificate", path.display())]
    NoCertificate {
        /// The path of the setting.
        setting: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// A certificate in a file cannot be used.
    #[error("{setting}: cannot use {}: a certificate in it is not valid: {reason}", path.display())]
    Certificate {
        /// The path of the setting.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// The fault.
        reason: String,
    },
    /// The file of the key contains none.
    #[error("server.tls.key: cannot use {}: it contains no PEM private key", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// The key needs a passphrase.
    #[error(
        "server.tls.key: cannot use {}: its private key is encrypted; `openssl pkey -in FILE -out NEW` writes it without a \
         passphrase",
        path.display()
    )]
    EncryptedKey {
        /// The file.
        path: PathBuf,
    },
    /// The key is of a kind that TLS or this program does not have.
    #[error(
        "server.tls.key: cannot use {}: its private key is none of RSA (2048 to 8192 bits), ECDSA (P-256, P-384) and Ed25519",
        path.display()
    )]
    UnsupportedKey {
        /// The file.
        path: PathBuf,
    },
    /// The key is that of another certificate.
    #[error(
        "server.tls.key: the private key in {} is not that of the first certificate in {} (server.tls.cert); the relay's own \
         certificate comes first there, and those of its authorities follow",
        key.display(),
        cert.display()
    )]
    Mismatch {
        /// The file of the certificate.
        cert: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// The TLS library refuses the settings.
    #[error("server.tls: cannot be used: {reason}")]
    Settings {
        /// The fault.
        reason: String,
    },
}
