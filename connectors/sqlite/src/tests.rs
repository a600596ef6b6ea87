//! Behaviour on real files.

mod calculations;
mod contract;
mod dialect;
mod fragments;
mod functions;
mod in_turn;
mod introspection;
mod limits;
mod reading;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use futures::TryStreamExt;
use rusqlite::Connection;
use tempfile::TempDir;
use wayleave_connector_api::{Connector, ConnectorError, Statement};
use wayleave_connector_testkit::contract::answer::{rows, run, schema, shown, statement};

use crate::{SqliteConnector, SqliteOptions};

/// A database file of its own, gone at the end of the test.
struct Database {
    directory: TempDir,
    writer: Connection,
}

impl Database {
    fn new(sql: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let writer = Connection::open(directory.path().join("agency.db")).unwrap();
        // Some tests ask this connection for the plan of a statement.
        crate::functions::register(&writer).unwrap();
        writer.execute_batch(sql).unwrap();
        Self { directory, writer }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("agency.db")
    }

    fn options(&self) -> SqliteOptions {
        SqliteOptions { path: self.path(), max_connections: 2, statement_timeout_ms: 30_000 }
    }

    fn connector(&self) -> SqliteConnector {
        SqliteConnector::new(self.options())
    }
}

async fn run_column(connector: &SqliteConnector, sql: impl Into<String>, data_type: DataType) -> ArrayRef {
    Arc::clone(run(connector, sql, &[data_type]).await.unwrap().column(0))
}

/// Waits until the condition holds, and fails the test where it does not within the deadline.
async fn eventually(within: Duration, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < within, "not within {within:?}");
        tokio::task::yield_now().await;
    }
}
