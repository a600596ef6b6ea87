//! The server's certificate, as its files have it now.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::config::CertificateFiles;
use crate::diagnostic::{Diagnostic, Diagnostics};

/// A certificate whose renewal counts from the next connection on; where the new files do not go together, the last that did
/// stay.
#[derive(Debug)]
pub(super) struct Certificates {
    files: CertificateFiles,
    loaded: Mutex<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    written: [Option<SystemTime>; 2],
    config: Arc<ServerConfig>,
}

impl Certificates {
    /// # Errors
    /// A file cannot be read, or certificate and key do not go together.
    pub fn open(files: CertificateFiles) -> Result<Self, Diagnostics> {
        let loaded = Loaded { written: written(&files), config: load(&files)? };
        Ok(Self { files, loaded: Mutex::new(loaded) })
    }

    pub fn acceptor(&self) -> TlsAcceptor {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let found = written(&self.files);
        if found != loaded.written {
            if let Ok(config) = load(&self.files) {
                loaded.config = config;
            }
            loaded.written = found;
        }
        TlsAcceptor::from(Arc::clone(&loaded.config))
    }
}

fn written(files: &CertificateFiles) -> [Option<SystemTime>; 2] {
    [&files.certificate, &files.key].map(|file| std::fs::metadata(file).and_then(|found| found.modified()).ok())
}

fn load(files: &CertificateFiles) -> Result<Arc<ServerConfig>, Diagnostics> {
    let wrong = |file: &std::path::Path, why: &dyn std::fmt::Display| {
        Diagnostics::from(Diagnostic::of_file(file, format!("it cannot be used for TLS: {why}")))
    };
    let of_certificate = |why: &dyn std::fmt::Display| wrong(&files.certificate, why);
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect)
        .map_err(|error| of_certificate(&error))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| wrong(&files.key, &error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| of_certificate(&error))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| of_certificate(&error))?;
    Ok(Arc::new(config))
}
