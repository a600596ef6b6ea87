//! One reading of the whole table through a connector.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::AsArray;
use arrow::compute::sum;
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use futures::StreamExt;
use wayleave_connector_api::{
    Audience, Connector, Divisible, Expr, Fragment, Relation, Scan, ScanReason, Statement, TableName, render_fragment,
};
use wayleave_connector_files::{CsvHeader, FilesConnector, FilesOptions};
use wayleave_connector_mysql::{MysqlConnector, MysqlOptions};
use wayleave_connector_postgres::{PostgresConnector, PostgresOptions};
use wayleave_connector_sqlite::{SqliteConnector, SqliteOptions};
use wayleave_connector_sqlserver::{Login, SqlServerConnector, SqlServerOptions};

use super::Measured;
use super::sources::Kind;

/// The same limits that a configuration has where it says nothing.
const MAX_CONNECTIONS: usize = 4;
const CONNECT_TIMEOUT_MS: u64 = 10_000;
const STATEMENT_TIMEOUT_MS: u64 = 3_600_000;

/// Reads every row, on the threads that the program itself has.
pub fn read(kind: Kind, place: &str) -> Measured {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(measure(kind, connector(kind, place)))
}

async fn measure(kind: Kind, connector: Arc<dyn Connector>) -> Measured {
    connector.ping().await.unwrap();
    let name = TableName::new(kind.schema(), "events");
    let table = connector.table(&name).await.unwrap().expect("the table that was filled");
    let fields: Vec<Field> = table
        .columns
        .iter()
        .map(|column| Field::new(&column.name, column.column_type.readable().unwrap().clone(), true))
        .collect();
    let scan = Scan {
        table: name,
        outputs: (0..table.columns.len()).map(Expr::Column).collect(),
        columns: table.columns,
        policy: Vec::new(),
        lookups: Vec::new(),
        keys: None,
        reason: ScanReason::Released { agreement: "A-1".to_owned() },
    };
    let fragment = Fragment { root: Relation::Scan(Box::new(scan)), schema: Arc::new(Schema::new(fields)) };
    let sql = render_fragment(connector.dialect(), &fragment, None, Audience::Source);
    let statement = Statement { sql, schema: Arc::clone(&fragment.schema), query_id: "readers".to_owned() };
    let started = Instant::now();
    let divisible = Divisible::new(connector.dialect(), &fragment);
    let batches = match divisible {
        Some(divisible) => connector.query_parts(statement, divisible).await,
        None => connector.query(statement).await,
    };
    let mut batches = batches.unwrap();
    let (mut rows, mut total) = (0_u64, 0_i64);
    while let Some(batch) = batches.next().await {
        let batch = batch.unwrap();
        rows += u64::try_from(batch.num_rows()).unwrap();
        let ids = batch.column(0);
        assert_eq!(ids.data_type(), &DataType::Int64);
        total += sum(ids.as_primitive::<Int64Type>()).unwrap_or(0);
    }
    Measured { rows, sum: Some(total), seconds: started.elapsed().as_secs_f64(), peak_bytes: peak_bytes() }
}

/// The most memory that this process ever had.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line of the kernel's");
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() << 10
}

fn connector(kind: Kind, place: &str) -> Arc<dyn Connector> {
    match kind {
        Kind::Postgres => {
            let options = PostgresOptions {
                url: place.to_owned(),
                tls: wayleave_connector_postgres::TlsMode::Disable,
                ca_file: None,
                max_connections: MAX_CONNECTIONS,
                connect_timeout_ms: CONNECT_TIMEOUT_MS,
                statement_timeout_ms: STATEMENT_TIMEOUT_MS,
                scan_connections: PostgresOptions::default_scan_connections(),
                divide_from_bytes: PostgresOptions::DIVIDE_FROM_BYTES,
            };
            Arc::new(PostgresConnector::new(options).unwrap())
        }
        Kind::Mariadb => {
            let options = MysqlOptions {
                url: place.to_owned(),
                tls: wayleave_connector_mysql::TlsMode::Disable,
                ca_file: None,
                max_connections: MAX_CONNECTIONS,
                connect_timeout_ms: CONNECT_TIMEOUT_MS,
                statement_timeout_ms: STATEMENT_TIMEOUT_MS,
            };
            Arc::new(MysqlConnector::new(options).unwrap())
        }
        Kind::Sqlserver => {
            let options = SqlServerOptions {
                url: place.to_owned(),
                login: Login::Password,
                tls: wayleave_connector_sqlserver::TlsMode::Disable,
                ca_file: None,
                max_connections: MAX_CONNECTIONS,
                connect_timeout_ms: CONNECT_TIMEOUT_MS,
                statement_timeout_ms: STATEMENT_TIMEOUT_MS,
            };
            Arc::new(SqlServerConnector::new(options).unwrap())
        }
        Kind::Sqlite => Arc::new(SqliteConnector::new(SqliteOptions {
            path: PathBuf::from(place),
            max_connections: MAX_CONNECTIONS,
            statement_timeout_ms: STATEMENT_TIMEOUT_MS,
        })),
        Kind::Parquet | Kind::Csv => Arc::new(FilesConnector::new(FilesOptions {
            path: PathBuf::from(place),
            csv_delimiter: b',',
            csv_header: CsvHeader::Present,
            max_connections: MAX_CONNECTIONS,
            statement_timeout_ms: STATEMENT_TIMEOUT_MS,
            memory_bytes: FilesOptions::DEFAULT_MEMORY_BYTES,
        })),
        #[cfg(feature = "odbc")]
        Kind::Odbc => {
            let options = wayleave_connector_odbc::OdbcOptions {
                connection_string: place.to_owned(),
                max_connections: MAX_CONNECTIONS,
                connect_timeout_ms: CONNECT_TIMEOUT_MS,
                statement_timeout_ms: STATEMENT_TIMEOUT_MS,
            };
            Arc::new(wayleave_connector_odbc::OdbcConnector::new(options))
        }
        #[cfg(not(feature = "odbc"))]
        Kind::Odbc => panic!("build with `--features odbc`"),
    }
}
