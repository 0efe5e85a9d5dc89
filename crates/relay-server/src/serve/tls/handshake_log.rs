//! The log lines about clients that cannot connect.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustls::{AlertDescription, Error};

use crate::serve::log_interval::LogInterval;
use crate::serve::peer::PeerAddress;

/// The shortest time between two lines.
const INTERVAL: Duration = Duration::from_secs(1);

/// The log lines about clients that cannot connect. Their number is limited, since each client can cause many.
#[derive(Debug)]
pub(super) struct HandshakeLog(Mutex<Lines>);

#[derive(Debug)]
struct Lines {
    interval: LogInterval,
    /// The number of failures since the last line.
    unlogged: u64,
}

impl Default for HandshakeLog {
    fn default() -> Self {
        Self(Mutex::new(Lines { interval: LogInterval::new(INTERVAL), unlogged: 0 }))
    }
}

impl HandshakeLog {
    /// Logs a handshake that has failed.
    pub(super) fn failed(&self, peer: PeerAddress, error: &io::Error) {
        match tls_error(error).and_then(reason) {
            Some(reason) => self.line(peer, reason, Some(error)),
            None => tracing::debug!(%peer, %error, "a TLS handshake has failed"),
        }
    }

    /// Logs a client that does not speak TLS.
    pub(super) fn is_plain(&self, peer: PeerAddress) {
        self.line(peer, "refused a plain HTTP request: this listener serves https", None);
    }

    fn line(&self, peer: PeerAddress, line: &str, error: Option<&io::Error>) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !lines.interval.is_due() {
            lines.unlogged += 1;
            return;
        }
        let unlogged = Some(std::mem::take(&mut lines.unlogged)).filter(|unlogged| *unlogged > 0);
        drop(lines);
        let error = error.map(tracing::field::display);
        tracing::info!(%peer, error, unlogged, "{line}");
    }
}

/// Returns the reason of a failure that an operator or a user can remove. `None` for the rest: bytes that are not TLS, clients that
/// left, versions and ciphers of scanners.
fn reason(error: &Error) -> Option<&'static str> {
    match error {
        Error::NoCertificatesPresented => {
            Some("refused a client without a certificate (server.tls.client_ca)")
        }
        // A server verifies no other certificate than that of a client.
        Error::InvalidCertificate(_) => Some("refused a client's certificate (server.tls.client_ca)"),
        Error::AlertReceived(
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired,
        ) => Some(
            "a client has not accepted the relay's certificate: it must trust the authority of server.tls.cert",
        ),
        _ => None,
    }
}

/// Finds the TLS error inside an I/O error.
fn tls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}
