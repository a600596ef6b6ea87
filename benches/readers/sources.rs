//! The same table in every kind of source: an event's number, a person's key, a few words, a sum of money, a moment.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use clap::ValueEnum;
use datafusion::parquet::arrow::ArrowWriter;
use tokio::runtime::Runtime;
use wayleave_connector_testkit::{MariadbServer, PostgresServer};
use wayleave_tds_server::{Options as TdsOptions, Server as TdsServer};

pub const COLUMNS: usize = 8;

const DATABASE: &str = "readers";

/// Rows that are written at a time.
const PIECE: u64 = 50_000;

/// 2026-01-01.
const FIRST_MOMENT: i64 = 1_767_225_600_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    Postgres,
    Mariadb,
    Sqlite,
    Parquet,
    Csv,
    Sqlserver,
    /// Over psqlodbc, from PostgreSQL.
    Odbc,
}

impl Kind {
    pub const ALL: [Self; 7] =
        [Self::Postgres, Self::Mariadb, Self::Sqlite, Self::Parquet, Self::Csv, Self::Sqlserver, Self::Odbc];

    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Mariadb => "mariadb",
            Self::Sqlite => "sqlite",
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::Sqlserver => "sqlserver",
            Self::Odbc => "odbc",
        }
    }

    pub fn schema(self) -> &'static str {
        match self {
            Self::Postgres | Self::Odbc => "public",
            Self::Mariadb => DATABASE,
            Self::Sqlite => "main",
            Self::Parquet | Self::Csv => "files",
            Self::Sqlserver => "dbo",
        }
    }

    /// As `peers.py` names them.
    pub fn peers(self) -> &'static [&'static str] {
        match self {
            Self::Postgres => &["psql", "connectorx", "connectorx-parts"],
            Self::Mariadb => &["mariadb", "connectorx", "connectorx-parts"],
            Self::Sqlite => &["sqlite3", "connectorx-sqlite"],
            Self::Parquet => &["duckdb-parquet", "pyarrow-parquet"],
            Self::Csv => &["duckdb-csv", "pyarrow-csv"],
            Self::Sqlserver => &["connectorx"],
            Self::Odbc => &["arrow-odbc"],
        }
    }
}

/// A source with its rows, for as long as it lives.
pub struct Source {
    /// A URL, a file, a folder or a connection string.
    pub place: String,
    _server: Running,
}

enum Running {
    Nothing,
    Postgres { _server: PostgresServer },
    Mariadb { _server: MariadbServer },
    SqlServer { _server: TdsServer },
}

pub fn sum_of_ids(rows: u64) -> i64 {
    i64::try_from(rows * rows.saturating_sub(1) / 2).unwrap()
}

impl Source {
    /// `None` where this program cannot read such a one.
    pub fn fill(kind: Kind, directory: &Path, rows: u64) -> Option<Self> {
        let runtime = Runtime::new().unwrap();
        Some(match kind {
            Kind::Odbc if !cfg!(feature = "odbc") => {
                println!("{:<12} left out: build with `--features odbc`", kind.name());
                return None;
            }
            Kind::Postgres | Kind::Odbc => {
                let server = PostgresServer::start().unwrap();
                runtime.block_on(fill_postgres(&server, rows));
                let place = match kind {
                    Kind::Odbc => format!(
                        "Driver={{PostgreSQL Unicode}};Server=127.0.0.1;Port={};Database={DATABASE};UID=wayleave;\
                         PWD=password;UseDeclareFetch=1;Fetch=10000",
                        server.port()
                    ),
                    _ => server.url(DATABASE),
                };
                Self { place, _server: Running::Postgres { _server: server } }
            }
            Kind::Mariadb => {
                let server = MariadbServer::start().unwrap();
                runtime.block_on(fill_mariadb(&server, rows));
                Self { place: server.url(DATABASE), _server: Running::Mariadb { _server: server } }
            }
            Kind::Sqlserver => {
                let server = TdsServer::start(TdsOptions::default()).unwrap();
                fill_sql_server(&server, rows);
                Self { place: server.url(), _server: Running::SqlServer { _server: server } }
            }
            Kind::Sqlite => {
                let file = directory.join("events.db");
                fill_sqlite(&file, rows);
                Self { place: file.display().to_string(), _server: Running::Nothing }
            }
            Kind::Parquet | Kind::Csv => {
                let folder = directory.join(kind.name());
                std::fs::create_dir(&folder).unwrap();
                match kind {
                    Kind::Parquet => write_parquet(&folder.join("events.parquet"), rows),
                    _ => write_csv(&folder.join("events.csv"), rows),
                }
                Self { place: folder.display().to_string(), _server: Running::Nothing }
            }
        })
    }
}

