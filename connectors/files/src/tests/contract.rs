//! The contract suite over folders of Parquet files.

use std::fs::File;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use datafusion::parquet::arrow::ArrowWriter;
use tempfile::TempDir;
use wayleave_connector_api::Connector;
use wayleave_connector_testkit::contract::{Cannot, Database, Declared, Fixture, Kind, Order, Settings, TableSpec};

use crate::pool::Pool;
use crate::{CsvHeader, FilesConnector, FilesOptions};

struct Files;

struct Folder {
    directory: TempDir,
    pools: Mutex<Vec<Arc<Pool>>>,
}

#[async_trait::async_trait]
impl Fixture for Files {
    fn name(&self) -> &'static str {
        "Files"
    }

    fn declare(&self, kind: Kind) -> Option<Declared> {
        match kind {
            Kind::Text(Order::Language | Order::Loose) => None,
            other => Some(Declared::new(other, &other.data_type().to_string())),
        }
    }

    fn cannot(&self) -> &'static [Cannot] {
        &[
            Cannot {
                what: &["type text by language", "type text, loose"],
                why: "texts of a file have no order but bytes",
            },
            Cannot { what: &["name with comment"], why: "no name of a file has a slash" },
            Cannot { what: &["mark join"], why: "DataFusion's SQL has no EXISTS in a select list" },
            Cannot { what: &["keys"], why: "a file declares no keys" },
            Cannot { what: &["truncate over *"], why: "a moment beyond the calendar would fail there" },
            Cannot {
                what: &[
                    "equal over float*",
                    "order over float*",
                    "in list over float*",
                    "group over float*",
                    "count distinct over float*",
                ],
                why: "DataFusion's SQL takes negative zero for zero",
            },
            Cannot { what: &["sum over float*"], why: "a sum of floats depends on the order of its rows" },
            Cannot {
                what: &["running sum", "sum of a range"],
                why: "a sum over a window could begin anew past 64 bits",
            },
            Cannot {
                what: &["lost connection", "unreachable server", "wrong login", "encryption"],
                why: "a folder is reached over no network, and has no login",
            },
        ]
    }

    async fn database(&self, _name: &str, tables: &[TableSpec]) -> Box<dyn Database> {
        let directory = tempfile::tempdir().unwrap();
        for table in tables {
            let batch = table.arriving(self);
            let file = File::create(directory.path().join(format!("{}.parquet", table.name))).unwrap();
            let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
            writer.write(&batch).unwrap();
            writer.close().unwrap();
        }
        Box::new(Folder { directory, pools: Mutex::default() })
    }
}

#[async_trait::async_trait]
impl Database for Folder {
    fn schema(&self) -> String {
        "files".to_owned()
    }

    fn connector(&self, settings: Settings) -> Arc<dyn Connector> {
        let options = FilesOptions {
            path: self.directory.path().to_owned(),
            csv_delimiter: b',',
            csv_header: CsvHeader::Present,
            max_connections: settings.max_connections,
            statement_timeout_ms: settings.statement_timeout_ms,
            memory_bytes: FilesOptions::DEFAULT_MEMORY_BYTES,
        };
        let wait = Duration::from_millis(settings.budget_wait_ms);
        let pool = Arc::new(Pool::with_budget_wait(settings.max_connections, wait));
        self.pools.lock().unwrap().push(Arc::clone(&pool));
        Arc::new(FilesConnector::over(options, pool))
    }

    async fn execute(&self, sql: &str) {
        panic!("a folder runs no statements: {sql}");
    }

    fn writes(&self) -> Vec<String> {
        let outside = self.directory.path().join("out.csv");
        [
            "INSERT INTO \"kept\" VALUES (2)",
            "DELETE FROM \"kept\"",
            "UPDATE \"kept\" SET id = 2",
            "DROP TABLE \"kept\"",
            "CREATE TABLE \"other\" AS SELECT 1",
            "CREATE VIEW \"other\" AS SELECT 1",
            "SET datafusion.execution.batch_size = 1",
            "WITH x AS (SELECT 1) INSERT INTO \"kept\" SELECT * FROM x",
            "SELECT 1; DROP TABLE \"kept\"",
            "SELECT * FROM '/etc/passwd'",
            "SELECT * FROM \"information_schema\".\"tables\"",
            "",
        ]
        .map(str::to_owned)
        .into_iter()
        .chain([
            format!("COPY (SELECT 1) TO '{}'", outside.display()),
            format!("CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '{}'", outside.display()),
        ])
        .collect()
    }

    async fn running(&self) -> usize {
        self.pools.lock().unwrap().iter().map(|pool| pool.held()).sum()
    }
}

wayleave_connector_testkit::contract!(Files);
