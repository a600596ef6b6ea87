//! `[agency.…]`: one agency, its connection and the subject keys of its tables.

use std::collections::BTreeMap;
use std::path::PathBuf;

use wayleave_connector_api::TableName;

use super::postgres_url::{Reach, UrlFault};
use super::read::{LONGEST_TIMEOUT_MS, Surroundings, exactly_one};
use super::subject::{SUBJECT_KEYS, SUBJECT_RULES, read_subject};
use super::{
    AgencyConfig, ConnectorConfig, FilesConfig, Secret, ServerConfig, SubjectConfig, TableConfig, Tls, TokenConfig,
    mysql_url, postgres_url, sqlserver_url,
};
use crate::diagnostic::Diagnostic;
use crate::diagnostic::document::{Entry, Key, Table};
use crate::diagnostic::schema::{Shape, words};
use crate::names::parse_table_name;

pub(super) const AGENCY_KEYS: &[Key] = &[
    Key::new("connector", "connector = \"postgres\"")
        .says("Which kind of database it is.")
        .of(Shape::OneOf(|| words(&CONNECTORS)))
        .required(),
    Key::new("url", "url = \"postgres://…\"")
        .says("Where the database is, with login and password. Better in a file or a variable."),
    Key::new("url_env", "url_env = \"HEALTH_URL\"").says("The variable of the environment that holds the URL."),
    Key::new("url_file", "url_file = \"health.url\"").says("A file that holds the URL."),
    Key::new("path", "path = \"health.db\"").says("The file of an SQLite database, or a folder of files."),
    Key::new("aad_token_file", "aad_token_file = \"token\"")
        .says("A file that holds a token of Microsoft Entra ID, read for each connection."),
    Key::new("aad_token_env", "aad_token_env = \"HEALTH_TOKEN\"")
        .says("The variable of the environment that holds such a token."),
    Key::new("csv_delimiter", "csv_delimiter = \";\"")
        .says("What stands between two values of a CSV file: one character."),
    Key::new("csv_header", "csv_header = false")
        .says("Whether the first line of a CSV file names the columns. It does unless said.")
        .of(Shape::Flag),
    Key::new("title", "title = \"Torbay hospitals\"").says("The agency's name in words."),
    Key::new("tls", "tls = \"require\"")
        .says("require: encrypted, or not at all. disable: plain text, for a server on this machine.")
        .of(Shape::OneOf(|| words(&TLS))),
    Key::new("allow_plaintext", "allow_plaintext = true")
        .says("Says that the network to the server is safe without TLS.")
        .of(Shape::Flag),
    Key::new("ca_file", "ca_file = \"ca.pem\"").says("A PEM file of the authorities to trust instead of the system's."),
    Key::new("max_connections", "max_connections = 4")
        .says("How many connections may be open at once.")
        .of(Shape::Number { least: 1, most: Some(1000) }),
    Key::new("statement_timeout_ms", "statement_timeout_ms = 60000")
        .says("Milliseconds that one statement may run.")
        .of(Shape::Number { least: 1, most: Some(LONGEST_TIMEOUT_MS) }),
    Key::new("tables", "[agency.health.tables.\"public.patients\"]")
        .says("What there is to know of its tables, by schema and table in one pair of quotes.")
        .of(Shape::Names(&Shape::Section(TABLE_KEYS, &[]))),
];
const TABLE_KEYS: &[Key] = &[Key::new("subject", "subject = { column = \"nhs_number\", scheme = \"nhs-number\" }")
    .says("The column that says whom a row is about.")
    .of(Shape::Section(SUBJECT_KEYS, SUBJECT_RULES))];

/// Catalog names that are ours.
const RESERVED_NAMES: [&str; 3] = ["wayleave", "unified", "information_schema"];

const TLS: [(&str, Tls); 2] = [("require", Tls::Require), ("disable", Tls::Disable)];

const NO_FILES: &str = "only `files` reads CSV";

const DEFAULT_MAX_CONNECTIONS: usize = 4;
const DEFAULT_STATEMENT_TIMEOUT_MS: u64 = 60_000;

#[derive(Clone, Copy)]
enum ConnectorKind {
    Postgres,
    Mysql,
    SqlServer,
    Sqlite,
    Files,
    Odbc,
}

