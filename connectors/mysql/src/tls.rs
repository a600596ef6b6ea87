//! Encryption: what is trusted.

use std::path::Path;

use mysql_async::SslOpts;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use wayleave_connector_api::ConnectorError;

use crate::{MysqlOptions, TlsMode};

/// What a new connection does for encryption; `None` leaves it plain. Reads the certificates to trust, touches no network.
///
/// # Errors
/// [`ConnectorError::Configuration`] where they cannot be read.
pub(crate) fn settings(options: &MysqlOptions) -> Result<Option<SslOpts>, ConnectorError> {
    match options.tls {
        TlsMode::Disable => Ok(None),
        TlsMode::Require => {
            let roots = match &options.ca_file {
                Some(path) => roots_of_file(path)?,
                None => roots_of_system()?,
            };
            let roots = roots.iter().map(|root| root.to_vec().into()).collect();
            Ok(Some(SslOpts::default().with_root_certs(roots).with_disable_built_in_roots(true)))
        }
    }
}

fn roots_of_file(path: &Path) -> Result<Vec<CertificateDer<'static>>, ConnectorError> {
    let wrong = |what: String| ConnectorError::Configuration {
        reason: format!("the certificate file `{}` {what}", path.display()),
    };
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(|certificates| certificates.collect::<Result<Vec<_>, _>>())
        .map_err(|error| wrong(format!("cannot be read as PEM: {error}")))?;
    let mut roots = RootCertStore::empty();
    for certificate in &certificates {
        roots
            .add(certificate.clone())
            .map_err(|error| wrong(format!("holds a certificate that cannot be trusted: {error}")))?;
    }
    if certificates.is_empty() {
        return Err(wrong("holds no certificate".to_owned()));
    }
    Ok(certificates)
}

fn roots_of_system() -> Result<Vec<CertificateDer<'static>>, ConnectorError> {
    // A system store may hold a certificate or two that rustls does not take; the others serve.
    let trusted = |certificate: &CertificateDer<'static>| RootCertStore::empty().add(certificate.clone()).is_ok();
    let roots: Vec<_> = rustls_native_certs::load_native_certs().certs.into_iter().filter(trusted).collect();
    if roots.is_empty() {
        return Err(ConnectorError::Configuration {
            reason: "this system trusts no certificate authority; name one with `ca_file`".to_owned(),
        });
    }
    Ok(roots)
}
