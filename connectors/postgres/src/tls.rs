//! Encryption: what is trusted, and the handshake's settings.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;
use wayleave_connector_api::ConnectorError;

use crate::{PostgresOptions, TlsMode};

/// What a new connection, and a request to cancel one, does for encryption.
#[derive(Clone)]
pub(crate) enum Tls {
    Off,
    On(MakeRustlsConnect),
}

impl Tls {
    /// Reads the certificates to trust; touches no network.
    ///
    /// # Errors
    /// [`ConnectorError::Configuration`] where they cannot be read.
    pub(crate) fn new(options: &PostgresOptions) -> Result<Self, ConnectorError> {
        match options.tls {
            TlsMode::Disable => Ok(Self::Off),
            TlsMode::Require => {
                let roots = match &options.ca_file {
                    Some(path) => roots_of_file(path)?,
                    None => roots_of_system()?,
                };
                // The provider is named here, so that nothing depends on a process-wide default.
                let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
                let config = ClientConfig::builder_with_provider(provider)
                    .with_safe_default_protocol_versions()
                    .map_err(|error| ConnectorError::Configuration { reason: format!("TLS: {error}") })?
                    .with_root_certificates(roots)
                    .with_no_client_auth();
                Ok(Self::On(MakeRustlsConnect::new(config)))
            }
        }
    }
}

fn roots_of_file(path: &Path) -> Result<RootCertStore, ConnectorError> {
    let wrong = |what: String| ConnectorError::Configuration {
        reason: format!("the certificate file `{}` {what}", path.display()),
    };
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        let certificate = certificate.map_err(|error| wrong(format!("is not PEM: {error}")))?;
        roots
            .add(certificate)
            .map_err(|error| wrong(format!("holds a certificate that cannot be trusted: {error}")))?;
    }
    if roots.is_empty() {
        return Err(wrong("holds no certificate".to_owned()));
    }
    Ok(roots)
}

fn roots_of_system() -> Result<RootCertStore, ConnectorError> {
    let mut roots = RootCertStore::empty();
    // A system store may hold a certificate or two that rustls does not take; the others serve.
    let (added, _ignored) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 {
        return Err(ConnectorError::Configuration {
            reason: "this system trusts no certificate authority; name one with `ca_file`".to_owned(),
        });
    }
    Ok(roots)
}