const CONNECTORS: [(&str, ConnectorKind); 7] = [
    ("postgres", ConnectorKind::Postgres),
    ("mysql", ConnectorKind::Mysql),
    ("mariadb", ConnectorKind::Mysql),
    ("sqlserver", ConnectorKind::SqlServer),
    ("sqlite", ConnectorKind::Sqlite),
    ("files", ConnectorKind::Files),
    ("odbc", ConnectorKind::Odbc),
];

/// What the URL of one kind of server looks like, and where one leads.
struct UrlKind {
    product: &'static str,
    example: &'static str,
    reach: fn(&str) -> Result<Reach, UrlFault>,
}

const POSTGRES_URL: UrlKind = UrlKind {
    product: "a PostgreSQL database",
    example: "postgres://user:password@host:5432/database",
    reach: postgres_url::reach,
};
const MYSQL_URL: UrlKind = UrlKind {
    product: "a MariaDB or MySQL server",
    example: "mysql://user:password@host:3306/database",
    reach: mysql_url::reach,
};
const SQLSERVER_URL: UrlKind = UrlKind {
    product: "a SQL Server database",
    example: "sqlserver://user:password@host:1433/database",
    reach: sqlserver_url::reach,
};

pub(super) fn read_agencies(
    entry: &Entry<'_>,
    surroundings: Surroundings<'_>,
) -> Option<BTreeMap<String, AgencyConfig>> {
    let entries = entry.open_table()?.entries();
    // Every agency is read before any is given up, so that all their errors are said.
    let agencies: Vec<Option<AgencyConfig>> = entries.iter().map(|entry| read_agency(entry, surroundings)).collect();
    agencies.into_iter().map(|agency| agency.map(|agency| (agency.name.clone(), agency))).collect()
}

fn read_agency(entry: &Entry<'_>, surroundings: Surroundings<'_>) -> Option<AgencyConfig> {
    let name = read_name(entry);
    let table = entry.table(AGENCY_KEYS)?;
    let title = table.optional("title").map(|entry| entry.text());
    let connector = table.required("connector").and_then(|entry| entry.one_of(&CONNECTORS));
    let connector = connector.and_then(|kind| match kind.value {
        ConnectorKind::Postgres => {
            refuse_token(&table);
            read_server(&table, &POSTGRES_URL, surroundings).map(ConnectorConfig::Postgres)
        }
        ConnectorKind::Mysql => {
            refuse_token(&table);
            read_server(&table, &MYSQL_URL, surroundings).map(ConnectorConfig::Mysql)
        }
        ConnectorKind::SqlServer => {
            let token = read_token(&table, surroundings);
            read_server(&table, &SQLSERVER_URL, surroundings)
                .zip(token)
                .map(|(server, token)| ConnectorConfig::SqlServer { server, token })
        }
        ConnectorKind::Sqlite => read_sqlite(&table, surroundings),
        ConnectorKind::Files => read_files(&table, surroundings),
        ConnectorKind::Odbc => read_odbc(&table, surroundings),
    });
    let max_connections = match table.optional("max_connections") {
        Some(entry) => entry.integer(1..=1000).and_then(|number| usize::try_from(number.value).ok()),
        None => Some(DEFAULT_MAX_CONNECTIONS),
    };
    let statement_timeout_ms = match table.optional("statement_timeout_ms") {
        Some(entry) => entry.integer(1..=LONGEST_TIMEOUT_MS).map(|number| number.value),
        None => Some(DEFAULT_STATEMENT_TIMEOUT_MS),
    };
    let tables = match table.optional("tables") {
        Some(entry) => read_tables(&entry),
        None => Some(BTreeMap::new()),
    };
    Some(AgencyConfig {
        name: name?,
        title: match title {
            Some(title) => Some(title?.value),
            None => None,
        },
        connector: connector?,
        max_connections: max_connections?,
        statement_timeout_ms: statement_timeout_ms?,
        tables: tables?,
    })
}

fn read_name(entry: &Entry<'_>) -> Option<String> {
    let name = entry.key();
    let fault = if RESERVED_NAMES.contains(&name) {
        format!("`{name}` is a catalog of Wayleave itself")
    } else if !is_catalog_name(name) {
        format!("{} cannot name an agency", crate::diagnostic::quoted(name))
    } else {
        return Some(name.to_owned());
    };
    entry.document().report(
        Diagnostic::at(&entry.key_place(), fault)
            .with_hint("an agency's name has a to z, 0 to 9, `_` and `-`, and starts with a letter"),
    );
    None
}

