//! The test world: four agencies on one kind of database, seeded from `tests/seed`, under the test policies, on a fixed day.
//!
//! Each world has databases and files of its own, so that a test may write to an agency or edit its policies. PostgreSQL
//! servers are shared by the whole process: server 1 has health and police, server 2 social care and housing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::NaiveDate;
use futures::TryStreamExt;
use tempfile::TempDir;
use wayleave::config::Config;
use wayleave::engine::{Answer, Engine, FragmentReport};
use wayleave::error::Error;
use wayleave::federate::PushdownLevel;
use wayleave::policy::Clock;
use wayleave::session::{BeyondConsent, Identity, Session};
use wayleave_connector_testkit::{MariadbServer, PostgresServer};
use wayleave_tds_server::{Options, Server as TdsServer};

use crate::dropped;

/// Every agency, and the server that keeps it where the backend is PostgreSQL.
const AGENCIES: [(&str, usize); 4] = [("health", 0), ("social", 1), ("housing", 1), ("police", 0)];

/// What each database's own statistics say of its tables: the sizes of a small authority, so that the planner chooses as
/// it would there. The tables themselves have a few dozen rows.
const TABLE_ROWS: [(&str, &str, u32); 12] = [
    ("health", "patients", 20_000),
    ("health", "encounters", 400_000),
    ("health", "consents", 20_000),
    ("social", "clients", 2_000),
    ("social", "packages", 50_000),
    ("social", "assessments", 60_000),
    ("housing", "tenants", 30_000),
    ("housing", "tenancies", 90_000),
    ("housing", "study_members", 500),
    ("police", "persons", 10_000),
    ("police", "incidents", 200_000),
    ("police", "dissents", 500),
];

/// What the agencies' databases are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// A file an agency.
    Sqlite,
    /// Two servers, with two agencies each.
    Postgres,
    /// A server an agency, since a database is a schema there. All worlds share them: for tests that change nothing.
    Mariadb,
    /// A server an agency, as with MariaDB, which speaks TDS and runs Transact-SQL.
    SqlServer,
    /// A folder an agency: Parquet, CSV and JSON lines. Its tables are in the schema `files`, not in `main`.
    Files,
}

impl Backend {
    /// Those on which worlds do not see each other.
    pub const ALL: [Self; 2] = [Self::Sqlite, Self::Postgres];

    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Mariadb => "mariadb",
            Self::SqlServer => "sqlserver",
            Self::Files => "files",
        }
    }
}

/// Agencies, policies and an engine over them. Dropping it removes the databases.
pub struct World {
    pub engine: Arc<Engine>,
    databases: Databases,
    directory: TempDir,
}

/// The day on which every test runs.
pub fn today() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 6, 1).unwrap()
}

pub fn seed_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/seed")
}

impl World {
    pub async fn new(backend: Backend) -> Self {
        Self::with_policies(backend, |_| {}).await
    }

    /// A world whose copy of the policy directory is edited before the engine reads it; `wayleave.toml` stands beside that
    /// directory and may be edited as well.
    pub async fn with_policies(backend: Backend, edit: impl FnOnce(&Path)) -> Self {
        Self::with_policies_at(backend, PushdownLevel::Full, edit).await
    }

    pub async fn at_level(backend: Backend, level: PushdownLevel) -> Self {
        Self::with_policies_at(backend, level, |_| {}).await
    }

    pub async fn with_policies_at(backend: Backend, level: PushdownLevel, edit: impl FnOnce(&Path)) -> Self {
        let directory = tempfile::Builder::new().prefix("wayleave-world-").tempdir().unwrap();
        let root = directory.path();
        copy_directory(&seed_directory().join("policies"), &root.join("policies"));
        for directory in ["audit", "alerts"] {
            std::fs::create_dir(root.join(directory)).unwrap();
        }
        std::fs::write(root.join("pseudonym.key"), "a key of the tests, and of nothing else").unwrap();
        let databases = match backend {
            Backend::Sqlite => Databases::Files(seed_files(root)),
            Backend::Postgres => Databases::OnServers(seed_servers().await),
            Backend::Mariadb => {
                seed_mariadb().await;
                Databases::OnMariadb
            }
            Backend::SqlServer => Databases::OnSqlServers,
            Backend::Files => {
                for (agency, _) in AGENCIES {
                    dropped::write(&root.join(agency), &seed(agency));
                }
                rewrite(&root.join("policies"), dropped::in_files);
                Databases::Folders
            }
        };
        let mut config = read(&seed_directory().join("wayleave.toml"));
        if backend == Backend::Files {
            config = dropped::in_files(&config);
        }
        for (agency, _) in AGENCIES {
            config = config.replace(&format!("@{agency}@"), &databases.connection(agency));
        }
        std::fs::write(root.join("wayleave.toml"), config).unwrap();
        edit(&root.join("policies"));
        let engine = open(root, level)
            .await
            .unwrap_or_else(|error| panic!("the world does not open: {error} {:?}", error.detail()));
        Self { engine: Arc::new(engine), databases, directory }
    }