/// Over the row's number `n`: what is put together by `||`, and the rest.
const EXPRESSIONS: &str = "n, '9' || n % 100 || ' ' || n % 1000 || ' ' || n % 10000, \
    CASE n % 4 WHEN 0 THEN 'visit' WHEN 1 THEN 'call' WHEN 2 THEN 'letter' ELSE 'assessment' END, \
    (n % 100000) / 100.0, n % 3 = 0, n * 0.5, \
    CASE WHEN n % 5 > 0 THEN 'what was said of event ' || n || ', and by whom' END";

async fn fill_postgres(server: &PostgresServer, rows: u64) {
    server.create_database(DATABASE).await.unwrap();
    let sql = format!(
        "CREATE TABLE events (event_id bigint NOT NULL, person_key text, kind text, amount numeric(10,2), urgent boolean, \
         score double precision, note text, happened_at timestamp); INSERT INTO events SELECT {EXPRESSIONS}, \
         timestamp '2026-01-01' + n * interval '1 second' FROM generate_series(0::bigint, {rows} - 1) AS n; \
         VACUUM ANALYZE events"
    );
    for statement in sql.split("; ") {
        server.execute(DATABASE, statement).await.unwrap();
    }
}

async fn fill_mariadb(server: &MariadbServer, rows: u64) {
    server.create_database(DATABASE).await.unwrap();
    let sql = format!(
        "SET sql_mode = 'PIPES_AS_CONCAT'; CREATE TABLE events (event_id bigint NOT NULL PRIMARY KEY, \
         person_key varchar(20), kind varchar(20), amount decimal(10,2), urgent boolean, score double, note varchar(200), \
         happened_at datetime(6)); INSERT INTO events SELECT {EXPRESSIONS}, \
         timestamp('2026-01-01') + INTERVAL n SECOND FROM (SELECT seq AS n FROM seq_0_to_{}) AS s; ANALYZE TABLE events",
        rows - 1
    );
    server.execute(DATABASE, &sql).await.unwrap();
}

fn fill_sqlite(file: &Path, rows: u64) {
    let database = rusqlite::Connection::open(file).unwrap();
    let sql = format!(
        "PRAGMA synchronous = OFF; CREATE TABLE events (event_id INTEGER PRIMARY KEY, person_key TEXT, kind TEXT, \
         amount DECIMAL(10,2), urgent BOOLEAN, score REAL, note TEXT, happened_at TIMESTAMP); \
         WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < {rows} - 1) \
         INSERT INTO events SELECT {EXPRESSIONS}, datetime('2026-01-01', n || ' seconds') FROM numbers; ANALYZE"
    );
    database.execute_batch(&sql).unwrap();
}

