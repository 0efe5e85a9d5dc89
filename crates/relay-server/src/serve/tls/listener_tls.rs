//! The certificate of a listener, which can be replaced while connections are open.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use relay_config::{TlsConfig, write_rfc3339};
use relay_transport::Validity;
use rustls::ServerConfig;

use super::certificate::Certificate;
use super::error::ListenerTlsError;
use super::files;
use super::handshake_log::HandshakeLog;
use super::turns::Turns;
use crate::serve::peer::PeerAddress;

/// The time before the end of a certificate in which it is reported.
const ENDS_SOON: Duration = Duration::from_hours(7 * 24);

/// The certificate of a [`Listener`](crate::Listener), and its rule for client certificates. Clones share both.
///
/// Connections have TLS 1.2 or 1.3, and HTTP/2 by ALPN if the relay serves it. [`replace`](Self::replace) changes the certificate
/// for connections that are accepted later. A connection that is open keeps the one that it began with.
///
/// ```no_run
/// use relay_config::{Config, TlsConfig};
/// use relay_server::{Listener, ListenerTls, Relay};
///
/// # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
/// let files = TlsConfig::new("fullchain.pem", "key.pem");
/// let tls = ListenerTls::load(&files)?;
/// let relay = Relay::builder(Config::default()).allow_no_provider().build()?;
/// let listener = Listener::from(relay_server::bind("0.0.0.0:8443".parse()?)?).with_tls(tls.clone());
/// let serving = relay_server::serve(listener, relay, std::future::pending());
///
/// // Later, after the files have been renewed. If they cannot be used, nothing changes.
/// let has_changed = tls.replace(&ListenerTls::load(&files)?);
/// # let _ = (serving.await, has_changed);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ListenerTls {
    current: Arc<RwLock<Arc<Certificate>>>,
    log: Arc<HandshakeLog>,
    turns: Arc<Turns>,
}

impl ListenerTls {
    /// Reads the files of `files`.
    ///
    /// # Errors
    /// [`ListenerTlsError`] for the first file that cannot be used. It names the setting and the file.
    pub fn load(files: &TlsConfig) -> Result<Self, ListenerTlsError> {
        let certificate = files::load(files)?;
        Ok(Self {
            current: Arc::new(RwLock::new(Arc::new(certificate))),
            log: Arc::default(),
            turns: Arc::default(),
        })
    }

    /// Uses the certificate of `other`, and its rule for client certificates, for connections that are accepted from now on.
    /// Returns `false` if they are those in use, and nothing has changed.
    ///
    /// Sessions of the certificate before cannot be resumed: a client whose certificate is no longer accepted needs a new
    /// handshake.
    pub fn replace(&self, other: &Self) -> bool {
        let differs = !self.is_same(other);
        if differs {
            *self.current.write().unwrap_or_else(PoisonError::into_inner) = other.certificate();
        }
        differs
    }

    /// Returns `true` if both have the same certificate, and the same authorities of clients.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let (one, other) = (self.certificate(), other.certificate());
        one.chain == other.chain && one.client_ca == other.client_ca
    }

    /// Returns the reasons for which clients refuse the certificate at the time `now`, or will refuse it within a week: one
    /// sentence for each certificate of the chain that is not valid.
    #[must_use]
    pub fn warnings(&self, now: SystemTime) -> Vec<String> {
        let certificate = self.certificate();
        certificate.chain.iter().filter_map(|it| warning(Validity::of(it)?, now)).collect()
    }

    /// Logs a client that does not speak TLS.
    pub(in crate::serve) fn log_plain(&self, peer: PeerAddress) {
        self.log.is_plain(peer);
    }

    /// Returns the settings for a new connection.
    pub(super) fn settings(&self, enable_http2: bool) -> Arc<ServerConfig> {
        let certificate = self.certificate();
        Arc::clone(if enable_http2 { &certificate.http2 } else { &certificate.http1 })
    }

    /// Returns the log of handshakes that fail.
    pub(super) fn log(&self) -> &HandshakeLog {
        &self.log
    }

    /// Returns the turns of handshakes.
    pub(super) fn turns(&self) -> &Turns {
        &self.turns
    }

    fn certificate(&self) -> Arc<Certificate> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for ListenerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let certificate = self.certificate();
        f.debug_struct("ListenerTls")
            .field("certificates", &certificate.chain.len())
            .field("client_ca", &certificate.client_ca.len())
            .finish_non_exhaustive()
    }
}

fn warning(Validity { from, until, .. }: Validity, now: SystemTime) -> Option<String> {
    let time = |time| {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = write_rfc3339(&mut text, time);
        text
    };
    if now < from {
        Some(format!("a certificate in server.tls.cert is valid from {} only: clients refuse it", time(from)))
    } else if until < now {
        Some(format!("a certificate in server.tls.cert has expired on {}: clients refuse it", time(until)))
    } else if until < now + ENDS_SOON {
        Some(format!("a certificate in server.tls.cert expires on {}", time(until)))
    } else {
        None
    }
}
