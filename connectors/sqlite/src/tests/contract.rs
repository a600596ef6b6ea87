//! The contract suite over SQLite files.

use std::sync::Mutex;

use wayleave_connector_api::{Collation, Connector};
use wayleave_connector_testkit::contract::{
    Cannot, Database as Agency, Declared, Fixture, Kind, LONG, MONEY, Order, Settings, TableSpec, VERY_LONG,
};

use super::*;
use crate::SqliteDialect;
use crate::pool::Pool;

struct Sqlite;

struct File {
    directory: TempDir,
    pools: Mutex<Vec<Arc<Pool>>>,
}

impl File {
    fn path(&self) -> PathBuf {
        self.directory.path().join("agency.db")
    }

    fn writer(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }
}

const FLOATS: &str = "SQLite and we round and order floats in ways that may differ";
const DECIMALS: &str = "SQLite keeps decimals as binary floats";
const NOT_A_NUMBER: &str = "SQLite has no value that is not a number";
const OVERFLOW: &str = "the result could be too large for its type, on a hidden row too";
const DATES: &str = "SQLite keeps dates as text and does not check their shape";

#[async_trait::async_trait]
impl Fixture for Sqlite {
    fn name(&self) -> &'static str {
        "SQLite"
    }

    fn declare(&self, kind: Kind) -> Option<Declared> {
        let declared = |sql| Some(Declared::new(kind, sql));
        match kind {
            Kind::Boolean => declared("BOOLEAN"),
            Kind::Int16 | Kind::Int32 | Kind::Int64 => Some(Declared::new(kind, "INTEGER").arriving(DataType::Int64)),
            Kind::Float32 => None,
            Kind::Float64 => declared("DOUBLE PRECISION"),
            MONEY => declared("DECIMAL(10,2)"),
            LONG => declared("NUMERIC(38, 10)"),
            VERY_LONG => declared("DECIMAL(50,5)"),
            Kind::Decimal { .. } => None,
            Kind::Text(Order::Bytes) => declared("TEXT"),
            Kind::Text(Order::Language) => None,
            Kind::Text(Order::Loose) => Some(Declared::new(kind, "TEXT COLLATE NOCASE").collated(Collation::Loose)),
            Kind::Binary => declared("BLOB"),
            Kind::Date => declared("DATE"),
            Kind::Time => declared("TIME"),
            Kind::Timestamp => declared("DATETIME"),
            Kind::TimestampZoned => declared("TIMESTAMP WITH TIME ZONE"),
        }
    }

    fn cannot(&self) -> &'static [Cannot] {
        &[
            Cannot { what: &["type float32"], why: "SQLite has floats of 64 bits only" },
            Cannot { what: &["type text by language"], why: "SQLite compares by bytes, ASCII case or trailing blanks" },
            Cannot { what: &["NaN"], why: "SQLite stores it as NULL" },
            Cannot { what: &["negative zero"], why: "SQLite stores it as the integer 0" },
            Cannot { what: &["more than 15 digits of a decimal"], why: "SQLite stores decimals as binary floats" },
            Cannot { what: &["* over float64"], why: FLOATS },
            Cannot { what: &["equal over float64", "in list over float64", "order over float64"], why: NOT_A_NUMBER },
            Cannot { what: &["add over int*", "subtract over int*", "multiply over int*"], why: OVERFLOW },
            Cannot { what: &["* over decimal*"], why: DECIMALS },
            Cannot { what: &["* over date", "* over time*"], why: DATES },
            Cannot { what: &["grouping sets"], why: "the dialect groups by one set after the other" },
            Cannot {
                what: &["lost connection", "unreachable server", "wrong login", "encryption"],
                why: "a file is reached over no network, and has no login",
            },
        ]
    }

    async fn database(&self, _name: &str, tables: &[TableSpec]) -> Box<dyn Agency> {
        let file = File { directory: tempfile::tempdir().unwrap(), pools: Mutex::default() };
        let writer = file.writer();
        for table in tables {
            writer.execute_batch(&table.sql(self, &SqliteDialect, "main").join(";")).unwrap();
        }
        Box::new(file)
    }
}

#[async_trait::async_trait]
impl Agency for File {
    fn schema(&self) -> String {
        "main".to_owned()
    }

    fn connector(&self, settings: Settings) -> Arc<dyn Connector> {
        let options = SqliteOptions {
            path: self.path(),
            max_connections: settings.max_connections,
            statement_timeout_ms: settings.statement_timeout_ms,
        };
        let wait = Duration::from_millis(settings.budget_wait_ms);
        let pool = Pool::with_budget_wait(options, wait);
        self.pools.lock().unwrap().push(Arc::clone(&pool));
        Arc::new(SqliteConnector::over(pool))
    }

    async fn execute(&self, sql: &str) {
        self.writer().execute_batch(sql).unwrap();
    }

    fn writes(&self) -> Vec<String> {
        let other = self.directory.path().join("other.db");
        [
            "INSERT INTO kept VALUES (2)",
            "UPDATE kept SET id = 2 RETURNING id",
            "DELETE FROM kept",
            "DROP TABLE kept",
            "WITH x AS (SELECT 1) DELETE FROM kept RETURNING id",
            "CREATE TEMP TABLE u (a)",
            "PRAGMA query_only = OFF",
            "PRAGMA journal_mode = DELETE",
            "VACUUM",
            "SELECT 1; DELETE FROM kept",
            "",
        ]
        .map(str::to_owned)
        .into_iter()
        .chain([format!("ATTACH '{}' AS o", other.display())])
        .collect()
    }

    async fn running(&self) -> usize {
        self.pools.lock().unwrap().iter().map(|pool| pool.max_connections() - pool.free()).sum()
    }
}

wayleave_connector_testkit::contract!(Sqlite);