    /// Opens another engine over the same agencies, policies and audit log, as they are by now.
    pub async fn reopen(&self) -> Result<Engine, Error> {
        open(self.directory.path(), PushdownLevel::Full).await
    }

    /// A session of `tests/seed/sessions.toml`.
    pub fn session(&self, name: &str) -> Session {
        session(name)
    }

    /// The answer's rows in the order in which they come, values as text, NULL as `NULL`.
    pub async fn rows(&self, session: &Session, sql: &str) -> Result<Vec<Vec<String>>, Error> {
        Ok(self.answer(session, sql).await?.0)
    }

    /// The answer's rows, its notices, and what each agency received.
    pub async fn answer(
        &self,
        session: &Session,
        sql: &str,
    ) -> Result<(Vec<Vec<String>>, Vec<String>, Vec<FragmentReport>), Error> {
        let answer = self.engine.query(session, sql).await?;
        let notices = answer.notices.iter().map(ToString::to_string).collect();
        let fragments = answer.fragments.clone();
        Ok((rows_of(answer).await?, notices, fragments))
    }

    /// Runs statements as the agency's own administrator, committed.
    pub async fn agency_execute(&self, agency: &str, sql: &str) {
        match &self.databases {
            Databases::Files(directory) => {
                let connection = rusqlite::Connection::open(directory.join(format!("{agency}.db"))).unwrap();
                connection.busy_timeout(Duration::from_secs(10)).unwrap();
                connection.execute_batch(sql).unwrap();
            }
            Databases::OnServers(suffix) => {
                let database = format!("{agency}_{suffix}");
                let sql = format!("SET search_path TO main; {sql}");
                server_of(agency).execute(&database, &sql).await.unwrap();
            }
            Databases::OnMariadb | Databases::OnSqlServers => panic!("all worlds share this database"),
            Databases::Folders => panic!("files run no statements"),
        }
    }

    /// One value of an agency's database, read past Wayleave; `None` for NULL or no row.
    pub async fn agency_value(&self, agency: &str, sql: &str) -> Option<String> {
        match &self.databases {
            Databases::Files(directory) => {
                let connection = rusqlite::Connection::open(directory.join(format!("{agency}.db"))).unwrap();
                let value = connection.query_row(sql, [], |row| row.get::<_, rusqlite::types::Value>(0)).unwrap();
                match value {
                    rusqlite::types::Value::Null => None,
                    rusqlite::types::Value::Integer(number) => Some(number.to_string()),
                    rusqlite::types::Value::Real(number) => Some(number.to_string()),
                    rusqlite::types::Value::Text(text) => Some(text),
                    rusqlite::types::Value::Blob(_) => panic!("no test asks for a blob"),
                }
            }
            Databases::OnServers(suffix) => {
                server_of(agency).query_text(&format!("{agency}_{suffix}"), sql).await.unwrap()
            }
            Databases::OnMariadb => mariadb_of(agency).query_text("main", sql).await.unwrap(),
            Databases::OnSqlServers | Databases::Folders => panic!("no test asks these"),
        }
    }

    /// Where the agency's database is: the file for SQLite, the URL for PostgreSQL.
    pub fn agency_location(&self, agency: &str) -> String {
        match &self.databases {
            Databases::Files(directory) => directory.join(format!("{agency}.db")).display().to_string(),
            Databases::OnServers(suffix) => server_of(agency).url(&format!("{agency}_{suffix}")),
            Databases::OnMariadb => mariadb_of(agency).url("main"),
            Databases::OnSqlServers => sql_server_of(agency).url(),
            Databases::Folders => self.directory.path().join(agency).display().to_string(),
        }
    }

