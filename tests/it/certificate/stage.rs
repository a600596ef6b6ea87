//! A world made real: databases with its rows, configuration, policy files, and engines over them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rusqlite::types::Value as SqliteValue;
use tempfile::TempDir;
use wayleave::config::Config;
use wayleave::engine::Engine;
use wayleave::federate::PushdownLevel;
use wayleave::policy::Clock;
use wayleave::session::{Identity, Session};
use wayleave_connector_testkit::{PostgresClient, PostgresServer};
use wayleave_tds_server::{Options, Server as TdsServer};

use super::case::{Agency, Agreement, Cell, Connector, Register, Table, World};
use super::kind::{Kind, unhex};
use super::oracle::Oracle;
use super::release::{Reading, Released};
use crate::harness::{mariadb_of, servers, today};

/// The codes that stand for the one purpose and the one recipient of every world.
pub const PURPOSE_CODES: [&str; 2] = ["c1", "c2"];
pub const RECIPIENT_CODES: [&str; 1] = ["org"];

/// A world with everything that a query is answered by.
pub struct Stage {
    pub full: Engine,
    pub local: Engine,
    pub oracle: Oracle,
    /// The released rows once more in a database of each agency's kind, for its own answer. MariaDB and SQL Server give none:
    /// too much of SQL has another meaning there, or none.
    pub sources: BTreeMap<String, Source>,
    databases: Databases,
    _directory: TempDir,
}

pub enum Source {
    Sqlite(rusqlite::Connection),
    Postgres(PostgresClient),
}

impl Stage {
    /// # Errors
    /// What a database or the engine has against the world, in its own words.
    pub async fn build(world: &World, reading: Reading) -> Result<Self, String> {
        let memory = Path::new("/dev/shm");
        let mut builder = tempfile::Builder::new();
        builder.prefix("wayleave-certificate-");
        // Where there is a file system in memory, the audit log and SQLite wait for no disk.
        let directory = if memory.is_dir() { builder.tempdir_in(memory) } else { builder.tempdir() }.unwrap();
        let root = directory.path();
        let released = reading(world);
        let mut databases = Databases::default();
        let mut sources = BTreeMap::new();
        let mut config = String::new();
        for (position, agency) in world.agency.iter().enumerate() {
            let own: Vec<(usize, &Released)> =
                released.iter().enumerate().filter(|(_, table)| table.agency == agency.name).collect();
            let connection = match agency.connector {
                Connector::Sqlite => {
                    sources.insert(agency.name.clone(), make_files(root, agency, &own)?);
                    format!("connector = \"sqlite\"\npath = \"{}.db\"", agency.name)
                }
                Connector::Postgres => {
                    let (url, source) = databases.make(position % 2, agency, &own).await?;
                    sources.insert(agency.name.clone(), source);
                    format!("connector = \"postgres\"\nurl = \"{url}\"")
                }
                Connector::Mariadb => {
                    let url = databases.make_on_mariadb(agency).await?;
                    format!("connector = \"mariadb\"\nurl = \"{url}\"")
                }
                Connector::SqlServer => {
                    let url = databases.make_on_sql_server(agency)?;
                    format!("connector = \"sqlserver\"\nurl = \"{url}\"")
                }
            };
            writeln!(config, "[agency.{}]\n{connection}", agency.name).unwrap();
            for table in &agency.table {
                if let Some(subject) = &table.subject {
                    let name = format!("{}.{}", part(&agency.schema), part(&table.name));
                    writeln!(
                        config,
                        "[agency.{}.tables.{}]\nsubject = {{ column = {}, scheme = \"nhs-number\", form = \"{}\" }}",
                        agency.name,
                        toml_text(&name),
                        toml_text(&subject.column),
                        subject.form
                    )
                    .unwrap();
                }
            }
        }
        write_policies(&root.join("policies"), world);
        let mut engines = Vec::new();
        for (name, level) in [("full", PushdownLevel::Full), ("local", PushdownLevel::ReleasedRelations)] {
            std::fs::create_dir(root.join(name)).unwrap();
            let file = root.join(format!("{name}.toml"));
            let head = format!("policies = \"policies\"\n[audit]\ndirectory = \"{name}\"\n");
            std::fs::write(&file, head + &config).unwrap();
            let config = Config::load(&file).map_err(|error| error.to_string())?;
            let engine = Engine::with_clock(config, Clock::Fixed(today())).await.map_err(|error| error.to_string())?;
            engines.push(engine.with_pushdown(level));
        }
        let local = engines.pop().unwrap();
        let full = engines.pop().unwrap();
        let oracle = Oracle::new(world, released);
        Ok(Self { full, local, oracle, sources, databases, _directory: directory })
    }

