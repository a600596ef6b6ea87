//! A certificate of the server's own, signed by an authority of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// Where the authority's certificate lies, and what accepts TLS.
pub struct Identity {
    pub ca_file: PathBuf,
    pub acceptor: TlsAcceptor,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("ca_file", &self.ca_file).finish_non_exhaustive()
    }
}

/// Makes the keys and certificates in a directory, with the `openssl` program.
pub fn make(directory: &Path) -> Result<Identity, String> {
    let settings = "[req]\ndistinguished_name = name\nprompt = no\n[name]\nCN = wayleave test\n\
                    [authority]\nbasicConstraints = critical, CA:TRUE\nkeyUsage = keyCertSign\n\
                    subjectKeyIdentifier = hash\n\
                    [server]\nbasicConstraints = critical, CA:FALSE\n\
                    subjectAltName = DNS:localhost, IP:127.0.0.1\n";
    fs::write(directory.join("openssl.cnf"), settings).map_err(|error| format!("openssl.cnf: {error}"))?;
    // msodbcsql and others take RSA everywhere.
    let key = ["-newkey", "rsa:2048", "-nodes", "-config", "openssl.cnf"];
    run(
        directory,
        &[
            &["req", "-x509", "-days", "2", "-extensions", "authority"][..],
            &key,
            &["-keyout", "ca.key", "-out", "ca.crt"],
        ],
    )?;
    run(directory, &[&["req"][..], &key, &["-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr"]])?;
    run(
        directory,
        &[
            &[
                "x509",
                "-req",
                "-days",
                "2",
                "-in",
                "server.csr",
                "-CA",
                "ca.crt",
                "-CAkey",
                "ca.key",
                "-CAcreateserial",
            ][..],
            &["-extfile", "openssl.cnf", "-extensions", "server", "-out", "server.crt"],
        ],
    )?;
    let chain = CertificateDer::pem_file_iter(directory.join("server.crt"))
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| format!("the server's certificate: {error}"))?;
    let key = PrivateKeyDer::from_pem_file(directory.join("server.key"))
        .map_err(|error| format!("the server's key: {error}"))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    // TLS 1.2, as SQL Server speaks it inside TDS 7.4: in 1.3 the server's tickets would come after the handshake.
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| format!("TLS cannot be set up: {error}"))?;
    Ok(Identity { ca_file: directory.join("ca.crt"), acceptor: TlsAcceptor::from(Arc::new(config)) })
}

fn run(directory: &Path, arguments: &[&[&str]]) -> Result<(), String> {
    let mut command = Command::new("openssl");
    command.current_dir(directory).args(arguments.concat()).stdin(Stdio::null());
    let output = command.output().map_err(|error| format!("`openssl` cannot be started: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("`openssl` failed: {}", String::from_utf8_lossy(&output.stderr)))
}