    pub fn audit_directory(&self) -> PathBuf {
        self.directory.path().join("audit")
    }

    /// The directory of `wayleave.toml`, the policies and the audit log.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}

async fn open(root: &Path, level: PushdownLevel) -> Result<Engine, Error> {
    let config = Config::load(&root.join("wayleave.toml"))?;
    Ok(Engine::with_clock(config, Clock::Fixed(today())).await?.with_pushdown(level))
}

/// Every session of `tests/seed/sessions.toml`, by name.
pub fn sessions() -> BTreeMap<String, Session> {
    let text = read(&seed_directory().join("sessions.toml"));
    let table: toml::Table = text.parse().unwrap();
    let session = |(name, entry): (String, toml::Value)| {
        let field = |key: &str| entry.get(key).map(|value| value.as_str().unwrap().to_owned());
        let identity = Identity::parse(&field("as").unwrap()).unwrap();
        let mut session = Session::new(identity, field("purpose").unwrap());
        session.case_reference = field("case");
        session.reason = field("reason");
        session.beyond_consent = field("beyond_consent").map(|how| {
            let way = BeyondConsent::WORDS.iter().find(|(word, _)| *word == how);
            way.unwrap_or_else(|| panic!("`{how}` is no way past consent")).1()
        });
        (name, session)
    };
    table.into_iter().map(session).collect()
}

pub fn session(name: &str) -> Session {
    sessions().remove(name).unwrap_or_else(|| panic!("sessions.toml has no `{name}`"))
}

/// Reads an answer to its end.
pub async fn rows_of(answer: Answer) -> Result<Vec<Vec<String>>, Error> {
    let batches: Vec<RecordBatch> = answer.batches.try_collect().await?;
    Ok(text_rows(&batches))
}

/// Rows as text, NULL as `NULL`.
pub fn text_rows(batches: &[RecordBatch]) -> Vec<Vec<String>> {
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<ArrayFormatter<'_>> =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
        rows.extend((0..batch.num_rows()).map(|row| columns.iter().map(|c| c.value(row).to_string()).collect()));
    }
    rows
}

enum Databases {
    /// In this directory, `<agency>.db` each.
    Files(PathBuf),
    /// `<agency>_<suffix>` each.
    OnServers(u32),
    /// `main` on a server of its own each.
    OnMariadb,
    /// The schema `main` on a server of its own each.
    OnSqlServers,
    /// A folder beside `wayleave.toml` each.
    Folders,
}

impl Databases {
    /// The lines that `[agency.…]` has for it.
    fn connection(&self, agency: &str) -> String {
        match self {
            Self::Files(_) => format!("connector = \"sqlite\"\npath = \"{agency}.db\""),
            Self::OnServers(suffix) => {
                let url = server_of(agency).url(&format!("{agency}_{suffix}"));
                format!("connector = \"postgres\"\nurl = \"{url}\"")
            }
            Self::OnMariadb => format!("connector = \"mariadb\"\nurl = \"{}\"", mariadb_of(agency).url("main")),
            Self::OnSqlServers => format!("connector = \"sqlserver\"\nurl = \"{}\"", sql_server_of(agency).url()),
            Self::Folders => format!("connector = \"files\"\npath = \"{agency}\""),
        }
    }
}

impl Drop for Databases {
    fn drop(&mut self) {
        let Self::OnServers(suffix) = *self else { return };
        // A runtime of its own: a test's may be the one that is being dropped.
        let removal = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                for (agency, server) in AGENCIES {
                    let sql = format!("DROP DATABASE {agency}_{suffix} WITH (FORCE)");
                    // What is left over goes with the server's directory.
                    let _ = servers()[server].execute("postgres", &sql).await;
                }
            });
        });
        let _ = removal.join();
    }
}