fn fill_sql_server(server: &TdsServer, rows: u64) {
    let places = u32::try_from((rows - 1).to_string().len()).unwrap();
    let digits: Vec<String> = (0..places).map(|place| format!("dbo.digits AS d{place}")).collect();
    let number: Vec<String> =
        (0..places).map(|place| format!("CAST(d{place}.d AS bigint) * {}", 10_u64.pow(place))).collect();
    let (digits, number) = (digits.join(" CROSS JOIN "), number.join(" + "));
    let expressions = EXPRESSIONS
        .replace(
            "'9' || n % 100 || ' ' || n % 1000 || ' ' || n % 10000",
            "CONCAT('9', n % 100, ' ', n % 1000, ' ', n % 10000)",
        )
        .replace(
            "'what was said of event ' || n || ', and by whom'",
            "CONCAT('what was said of event ', n, ', and by whom')",
        )
        .replace("n % 3 = 0", "CASE WHEN n % 3 = 0 THEN 1 ELSE 0 END");
    for batch in [
        "CREATE TABLE dbo.digits (d int NOT NULL)".to_owned(),
        "INSERT INTO dbo.digits VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)".to_owned(),
        "CREATE TABLE dbo.events (event_id bigint NOT NULL, person_key nvarchar(20), kind nvarchar(20), amount decimal(10,2), \
         urgent bit, score float, note nvarchar(200), happened_at datetime2(6))"
            .to_owned(),
        format!(
            "INSERT INTO dbo.events SELECT {expressions}, DATEADD(second, CAST(n AS int), CAST('2026-01-01' AS datetime2(6))) FROM \
             (SELECT {number} AS n FROM {digits}) AS numbers WHERE n < {rows}"
        ),
    ] {
        server.execute_ddl(&batch).unwrap_or_else(|error| panic!("{error:?}: {batch}"));
    }
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("event_id", DataType::Int64, false),
        Field::new("person_key", DataType::Utf8, true),
        Field::new("kind", DataType::Utf8, true),
        Field::new("amount", DataType::Decimal128(10, 2), true),
        Field::new("urgent", DataType::Boolean, true),
        Field::new("score", DataType::Float64, true),
        Field::new("note", DataType::Utf8, true),
        Field::new("happened_at", DataType::Timestamp(TimeUnit::Microsecond, None), true),
    ]))
}

/// The same rows as [`EXPRESSIONS`] makes, in pieces.
fn pieces(rows: u64) -> impl Iterator<Item = RecordBatch> {
    (0..rows.div_ceil(PIECE)).map(move |piece| {
        let first = i64::try_from(piece * PIECE).unwrap();
        let end = i64::try_from(rows.min((piece + 1) * PIECE)).unwrap();
        let of = || first..end;
        let kinds = ["visit", "call", "letter", "assessment"];
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(of())),
            Arc::new(StringArray::from_iter_values(of().map(|n| format!("9{} {} {}", n % 100, n % 1_000, n % 10_000)))),
            Arc::new(StringArray::from_iter_values(of().map(|n| *kinds.get(usize::try_from(n % 4).unwrap()).unwrap()))),
            Arc::new(
                Decimal128Array::from_iter_values(of().map(|n| i128::from(n % 100_000)))
                    .with_precision_and_scale(10, 2)
                    .unwrap(),
            ),
            Arc::new(of().map(|n| Some(n % 3 == 0)).collect::<BooleanArray>()),
            Arc::new(Float64Array::from_iter_values(of().map(|n| f64::from(u32::try_from(n).unwrap()) * 0.5))),
            Arc::new(StringArray::from_iter(
                of().map(|n| (n % 5 > 0).then(|| format!("what was said of event {n}, and by whom"))),
            )),
            Arc::new(TimestampMicrosecondArray::from_iter_values(of().map(|n| FIRST_MOMENT + n * 1_000_000))),
        ];
        RecordBatch::try_new(schema(), columns).unwrap()
    })
}

fn write_parquet(file: &Path, rows: u64) {
    let mut writer = ArrowWriter::try_new(File::create(file).unwrap(), schema(), None).unwrap();
    pieces(rows).for_each(|piece| writer.write(&piece).unwrap());
    writer.close().unwrap();
}

fn write_csv(file: &Path, rows: u64) {
    let mut writer = arrow::csv::Writer::new(File::create(file).unwrap());
    pieces(rows).for_each(|piece| writer.write(&piece).unwrap());
}
