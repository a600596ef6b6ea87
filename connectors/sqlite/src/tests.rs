//! Behaviour on real files.

mod calculations;
mod contract;
mod dialect;
mod fragments;
mod functions;
mod introspection;
mod limits;
mod reading;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::TryStreamExt;
use rusqlite::Connection;
use tempfile::TempDir;
use wayleave_connector_api::{Connector, ConnectorError, Statement};

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

fn schema(types: &[DataType]) -> SchemaRef {
    let fields: Vec<Field> = types
        .iter()
        .enumerate()
        .map(|(index, data_type)| Field::new(format!("c{}", index + 1), data_type.clone(), true))
        .collect();
    Arc::new(Schema::new(fields))
}

fn statement(sql: impl Into<String>, types: &[DataType]) -> Statement {
    Statement { sql: sql.into(), schema: schema(types), query_id: "q-1".to_owned() }
}

async fn run(
    connector: &SqliteConnector,
    sql: impl Into<String>,
    types: &[DataType],
) -> Result<RecordBatch, ConnectorError> {
    let batches: Vec<RecordBatch> = connector.query(statement(sql, types)).await?.try_collect().await?;
    Ok(concat_batches(&schema(types), &batches).unwrap())
}

async fn run_column(connector: &SqliteConnector, sql: impl Into<String>, data_type: DataType) -> ArrayRef {
    Arc::clone(run(connector, sql, &[data_type]).await.unwrap().column(0))
}

/// Every value as Arrow writes it; `None` for NULL.
fn shown(array: &dyn Array) -> Vec<Option<String>> {
    // Arrow writes instants of a named zone only with a table of zones; of an offset, always.
    let offset = match array.data_type() {
        DataType::Timestamp(unit, Some(_)) => Some(DataType::Timestamp(*unit, Some("+00:00".into()))),
        _ => None,
    };
    let shifted = offset.map(|data_type| cast(array, &data_type).unwrap());
    let array = shifted.as_deref().unwrap_or(array);
    let formatter = ArrayFormatter::try_new(array, &FormatOptions::default()).unwrap();
    let nulls = array.logical_nulls();
    let is_valid = |index| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(index));
    (0..array.len()).map(|index| is_valid(index).then(|| formatter.value(index).to_string())).collect()
}

/// The rows, each as its values joined by `|`.
fn rows(batch: &RecordBatch) -> Vec<String> {
    let columns: Vec<Vec<Option<String>>> = batch.columns().iter().map(|column| shown(column)).collect();
    (0..batch.num_rows())
        .map(|row| {
            let values: Vec<&str> = columns.iter().map(|column| column[row].as_deref().unwrap_or("NULL")).collect();
            values.join("|")
        })
        .collect()
}

/// Waits until the condition holds, and fails the test where it does not within the deadline.
async fn eventually(within: Duration, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < within, "not within {within:?}");
        tokio::task::yield_now().await;
    }
}