fn seed_files(root: &Path) -> PathBuf {
    for (agency, _) in AGENCIES {
        let connection = rusqlite::Connection::open(root.join(format!("{agency}.db"))).unwrap();
        connection.execute_batch("PRAGMA synchronous = OFF").unwrap();
        connection.execute_batch(&seed(agency)).unwrap_or_else(|error| panic!("seed of `{agency}`: {error}"));
        connection.execute_batch("ANALYZE; DELETE FROM sqlite_stat1").unwrap();
        for (table, rows) in sizes(agency) {
            connection.execute("INSERT INTO sqlite_stat1 VALUES (?1, NULL, ?2)", (table, rows.to_string())).unwrap();
        }
    }
    root.to_owned()
}

/// Copies of the four seeded template databases; the number that ends their names.
async fn seed_servers() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    static TEMPLATES: tokio::sync::OnceCell<()> = tokio::sync::OnceCell::const_new();
    TEMPLATES
        .get_or_init(|| async {
            for (agency, _) in AGENCIES {
                let template = format!("{agency}_template");
                let server = server_of(agency);
                server.create_database(&template).await.unwrap();
                let sizes: String = sizes(agency)
                    .map(|(table, rows)| {
                        format!("UPDATE pg_class SET reltuples = {rows} WHERE oid = 'main.{table}'::regclass;")
                    })
                    .collect();
                let sql = format!("CREATE SCHEMA main; SET search_path TO main; {}; ANALYZE; {sizes}", seed(agency));
                server.execute(&template, &sql).await.unwrap_or_else(|error| panic!("seed of `{agency}`: {error}"));
            }
        })
        .await;
    let suffix = NEXT.fetch_add(1, Ordering::Relaxed);
    for (agency, _) in AGENCIES {
        let sql = format!("CREATE DATABASE {agency}_{suffix} TEMPLATE {agency}_template");
        server_of(agency).execute("postgres", &sql).await.unwrap();
    }
    suffix
}

/// Seeds the servers once.
async fn seed_mariadb() {
    static SEEDED: tokio::sync::OnceCell<()> = tokio::sync::OnceCell::const_new();
    SEEDED
        .get_or_init(|| async {
            for (agency, _) in AGENCIES {
                let server = mariadb_of(agency);
                server.create_database("main").await.unwrap();
                // Texts have a length in practice, a TIMESTAMP has a zone, and one name is a word of the language.
                let seed = seed(agency)
                    .replace(" TEXT", " VARCHAR(100)")
                    .replace(" TIMESTAMP", " DATETIME")
                    .replace("sensitive BOOLEAN", "`sensitive` BOOLEAN");
                let sizes: String = sizes(agency)
                    .map(|(table, rows)| {
                        format!(
                            "UPDATE mysql.innodb_table_stats SET n_rows = {rows} WHERE database_name = 'main' AND \
                             table_name = '{table}'; FLUSH TABLES main.{table}; "
                        )
                    })
                    .collect();
                let sql = format!("SET NAMES utf8mb4; SET sql_mode = 'STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES'; {seed}");
                server.execute("main", &sql).await.unwrap_or_else(|error| panic!("seed of `{agency}`: {error}"));
                server.execute("main", &sizes).await.unwrap_or_else(|error| panic!("sizes of `{agency}`: {error}"));
            }
        })
        .await;
}

pub fn mariadb_of(agency: &str) -> &'static MariadbServer {
    // Never dropped: each server ends when this process does.
    static SERVERS: OnceLock<Vec<MariadbServer>> = OnceLock::new();
    let servers = SERVERS.get_or_init(|| {
        let starting = AGENCIES.map(|_| std::thread::spawn(MariadbServer::start));
        let started = starting.into_iter().map(|server| server.join().unwrap());
        started
            .map(|server| server.unwrap_or_else(|error| panic!("{error}\ntests/run installs what the tests need")))
            .collect()
    });
    let place = AGENCIES.iter().position(|(name, _)| *name == agency);
    &servers[place.unwrap_or_else(|| panic!("no agency {agency}"))]
}

