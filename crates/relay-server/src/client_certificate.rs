//! The certificate of a client.

use std::sync::Arc;

/// The certificate by which a client was admitted. A listener with `server.tls.client_ca` puts it into the extensions of each request;
/// a program that checks certificates itself can do so too. It is shown in the [`RequestRecord`](crate::RequestRecord) and in the
/// access log, and decides nothing.
///
/// ```
/// use http::Request;
/// use relay_server::ClientCertificate;
///
/// let mut request = Request::get("/v1/models").body(())?;
/// request.extensions_mut().insert(ClientCertificate::new("CN=laptop,O=Example"));
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    subject: Arc<str>,
}

impl ClientCertificate {
    /// Creates the certificate with this subject.
    #[must_use]
    pub fn new(subject: impl Into<Arc<str>>) -> Self {
        Self { subject: subject.into() }
    }

    /// The subject, such as `CN=laptop,O=Example`.
    #[must_use]
    pub fn subject(&self) -> &Arc<str> {
        &self.subject
    }
}