fn is_catalog_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|one| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '_' || one == '-')
}

fn read_server(table: &Table<'_>, kind: &UrlKind, surroundings: Surroundings<'_>) -> Option<ServerConfig> {
    refuse_keys(table, &["csv_delimiter", "csv_header"], NO_FILES, "take the key out");
    let reason = format!("{} is reached by a URL", kind.product);
    refuse_keys(table, &["path"], &reason, "write `url`, `url_env` or `url_file` instead");
    let ca_file = table.optional("ca_file").map(|entry| surroundings.existing_file(&entry));
    let written_tls = table.optional("tls").map(|entry| entry.one_of(&TLS));
    let allow_plaintext = match table.optional("allow_plaintext") {
        Some(entry) => entry.boolean()?.value,
        None => false,
    };
    let entry = exactly_one(table, &["url", "url_env", "url_file"])?;
    let url = read_url(&entry, surroundings)?;
    let reach = (kind.reach)(url.expose()).map_err(|fault| report_fault(&entry, kind, fault)).ok()?;
    let tls = match (written_tls, reach) {
        (Some(written), reach) => {
            let written = written?;
            if written.value == Tls::Disable && reach == Reach::Network && !allow_plaintext {
                table.document().report(
                    Diagnostic::at(
                        &written.place,
                        "without TLS persons' records would cross the network in plain text",
                    )
                    .with_hint(
                        "write `tls = \"require\"`; where the network itself is encrypted, `allow_plaintext = true`",
                    ),
                );
                return None;
            }
            written.value
        }
        (None, Reach::ThisMachine) => Tls::Disable,
        (None, Reach::Network) => Tls::Require,
    };
    let ca_file = match ca_file {
        Some(ca_file) => Some(ca_file?),
        None => None,
    };
    Some(ServerConfig { url, tls, ca_file })
}

fn refuse_token(table: &Table<'_>) {
    let keys = ["aad_token_file", "aad_token_env"];
    refuse_keys(table, &keys, "only SQL Server takes such a token", "take the key out");
}

/// A token that logs in instead of the URL's user; `Some(None)` where there is none.
fn read_token(table: &Table<'_>, surroundings: Surroundings<'_>) -> Option<Option<TokenConfig>> {
    match (table.optional("aad_token_file"), table.optional("aad_token_env")) {
        (None, None) => Some(None),
        (Some(entry), None) => surroundings.existing_file(&entry).map(|file| Some(TokenConfig::File(file))),
        (None, Some(entry)) => {
            surroundings.variable(&entry).map(|token| Some(TokenConfig::Token(Secret::new(token.trim()))))
        }
        (Some(_), Some(entry)) => {
            entry.report("the token is given twice", "write `aad_token_file` or `aad_token_env`, not both");
            None
        }
    }
}

fn read_sqlite(table: &Table<'_>, surroundings: Surroundings<'_>) -> Option<ConnectorConfig> {
    let remedy = "take the key out";
    refuse_token(table);
    refuse_keys(table, &["csv_delimiter", "csv_header"], NO_FILES, remedy);
    refuse_keys(table, &["tls", "allow_plaintext", "ca_file"], "`sqlite` has no network connection", remedy);
    let keys = ["path", "url", "url_env", "url_file"];
    let entry = exactly_one(table, &keys)?;
    if entry.key() == "path" {
        return Some(ConnectorConfig::Sqlite { path: surroundings.path(&entry)? });
    }
    let url = read_url(&entry, surroundings)?;
    let path = url.expose().strip_prefix("sqlite:").map(|path| path.strip_prefix("//").unwrap_or(path));
    match path {
        Some(path) if !path.is_empty() => {
            Some(ConnectorConfig::Sqlite { path: surroundings.directory.join(PathBuf::from(path)) })
        }
        _ => {
            entry.report(
                "this is no URL of an SQLite file",
                "write `path = \"health.db\"` or `url = \"sqlite:health.db\"`",
            );
            None
        }
    }
}