    /// Ends everything that it opened.
    pub async fn end(mut self) {
        self.sources.clear();
        let databases = std::mem::take(&mut self.databases);
        drop(self);
        databases.remove().await;
    }
}

/// The one who asks in every world.
pub fn asker() -> Session {
    let identity = Identity::parse("ann@org/role").unwrap();
    Session::new(identity, "care").with_case("CASE-1").with_reason("certificate")
}

/// Databases that were made on servers.
#[derive(Default)]
struct Databases {
    made: Vec<(usize, String)>,
    /// As MariaDB quotes them.
    made_on_mariadb: Vec<String>,
    /// What removes a schema and its tables.
    made_on_sql_server: Vec<String>,
}

impl Databases {
    async fn make(
        &mut self,
        server: usize,
        agency: &Agency,
        released: &[(usize, &Released)],
    ) -> Result<(String, Source), String> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("certificate_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let running: &PostgresServer = &servers()[server];
        running.create_database(&name).await?;
        self.made.push((server, name.clone()));
        let client = running.connect(&name).await?;
        client.execute(&postgres_script(agency, released)).await?;
        Ok((running.url(&name), Source::Postgres(client)))
    }

    /// A database, and a login that sees no other.
    async fn make_on_mariadb(&mut self, agency: &Agency) -> Result<String, String> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let login = format!("certificate{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let server = mariadb_of("health");
        let database = format!("`{}`", agency.schema.replace('`', "``"));
        self.made_on_mariadb.push(database.clone());
        server
            .execute(
                "",
                &format!(
                    "CREATE DATABASE {database} CHARACTER SET utf8mb4; CREATE USER {login} IDENTIFIED BY 'password'; \
                     GRANT ALL ON {database}.* TO {login}"
                ),
            )
            .await?;
        server.connect(&agency.schema).await?.execute(&mariadb_script(agency)).await?;
        Ok(format!("mysql://{login}:password@127.0.0.1:{}", server.port()))
    }

    /// A schema in the one database that all worlds share.
    fn make_on_sql_server(&mut self, agency: &Agency) -> Result<String, String> {
        let schema = quoted(&agency.schema);
        let tables = agency.table.iter().map(|table| format!("DROP TABLE IF EXISTS {schema}.{};", quoted(&table.name)));
        self.made_on_sql_server.push(format!("{} DROP SCHEMA {schema}", tables.collect::<String>()));
        let server = sql_server();
        // It has to be the only statement of its batch.
        for batch in [format!("CREATE SCHEMA {schema}"), sql_server_script(agency)] {
            server.execute_ddl(&batch).map_err(|error| format!("{error:?}: {batch}"))?;
        }
        Ok(server.url())
    }

    async fn remove(self) {
        for batch in self.made_on_sql_server {
            sql_server().execute_ddl(&batch).unwrap();
        }
        for database in self.made_on_mariadb {
            let _ = mariadb_of("health").execute("", &format!("DROP DATABASE {database}")).await;
        }
        for (server, name) in self.made {
            // What is left over goes with the server's directory.
            let _ = servers()[server].execute("postgres", &format!("DROP DATABASE {name} WITH (FORCE)")).await;
        }
    }
}

fn sql_server() -> &'static TdsServer {
    // Never dropped: it ends when this process does.
    static SERVER: OnceLock<TdsServer> = OnceLock::new();
    SERVER.get_or_init(|| TdsServer::start(Options::default()).unwrap())
}