/// A seeded server.
fn sql_server_of(agency: &str) -> &'static TdsServer {
    // Never dropped: each server ends when this process does.
    static SERVERS: OnceLock<Vec<TdsServer>> = OnceLock::new();
    let servers = SERVERS.get_or_init(|| {
        let started = AGENCIES.map(|(agency, _)| {
            let server = TdsServer::start(Options::default()).unwrap();
            for batch in ["CREATE SCHEMA main", &transact_sql(&seed(agency))] {
                server.execute_ddl(batch).unwrap_or_else(|error| panic!("seed of `{agency}`: {error:?}"));
            }
            for (table, rows) in sizes(agency) {
                server.tell_rows("main", table, rows).unwrap();
            }
            server
        });
        started.into()
    });
    let place = AGENCIES.iter().position(|(name, _)| *name == agency);
    &servers[place.unwrap_or_else(|| panic!("no agency {agency}"))]
}

/// A seed in Transact-SQL, which has its own types, no truth values, and texts beyond one code page only as `N'…'`.
fn transact_sql(seed: &str) -> String {
    let code: Vec<&str> = seed.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
    let code = code.join("\n");
    let mut sql = String::with_capacity(code.len());
    for (place, part) in code.split('\'').enumerate() {
        if place % 2 == 1 {
            // A doubled quote inside a text ends one part and begins the next with nothing between them.
            let begins = !sql.ends_with('\'');
            sql.push_str(if begins { "N'" } else { "'" });
            sql.push_str(part);
            sql.push('\'');
            continue;
        }
        let words = [
            (" TEXT", " nvarchar(100)"),
            (" TIMESTAMP", " datetime2(6)"),
            (" BOOLEAN", " bit"),
            ("TRUE", "1"),
            ("FALSE", "0"),
            (" ON ", " ON main."),
        ];
        sql.push_str(&words.iter().fold(part.to_owned(), |part, (from, to)| part.replace(from, to)));
    }
    sql
}

pub fn servers() -> &'static [PostgresServer; 2] {
    // Never dropped: each server ends when this process does.
    static SERVERS: OnceLock<[PostgresServer; 2]> = OnceLock::new();
    SERVERS.get_or_init(|| {
        let second = std::thread::spawn(PostgresServer::start);
        let first = PostgresServer::start();
        [first, second.join().unwrap()]
            .map(|server| server.unwrap_or_else(|error| panic!("{error}\ntests/run installs what the tests need")))
    })
}

fn server_of(agency: &str) -> &'static PostgresServer {
    let (_, server) = AGENCIES.iter().find(|(name, _)| *name == agency).unwrap_or_else(|| panic!("no agency {agency}"));
    &servers()[*server]
}

fn sizes(agency: &str) -> impl Iterator<Item = (&'static str, u32)> {
    TABLE_ROWS.into_iter().filter(move |(owner, ..)| *owner == agency).map(|(_, table, rows)| (table, rows))
}

fn seed(agency: &str) -> String {
    read(&seed_directory().join(format!("{agency}.sql")))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Rewrites every file of a directory.
fn rewrite(directory: &Path, change: fn(&str) -> String) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rewrite(&path, change);
        } else {
            std::fs::write(&path, change(&read(&path))).unwrap();
        }
    }
}

fn copy_directory(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_directory(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn both_worlds_open_and_answer() {
    for backend in Backend::ALL {
        let world = World::new(backend).await;
        let sql = "SELECT name FROM health.main.patients WHERE nhs_number = '9050000053'";
        let rows = world.rows(&world.session("social_worker"), sql).await.unwrap();
        assert_eq!(rows, [["O'Brien, Siân"]], "{backend:?}");
    }
}

#[tokio::test]
async fn worlds_do_not_see_each_other() {
    for backend in Backend::ALL {
        let (first, second) = (World::new(backend).await, World::new(backend).await);
        first.agency_execute("social", "UPDATE clients SET full_name = 'changed' WHERE client_id = 'C01'").await;
        let sql = "SELECT full_name FROM social.main.clients WHERE client_id = 'C01'";
        let session = first.session("social_worker");
        assert_eq!(first.rows(&session, sql).await.unwrap(), [["changed"]], "{backend:?}");
        assert_eq!(second.rows(&session, sql).await.unwrap(), [["Anne Smith"]], "{backend:?}");
        let value = first.agency_value("social", "SELECT full_name FROM main.clients WHERE client_id = 'C01'").await;
        assert_eq!(value.as_deref(), Some("changed"), "{backend:?}");
    }
}
