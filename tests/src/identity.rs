//! Certificates of servers and clients, and the TLS settings of clients that trust an authority.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;

use crate::tls::CertificateAuthority;

/// A certificate and its key, also in files that exist as long as this value.
#[derive(Debug)]
pub struct Identity {
    directory: TempDir,
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl CertificateAuthority {
    /// Issues a certificate for these names, which is valid now.
    /// # Panics
    /// If a name is invalid, or the files cannot be written.
    #[must_use]
    pub fn issue(&self, names: &[&str]) -> Identity {
        self.issue_for_years(names, 2000, 4000)
    }

    /// Issues a certificate that is valid from the start of the year `from` to the start of `until`.
    /// # Panics
    /// If a name is invalid, or the files cannot be written.
    #[must_use]
    pub fn issue_for_years(&self, names: &[&str], from: i32, until: i32) -> Identity {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("valid names");
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(until, 1, 1));
        let key = KeyPair::generate().expect("the system has randomness");
        let certificate = params.signed_by(&key, self.issuer()).expect("a signed certificate");
        let directory = TempDir::new().expect("a temporary directory");
        let chain = certificate.pem() + &self.issuer().pem();
        fs::write(directory.path().join("cert.pem"), chain).expect("the directory takes files");
        let key_file = directory.path().join("key.pem");
        fs::write(&key_file, key.serialize_pem()).expect("the directory takes files");
        #[cfg(unix)]
        fs::set_permissions(&key_file, std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .expect("an own file");
        Identity { directory, certificate: certificate.der().clone(), key: key.serialize_der() }
    }

    /// Returns the settings of a client that trusts this authority, speaks these protocols of ALPN, and has a certificate if
    /// `identity` is set.
    /// # Panics
    /// If the certificate and the key do not belong together.
    #[must_use]
    pub fn client(&self, protocols: &[&str], identity: Option<&Identity>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_file(self.ca_file()).expect("a file with a certificate");
        roots.add(authority).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring knows the default versions")
            .with_root_certificates(roots);
        let mut client = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let key = PrivateKeyDer::Pkcs8(identity.key.clone().into());
                let chain = vec![identity.certificate.clone()];
                builder.with_client_auth_cert(chain, key).expect("certificate and key belong together")
            }
        };
        client.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        client
    }
}

impl Identity {
    /// Returns the path of the certificate, followed by that of its authority, in PEM.
    #[must_use]
    pub fn cert_file(&self) -> PathBuf {
        self.path("cert.pem")
    }

    /// Returns the path of the key in PEM.
    #[must_use]
    pub fn key_file(&self) -> PathBuf {
        self.path("key.pem")
    }

    /// Returns the certificate.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Puts the files of `other` into the place of these.
    /// # Panics
    /// If the files cannot be written.
    pub fn overwrite_with(&self, other: &Self) {
        for (from, to) in [(other.cert_file(), self.cert_file()), (other.key_file(), self.key_file())] {
            fs::copy(from, to).expect("the directory takes files");
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::join(self.directory.path(), name)
    }
}
