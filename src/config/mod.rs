//! `wayleave.toml`: the agencies, where their databases are, which columns hold subject keys, and the views over them.
//!
//! In: the file. Out: a [`Config`] in which every path is resolved, every secret is fetched and every reference holds.
//! It must never touch a database, so that a dead agency cannot keep the others from starting, and never print a secret.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use wayleave_connector_api::{KeyFormat, Scheme, TableName};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::names::{QualifiedColumn, QualifiedTable};

mod agency;
mod limits;
mod mysql_url;
mod postgres_url;
mod read;
mod secret;
mod serve;
mod signer;
mod sqlserver_url;
pub(crate) mod subject;
mod view;

pub use secret::{PseudonymKey, Secret};
pub use serve::{CertificateFiles, ListenerConfig, ServeConfig};
pub use signer::PublicKey;

/// The configuration file, for the schema that editors read.
pub const FILE_KIND: crate::diagnostic::schema::FileKind = read::CONFIGURATION_FILE;

/// Everything `wayleave.toml` says.
#[derive(Clone, Debug)]
pub struct Config {
    pub file: PathBuf,
    /// The directory of policy files; it exists.
    pub policies: PathBuf,
    /// One of these must have signed the policy files; where there is none, nobody need have.
    pub signed_by: Vec<PublicKey>,
    pub audit: AuditConfig,
    /// How owners of agreements are told of emergencies.
    pub alerts: Option<AlertConfig>,
    pub pseudonyms: Option<PseudonymKey>,
    pub limits: Limits,
    /// What `wayleave serve` does.
    pub serve: Option<ServeConfig>,
    pub agencies: BTreeMap<String, AgencyConfig>,
    pub views: BTreeMap<String, ViewConfig>,
}

impl Config {
    /// Reads a configuration file; relative paths in it are relative to its directory.
    ///
    /// # Errors
    /// Everything wrong in the file, each with its place.
    pub fn load(path: &Path) -> Result<Self, Diagnostics> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Diagnostic::of_file(path, format!("the configuration cannot be read: {}", error.kind()))
                .with_hint("name another with `--config`, or write one; `wayleave demo` makes an example")
        })?;
        Self::parse(&text, path)
    }

    /// Reads a configuration from its text; `path` is where it stands, or would stand.
    ///
    /// # Errors
    /// Everything wrong in the text, each with its place.
    pub fn parse(text: &str, path: &Path) -> Result<Self, Diagnostics> {
        read::read(text, path, &|name| std::env::var(name).ok())
    }
}

/// Where the audit log is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditConfig {
    pub directory: PathBuf,
}

/// How owners of agreements are told of emergencies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlertConfig {
    /// A file each, in a directory that exists.
    Directory(PathBuf),
    /// A command and its arguments, which is given the alert as JSON on its standard input and ends well when it has told;
    /// at least the command.
    Command(Vec<String>),
}

/// Limits that hold for every agency and every query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    pub connect_timeout_ms: u64,
    /// Bytes that one query may hold in memory.
    pub query_memory: u64,
    /// Bytes that all running queries may hold in memory together; not less than `query_memory`.
    pub process_memory: u64,
    /// Where rows go that do not fit into memory; it exists.
    pub spill_directory: PathBuf,
    /// Bytes that all running queries may hold on disk together.
    pub spill_disk: u64,
}

/// One agency and its database.
#[derive(Clone, Debug)]
pub struct AgencyConfig {
    /// The agency's catalog name in SQL.
    pub name: String,
    pub title: Option<String>,
    pub connector: ConnectorConfig,
    pub max_connections: usize,
    pub statement_timeout_ms: u64,
    pub tables: BTreeMap<TableName, TableConfig>,
}

/// Which connector reads the agency's database, and how it gets there.
#[derive(Clone, Debug)]
pub enum ConnectorConfig {
    Postgres(ServerConfig),
    /// MariaDB as well.
    Mysql(ServerConfig),
    SqlServer {
        server: ServerConfig,
        token: Option<TokenConfig>,
    },
    Sqlite {
        path: PathBuf,
    },
    Files(FilesConfig),
    /// What the driver manager is given, with its login.
    Odbc {
        connection_string: Secret,
    },
}

/// A folder of files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesConfig {
    pub path: PathBuf,
    /// What stands between two values of a CSV file: one ASCII character.
    pub csv_delimiter: u8,
    /// Whether the first line of a CSV file names the columns.
    pub csv_header: bool,
}

/// A server at the end of a network.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    pub url: Secret,
    pub tls: Tls,
    /// A PEM file of the authorities to trust instead of the system's; it exists.
    pub ca_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Encrypted to a server whose certificate is trusted, or not at all.
    Require,
    /// Plain text: for a server on this machine, or one for which `allow_plaintext` was written.
    Disable,
}

/// A token of Microsoft Entra ID that logs in.
#[derive(Clone, Debug)]
pub enum TokenConfig {
    /// It is read for each new connection: such tokens live for an hour.
    File(PathBuf),
    Token(Secret),
}

/// What the configuration says of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableConfig {
    pub subject: Option<SubjectConfig>,
}

/// The column that says whom a row is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectConfig {
    pub column: String,
    pub format: KeyFormat,
}

/// A view over several agencies, a row a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewConfig {
    pub name: String,
    /// The output column of the subject key.
    pub key: String,
    pub scheme: Scheme,
    /// Tables with a subject of that scheme; at least one.
    pub sources: Vec<QualifiedTable>,
    /// Output columns in the file's order; the first of its columns that is not NULL gives the value.
    pub columns: Vec<(String, Vec<QualifiedColumn>)>,
}

#[cfg(test)]
mod tests;