fn postgres_script(agency: &Agency, released: &[(usize, &Released)]) -> String {
    let mut sql = String::from("SET timezone TO 'UTC';");
    let schema = quoted(&agency.schema);
    if agency.schema != "public" {
        write!(sql, "CREATE SCHEMA {schema};").unwrap();
    }
    write!(
        sql,
        "SET search_path TO {schema}; CREATE COLLATION insensitive (provider = icu, locale = 'und-u-ks-level1', deterministic = false);"
    )
    .unwrap();
    for table in &agency.table {
        write!(sql, "{};", create_table(&quoted(&table.name), table, Connector::Postgres)).unwrap();
        let kinds: Vec<Kind> = table.columns.iter().map(|(name, _)| table.kind(name)).collect();
        let literal = |(cell, kind): (&Cell, &Kind)| match (cell.text(), kind) {
            (None, _) => "NULL".to_owned(),
            (Some(text), Kind::Bytes) => format!("'\\x{text}'"),
            (Some(text), Kind::TimestampZoned) => format!("'{text}+00'"),
            (Some(text), _) => format!("'{}'", text.replace('\'', "''")),
        };
        let rows = table.rows.iter().map(|row| row.iter().zip(&kinds).map(literal).collect::<Vec<_>>().join(", "));
        insert(&mut sql, &quoted(&table.name), rows);
    }
    sql.push_str("CREATE SCHEMA released_rows;");
    for (position, table) in released {
        let name = source_name(*position);
        let column = |(name, data_type): &(String, arrow::datatypes::DataType)| {
            use arrow::datatypes::DataType;
            let declared = match data_type {
                DataType::Boolean => "boolean".to_owned(),
                DataType::Int16 => "smallint".to_owned(),
                DataType::Int32 => "integer".to_owned(),
                DataType::Int64 => "bigint".to_owned(),
                DataType::Decimal128(precision, scale) => format!("numeric({precision},{scale})"),
                DataType::Float32 => "real".to_owned(),
                DataType::Float64 => "double precision".to_owned(),
                DataType::Date32 => "date".to_owned(),
                DataType::Timestamp(_, None) => "timestamp".to_owned(),
                DataType::Timestamp(_, Some(_)) => "timestamptz".to_owned(),
                DataType::Binary => "bytea".to_owned(),
                _ => "text COLLATE \"C\"".to_owned(),
            };
            format!("{} {declared}", quoted(name))
        };
        let columns: Vec<String> = table.columns.iter().map(column).collect();
        write!(sql, "CREATE TABLE released_rows.{name} ({});", columns.join(", ")).unwrap();
        let literal = |(value, (_, data_type)): (&Option<String>, &(String, arrow::datatypes::DataType))| match value {
            None => "NULL".to_owned(),
            Some(text) if *data_type == arrow::datatypes::DataType::Binary => format!("'\\x{text}'"),
            Some(text) => format!("'{}'", text.replace('\'', "''")),
        };
        let rows =
            table.rows.iter().map(|row| row.iter().zip(&table.columns).map(literal).collect::<Vec<_>>().join(", "));
        insert(&mut sql, &format!("released_rows.{name}"), rows);
    }
    sql.push_str("SET search_path TO released_rows; ANALYZE;");
    sql
}

fn mariadb_script(agency: &Agency) -> String {
    let mut sql = String::from(
        "SET NAMES utf8mb4; SET time_zone = '+00:00'; SET sql_mode = 'STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES,ANSI_QUOTES';",
    );
    for table in &agency.table {
        write!(sql, "{};", create_table(&quoted(&table.name), table, Connector::Mariadb)).unwrap();
        let kinds: Vec<Kind> = table.columns.iter().map(|(name, _)| table.kind(name)).collect();
        let literal = |(cell, kind): (&Cell, &Kind)| match (cell.text(), kind) {
            (None, _) => "NULL".to_owned(),
            (Some(text), Kind::Boolean) => text.to_owned(),
            (Some(text), Kind::Bytes) => format!("X'{text}'"),
            (Some(text), _) => format!("'{}'", text.replace('\'', "''")),
        };
        let rows = table.rows.iter().map(|row| row.iter().zip(&kinds).map(literal).collect::<Vec<_>>().join(", "));
        insert(&mut sql, &quoted(&table.name), rows);
        write!(sql, "ANALYZE TABLE {};", quoted(&table.name)).unwrap();
    }
    sql
}

fn sql_server_script(agency: &Agency) -> String {
    let mut sql = String::new();
    for table in &agency.table {
        let name = format!("{}.{}", quoted(&agency.schema), quoted(&table.name));
        write!(sql, "{};", create_table(&name, table, Connector::SqlServer)).unwrap();
        let kinds: Vec<Kind> = table.columns.iter().map(|(name, _)| table.kind(name)).collect();
        let literal = |(cell, kind): (&Cell, &Kind)| match (cell.text(), kind) {
            (None, _) => "NULL".to_owned(),
            (Some(text), Kind::Bytes) => format!("0x{text}"),
            (Some(text), Kind::TimestampZoned) => format!("N'{text}+00:00'"),
            (Some(text), _) => format!("N'{}'", text.replace('\'', "''")),
        };
        let rows = table.rows.iter().map(|row| row.iter().zip(&kinds).map(literal).collect::<Vec<_>>().join(", "));
        insert(&mut sql, &name, rows);
    }
    sql
}

