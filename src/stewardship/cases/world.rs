//! The throw-away agencies of one case: SQLite files in a directory that goes with them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::Value;
use tempfile::TempDir;
use wayleave_connector_api::{Form, KeyFormat};

use crate::config::Config;
use crate::diagnostic::document::Scalar;
use crate::error::Error;
use crate::names::QualifiedTable;
use crate::policy::files::PolicySet;

/// Values by column; a column without one is NULL.
pub(super) type Row = BTreeMap<String, Scalar>;

/// A table of the world.
#[derive(Clone, Debug)]
pub(super) struct CaseTable {
    pub name: QualifiedTable,
    pub subject: Option<(String, KeyFormat)>,
    /// With SQLite's types.
    pub columns: Vec<(String, String)>,
    pub rows: Vec<Row>,
}

/// Configuration and databases; dropping it removes them.
pub(super) struct World {
    pub config: Config,
    _directory: TempDir,
}

/// A table as the throw-away agency names it: SQLite has the one schema `main`.
pub(super) fn here(table: &QualifiedTable) -> QualifiedTable {
    if table.schema == "main" {
        return table.clone();
    }
    QualifiedTable::new(&table.agency, "main", format!("{}.{}", table.schema, table.table))
}

/// The policies over tables as the throw-away agencies name them.
pub(super) fn policies_here(set: &PolicySet) -> PolicySet {
    let mut set = set.clone();
    for share in set.agreements.iter_mut().flat_map(|agreement| &mut agreement.shares) {
        share.table = here(&share.table);
    }
    for register in set.registers.values_mut() {
        register.table = here(&register.table);
    }
    set
}

impl World {
    /// Makes databases with these tables, and every other agency that the policies name, with none.
    pub fn make(set: &PolicySet, tables: &[CaseTable]) -> Result<Self, Error> {
        let failed = |what: &str, error: &dyn std::fmt::Display| Error::Execution {
            message: format!("the throw-away agencies cannot be made: {what}: {error}"),
        };
        let directory = tempfile::Builder::new()
            .prefix("wayleave-rehearsal-")
            .tempdir()
            .map_err(|error| failed("directory", &error))?;
        let root = directory.path();
        for part in ["audit", "alerts", "policies"] {
            std::fs::create_dir(root.join(part)).map_err(|error| failed(part, &error))?;
        }
        std::fs::write(root.join("pseudonym.key"), "a key of rehearsals alone: it protects nobody's number")
            .map_err(|error| failed("pseudonym key", &error))?;
        let mut agencies: BTreeSet<&str> = tables.iter().map(|table| table.name.agency.as_str()).collect();
        for share in set.agreements.iter().flat_map(|agreement| &agreement.shares) {
            agencies.insert(&share.table.agency);
            agencies.extend(share.disclose_keys_to.keys().map(String::as_str));
            agencies.extend(share.join_at_source_with.iter().map(String::as_str));
        }
        agencies.extend(set.registers.values().map(|register| register.table.agency.as_str()));
        for agency in &agencies {
            let own: Vec<&CaseTable> = tables.iter().filter(|table| table.name.agency == *agency).collect();
            write(&root.join(format!("{agency}.db")), &own).map_err(|error| failed(agency, &error))?;
        }
        let text = configuration(&agencies, tables);
        let config = Config::parse(&text, &root.join("wayleave.toml"))?;
        Ok(Self { config, _directory: directory })
    }
}

fn configuration(agencies: &BTreeSet<&str>, tables: &[CaseTable]) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let mut text =
        "policies = \"policies\"\n[audit]\ndirectory = \"audit\"\n[alerts]\ndirectory = \"alerts\"\n[pseudonyms]\nkey_file = \"pseudonym.key\"\n\
                    [limits]\nquery_memory = \"64MB\"\nprocess_memory = \"64MB\"\n"
            .to_owned();
    for agency in agencies {
        let _ = writeln!(
            text,
            "[agency.{}]\nconnector = \"sqlite\"\npath = {}",
            quoted(agency),
            quoted(&format!("{agency}.db"))
        );
        for table in tables.iter().filter(|table| table.name.agency == **agency) {
            let Some((column, format)) = &table.subject else { continue };
            let form = Form::NAMES.iter().find(|(_, form)| *form == format.form).map_or("compact", |(name, _)| name);
            let table_name = here(&table.name);
            let written = format!("{}.\"{}\"", table_name.schema, table_name.table.replace('"', "\"\""));
            let _ = writeln!(
                text,
                "[agency.{}.tables.{}]\nsubject = {{ column = {}, scheme = \"{}\", form = \"{form}\", assured = {} }}",
                quoted(agency),
                quoted(&written),
                quoted(column),
                format.scheme.name(),
                format.assured,
            );
        }
    }
    text
}

fn write(path: &Path, tables: &[&CaseTable]) -> Result<(), rusqlite::Error> {
    let identifier = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let connection = Connection::open(path)?;
    connection.execute_batch("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; BEGIN")?;
    for table in tables {
        let columns: Vec<String> =
            table.columns.iter().map(|(name, kind)| format!("{} {kind}", identifier(name))).collect();
        let name = identifier(&here(&table.name).table);
        connection.execute_batch(&format!("CREATE TABLE {name} ({})", columns.join(", ")))?;
        let places: Vec<&str> = table.columns.iter().map(|_| "?").collect();
        let mut insert = connection.prepare(&format!("INSERT INTO {name} VALUES ({})", places.join(", ")))?;
        for row in &table.rows {
            let values = table.columns.iter().map(|(name, _)| value(row.get(name)));
            insert.execute(rusqlite::params_from_iter(values))?;
        }
    }
    connection.execute_batch("COMMIT")
}

fn value(scalar: Option<&Scalar>) -> Value {
    match scalar {
        None => Value::Null,
        Some(Scalar::Integer(text)) => text.parse().map_or_else(|_| Value::Text(text.clone()), Value::Integer),
        Some(Scalar::Decimal(text)) => text.parse().map_or_else(|_| Value::Text(text.clone()), Value::Real),
        Some(Scalar::Boolean(flag)) => Value::Integer(i64::from(*flag)),
        Some(Scalar::Text(text) | Scalar::Moment(text)) => Value::Text(text.clone()),
    }
}