/// A folder of files, and how its CSV is written.
fn read_files(table: &Table<'_>, surroundings: Surroundings<'_>) -> Option<ConnectorConfig> {
    let remedy = "take the key out";
    refuse_token(table);
    refuse_keys(table, &["tls", "allow_plaintext", "ca_file"], "`files` has no network connection", remedy);
    refuse_keys(table, &["url", "url_env", "url_file"], "`files` is a folder", "write `path` instead");
    let csv_delimiter = match table.optional("csv_delimiter") {
        Some(entry) => match entry.any_text()?.value.as_bytes() {
            [one] if one.is_ascii() && !matches!(one, b'"' | b'\n' | b'\r') => Some(*one),
            _ => {
                entry.report("`csv_delimiter` is not one ASCII character", "write `csv_delimiter = \";\"`");
                None
            }
        },
        None => Some(b','),
    };
    let csv_header = match table.optional("csv_header") {
        Some(entry) => entry.boolean().map(|header| header.value),
        None => Some(true),
    };
    let path = surroundings.path(&table.required("path")?)?;
    Some(ConnectorConfig::Files(FilesConfig { path, csv_delimiter: csv_delimiter?, csv_header: csv_header? }))
}

/// A connection string stands where others have a URL.
fn read_odbc(table: &Table<'_>, surroundings: Surroundings<'_>) -> Option<ConnectorConfig> {
    refuse_keys(table, &["csv_delimiter", "csv_header"], NO_FILES, "take the key out");
    let remedy = "write it into the connection string, in the driver's own words";
    refuse_keys(table, &["tls", "allow_plaintext", "ca_file"], "the ODBC driver encrypts", remedy);
    let reason = "`odbc` is reached by a connection string";
    refuse_keys(table, &["path"], reason, "write it as `url`, `url_env` or `url_file`");
    let entry = exactly_one(table, &["url", "url_env", "url_file"])?;
    Some(ConnectorConfig::Odbc { connection_string: read_url(&entry, surroundings)? })
}

/// The URL, wherever the entry says that it is kept.
fn read_url(entry: &Entry<'_>, surroundings: Surroundings<'_>) -> Option<Secret> {
    let url = match entry.key() {
        "url_env" => surroundings.variable(entry)?,
        "url_file" => {
            let Ok(url) = String::from_utf8(surroundings.file_contents(entry)?) else {
                entry.report("the file that `url_file` names is not text", "write the URL into it, and nothing else");
                return None;
            };
            url
        }
        _ => entry.text()?.value,
    };
    Some(Secret::new(url.trim()))
}

fn report_fault(entry: &Entry<'_>, kind: &UrlKind, fault: UrlFault) {
    let example = format!("a URL looks like `{}`", kind.example);
    match fault {
        UrlFault::Scheme => {
            entry.report(format!("`{}` does not give the URL of {}", entry.key(), kind.product), example);
        }
        UrlFault::Host => entry.report(format!("the URL that `{}` gives names no host", entry.key()), example),
        UrlFault::TlsParameter => entry.report(
            format!("the URL that `{}` gives sets TLS itself", entry.key()),
            "take `sslmode` and its like out of the URL and write `tls` and `ca_file` here",
        ),
        UrlFault::Parameter => entry.report(
            format!("the URL that `{}` gives has parameters", entry.key()),
            "take `?` and what follows out of the URL; for TLS write `tls` and `ca_file` here",
        ),
    }
}

fn refuse_keys(table: &Table<'_>, keys: &[&str], reason: &str, hint: &str) {
    for entry in keys.iter().filter_map(|key| table.optional(key)) {
        let message = format!("`{}` has no meaning here: {reason}", entry.key());
        table.document().report(Diagnostic::at(&entry.key_place(), message).with_hint(hint));
    }
}

fn read_tables(entry: &Entry<'_>) -> Option<BTreeMap<TableName, TableConfig>> {
    let read: Vec<Option<(TableName, TableConfig)>> = entry.open_table()?.entries().iter().map(read_table).collect();
    read.into_iter().collect()
}

fn read_table(entry: &Entry<'_>) -> Option<(TableName, TableConfig)> {
    let name = match parse_table_name(entry.key()) {
        Ok(name) => name,
        Err(fault) => {
            entry.document().report(
                Diagnostic::at(&entry.key_place(), fault.to_string())
                    .with_hint("write schema and table in one pair of quotes: `tables.\"public.patients\"`"),
            );
            return None;
        }
    };
    let table = entry.table(TABLE_KEYS)?;
    let subject = match table.optional("subject") {
        Some(entry) => {
            let (column, format) = read_subject(&entry)?;
            Some(SubjectConfig { column, format })
        }
        None => None,
    };
    Some((name, TableConfig { subject }))
}