fn insert(sql: &mut String, table: &str, rows: impl Iterator<Item = String>) {
    let rows: Vec<String> = rows.map(|row| format!("({row})")).collect();
    if !rows.is_empty() {
        write!(sql, "INSERT INTO {table} VALUES {};", rows.join(", ")).unwrap();
    }
}

fn create_table(name: &str, table: &Table, connector: Connector) -> String {
    let column = |(name, kind): &(String, String)| {
        let mut column = format!("{} {}", quoted(name), Kind::parse(kind).declared(connector));
        for (word, constraint) in [(" not null", " NOT NULL"), (" unique", " UNIQUE")] {
            if kind.contains(word) {
                column.push_str(constraint);
            }
        }
        column
    };
    let columns: Vec<String> = table.columns.iter().map(column).collect();
    let mut sql = format!("CREATE TABLE {name} ({})", columns.join(", "));
    for (position, column) in table.indexes.iter().enumerate() {
        let index = quoted(&format!("{} by {position}", table.name));
        write!(sql, "; CREATE INDEX {index} ON {name} ({})", quoted(column)).unwrap();
    }
    sql
}

/// The agency's file, and one with the released rows.
fn make_files(root: &Path, agency: &Agency, released: &[(usize, &Released)]) -> Result<Source, String> {
    let told = |error: rusqlite::Error| error.to_string();
    let file = rusqlite::Connection::open(root.join(format!("{}.db", agency.name))).unwrap();
    file.execute_batch("PRAGMA synchronous = OFF; BEGIN").map_err(told)?;
    for table in &agency.table {
        file.execute_batch(&create_table(&quoted(&table.name), table, Connector::Sqlite)).map_err(told)?;
        let kinds: Vec<Kind> = table.columns.iter().map(|(name, _)| table.kind(name)).collect();
        for row in &table.rows {
            let values = row.iter().zip(&kinds).map(|(cell, kind)| cell.text().map(|text| sqlite_value(*kind, text)));
            insert_row(&file, &quoted(&table.name), values).map_err(told)?;
        }
    }
    file.execute_batch("COMMIT; ANALYZE").map_err(told)?;
    let source = rusqlite::Connection::open_in_memory().unwrap();
    source.busy_timeout(Duration::from_secs(5)).unwrap();
    source.execute_batch("PRAGMA case_sensitive_like = ON").map_err(told)?;
    for (position, table) in released {
        use arrow::datatypes::DataType;
        let name = source_name(*position);
        // No declared type: a value keeps the one that it comes with.
        let columns: Vec<String> = table.columns.iter().map(|(name, _)| quoted(name)).collect();
        source.execute_batch(&format!("CREATE TABLE {name} ({})", columns.join(", "))).map_err(told)?;
        for row in &table.rows {
            let values = row.iter().zip(&table.columns).map(|(value, (_, data_type))| {
                value.as_ref().map(|text| match data_type {
                    DataType::Boolean => SqliteValue::Integer((text == "true").into()),
                    integer if integer.is_integer() => SqliteValue::Integer(text.parse().unwrap()),
                    _ => SqliteValue::Text(text.clone()),
                })
            });
            insert_row(&source, &name, values).map_err(told)?;
        }
    }
    Ok(Source::Sqlite(source))
}

fn insert_row(
    file: &rusqlite::Connection,
    table: &str,
    values: impl Iterator<Item = Option<SqliteValue>>,
) -> rusqlite::Result<()> {
    let values: Vec<SqliteValue> = values.map(|value| value.unwrap_or(SqliteValue::Null)).collect();
    let places = vec!["?"; values.len()].join(", ");
    file.prepare_cached(&format!("INSERT INTO {table} VALUES ({places})"))?
        .execute(rusqlite::params_from_iter(values))
        .map(|_| ())
}

fn sqlite_value(kind: Kind, text: &str) -> SqliteValue {
    match kind {
        Kind::Boolean => SqliteValue::Integer((text == "true").into()),
        Kind::Int16 | Kind::Int32 | Kind::Int64 => SqliteValue::Integer(text.parse().unwrap()),
        Kind::Float32 | Kind::Float64 => SqliteValue::Real(text.parse().unwrap()),
        Kind::Bytes => SqliteValue::Blob(unhex(text)),
        _ => SqliteValue::Text(text.to_owned()),
    }
}

/// The table of released rows in the source itself.
pub fn source_name(position: usize) -> String {
    format!("released_{position}")
}

