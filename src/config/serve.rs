//! `[serve]`: who may connect, and where.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::read::Surroundings;
use crate::diagnostic::document::{Entry, Key};
use crate::diagnostic::schema::Shape;

pub(super) const SERVE_KEYS: &[Key] = &[
    Key::new("users", "users = \"users.toml\"")
        .says("The file of those who may log in, relative to this one: see `wayleave user`.")
        .required(),
    Key::new("postgres", "postgres = { listen = \"127.0.0.1:5433\" }")
        .says("PostgreSQL's protocol.")
        .of(Shape::Section(POSTGRES_KEYS, &[]))
        .required(),
];
const POSTGRES_KEYS: &[Key] = &[
    Key::new("listen", "listen = \"127.0.0.1:5433\"").says("Address and port.").required(),
    Key::new("certificate", "certificate = \"server.crt\"")
        .says("The server's certificate and those that vouch for it, as PEM, relative to this file."),
    Key::new("key", "key = \"server.key\"").says("The certificate's private key, as PEM, relative to this file."),
    Key::new("allow_plaintext", "allow_plaintext = true")
        .says("Speak in plain text with other machines, though rows are sensitive and the network may listen.")
        .of(Shape::Flag),
    Key::new("max_connections", "max_connections = 200")
        .says("How many may be connected at once.")
        .of(Shape::Number { least: 1, most: Some(MOST_CONNECTIONS) }),
];
const MOST_CONNECTIONS: u64 = 100_000;
const DEFAULT_CONNECTIONS: u64 = 200;

/// Who may connect, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServeConfig {
    pub users: PathBuf,
    pub postgres: ListenerConfig,
}

/// One address to listen at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerConfig {
    pub listen: SocketAddr,
    /// Without it plain text is spoken: on the loopback, or where `allow_plaintext` was written.
    pub certificate: Option<CertificateFiles>,
    pub max_connections: usize,
}

/// A certificate and its private key; both files exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

pub(super) fn read_serve(entry: &Entry<'_>, surroundings: Surroundings<'_>) -> Option<ServeConfig> {
    let table = entry.table(SERVE_KEYS)?;
    let users = table.required("users").and_then(|entry| surroundings.path(&entry));
    let postgres = table.required("postgres").and_then(|entry| read_listener(&entry, surroundings));
    Some(ServeConfig { users: users?, postgres: postgres? })
}

fn read_listener(entry: &Entry<'_>, surroundings: Surroundings<'_>) -> Option<ListenerConfig> {
    let table = entry.table(POSTGRES_KEYS)?;
    let listen = table.required("listen").and_then(|entry| {
        let address: Option<SocketAddr> = entry.text()?.value.parse().ok();
        if address.is_none() {
            entry.report(
                format!("`{}` is no address and port", entry.name()),
                "write such as \"127.0.0.1:5433\", \"[::1]:5433\", or \"0.0.0.0:5433\" for every network",
            );
        }
        address
    });
    let file = |key: &str| table.optional(key).map(|entry| surroundings.existing_file(&entry));
    let certificate = match (file("certificate"), file("key")) {
        (None, None) => Some(None),
        (Some(certificate), Some(key)) => {
            certificate.zip(key).map(|(certificate, key)| Some(CertificateFiles { certificate, key }))
        }
        (Some(_), None) | (None, Some(_)) => {
            table
                .report(format!("`certificate` and `key` of `{}` go together", table.name()), "write both, or neither");
            None
        }
    };
    let allow_plaintext = match table.optional("allow_plaintext") {
        Some(entry) => entry.boolean().map(|allowed| allowed.value),
        None => Some(false),
    };
    let max_connections = match table.optional("max_connections") {
        Some(entry) => entry.integer(1..=MOST_CONNECTIONS).map(|most| most.value),
        None => Some(DEFAULT_CONNECTIONS),
    };
    let (listen, certificate) = (listen?, certificate?);
    if certificate.is_none() && !listen.ip().is_loopback() && !allow_plaintext? {
        table.report(
            format!("`{}` would speak in plain text with other machines", table.name()),
            "name `certificate` and `key`, listen at 127.0.0.1, or write `allow_plaintext = true`",
        );
        return None;
    }
    let max_connections = usize::try_from(max_connections?).unwrap_or(usize::MAX);
    Some(ListenerConfig { listen, certificate, max_connections })
}
