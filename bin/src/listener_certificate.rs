//! The certificate of the listeners for clients, as a part of the process that a reload changes.

use std::error::Error;
use std::path::PathBuf;

use relay_config::Config;
use relay_server::ListenerTls;

use crate::client_listeners;
use crate::reload::{Commit, Part};

/// The certificate of the listeners for clients.
pub(crate) struct ListenerCertificate(ListenerTls);

impl ListenerCertificate {
    /// Creates the part for the certificate that the listeners use now.
    pub(crate) fn new(tls: ListenerTls) -> Self {
        Self(tls)
    }
}

impl Part for ListenerCertificate {
    fn files(&self, config: &Config) -> Vec<PathBuf> {
        let tls = config.server.tls.iter();
        tls.flat_map(|tls| [Some(&tls.cert), Some(&tls.key), tls.client_ca.as_ref()])
            .flatten()
            .cloned()
            .collect()
    }

    fn prepare(&self, config: &Config) -> Result<Option<Commit>, Box<dyn Error + Send + Sync>> {
        let Some(new) = client_listeners::load_tls(&config.server)? else { return Ok(None) };
        if self.0.is_same(&new) {
            return Ok(None);
        }
        let current = self.0.clone();
        let apply = Box::new(move || {
            current.replace(&new);
            client_listeners::log_tls_warnings(Some(&current));
        });
        Ok(Some(Commit { difference: "server.tls: the files have other contents".to_owned(), apply }))
    }
}

#[cfg(test)]
mod tests {
    use relay_config::{ServerConfig, TlsConfig};
    use relay_tests::CertificateAuthority;

    use super::*;

    #[test]
    fn another_certificate_is_used_once_it_is_applied() {
        let authority = CertificateAuthority::new();
        let identity = authority.issue(&["a"]);
        let files = TlsConfig::new(identity.cert_file(), identity.key_file());
        let server = ServerConfig::default().with_tls(files.with_client_ca(authority.ca_file()));
        let config = Config::default().with_server(server);
        let tls = ListenerTls::load(config.server.tls.as_ref().unwrap()).unwrap();
        let part = ListenerCertificate::new(tls.clone());
        assert_eq!(part.files(&config).len(), 3);
        assert!(part.prepare(&config).unwrap().is_none());

        identity.overwrite_with(&authority.issue(&["b"]));
        let new = ListenerTls::load(config.server.tls.as_ref().unwrap()).unwrap();
        let commit = part.prepare(&config).unwrap().unwrap();
        assert!(!tls.is_same(&new), "nothing has been applied");
        (commit.apply)();
        assert!(tls.is_same(&new));

        std::fs::copy(identity.cert_file(), identity.key_file()).unwrap();
        assert!(part.prepare(&config).is_err());
        assert!(part.prepare(&Config::default()).unwrap().is_none());
    }
}