fn write_policies(directory: &Path, world: &World) {
    std::fs::create_dir_all(directory.join("agreements")).unwrap();
    std::fs::write(directory.join("purposes.toml"), "[purpose.care]\ntitle = \"Care\"\n").unwrap();
    if !world.register.is_empty() {
        let registers: String = world.register.iter().map(|register| register_text(world, register)).collect();
        std::fs::write(directory.join("registers.toml"), registers).unwrap();
    }
    for agreement in &world.agreement {
        let file = directory.join(format!("agreements/{}.toml", agreement.id));
        std::fs::write(file, agreement_text(world, agreement)).unwrap();
    }
}

fn register_text(world: &World, register: &Register) -> String {
    let schema = &world.agency(&register.agency).schema;
    let mut text = format!(
        "[register.{}]\ntable = {}\nkind = \"{}\"\nsubject = {{ column = {}, scheme = \"nhs-number\", form = \"{}\" }}\n",
        register.name,
        toml_text(&format!("{}.{}.{}", register.agency, part(schema), part(&register.table))),
        register.kind,
        toml_text(&register.subject.column),
        register.subject.form
    );
    if let Some(column) = &register.purpose {
        writeln!(text, "purpose = {{ column = {}, codes = {{ care = {PURPOSE_CODES:?} }} }}", toml_text(column))
            .unwrap();
    }
    if let Some(column) = &register.recipient {
        writeln!(text, "recipient = {{ column = {} }}", toml_text(column)).unwrap();
    }
    if let Some(column) = &register.decision {
        writeln!(text, "decision = {{ column = {}, permit = [\"yes\"], deny = [\"no\"] }}", toml_text(column)).unwrap();
    }
    for (key, column) in [("from", &register.from), ("until", &register.until)] {
        if let Some(column) = column {
            writeln!(text, "{key} = {}", toml_text(column)).unwrap();
        }
    }
    text
}

fn agreement_text(world: &World, agreement: &Agreement) -> String {
    let consent = match &agreement.consent {
        None => "mode = \"not-required\"\n[require]\ncase_reference = true\nreason = true\n".to_owned(),
        Some(consent) => format!(
            "mode = \"{}\"\nregisters = {:?}\nno_information = \"{}\"\n",
            if consent.no_information == "deny" { "opt-in" } else { "opt-out" },
            consent.registers,
            consent.no_information
        ),
    };
    let mut text = format!(
        "[agreement]\nid = \"{}\"\ntitle = \"Care\"\nowner = \"dpo@org.example\"\nstarts = 2026-01-01\n\
         ends = 2027-01-01\nreview_by = 2026-12-31\n[basis]\npurpose = \"care\"\narticle_6 = \"e\"\n\
         [[recipient]]\norganisation = \"org\"\nroles = [\"role\"]\n[consent]\n{consent}",
        agreement.id
    );
    for share in &agreement.share {
        let schema = &world.agency(&share.agency).schema;
        let columns: Vec<String> = share.columns.iter().map(|column| toml_text(column)).collect();
        writeln!(
            text,
            "[[share]]\ntable = {}\ncolumns = [{}]",
            toml_text(&format!("{}.{}.{}", share.agency, part(schema), part(&share.table))),
            columns.join(", ")
        )
        .unwrap();
        for (column, mask) in &share.mask {
            let rule = match mask.split_once(' ').unwrap_or((mask, "")) {
                ("last", count) => format!("{{ last = {count} }}"),
                ("constant", constant) => format!("{{ constant = {} }}", toml_text(constant)),
                (word, _) => toml_text(word),
            };
            writeln!(text, "mask.{} = {rule}", toml_text(column)).unwrap();
        }
        if let Some(rows) = &share.rows {
            writeln!(text, "rows = {}", toml_text(rows)).unwrap();
        }
        let plain = share.disclose_keys_to.iter().map(|agency| (agency, "plain"));
        let disclosed = plain.chain(share.disclose_pseudonyms_to.iter().map(|agency| (agency, "pseudonymised")));
        for (agency, form) in disclosed {
            writeln!(text, "disclose_keys_to.{} = \"{form}\"", toml_text(agency)).unwrap();
        }
    }
    text
}

/// A part of a table's name as policy files write it.
fn part(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn toml_text(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control.is_control() => write!(quoted, "\\u{:04X}", u32::from(control)).unwrap(),
            plain => quoted.push(plain),
        }
    }
    quoted + "\""
}

pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
