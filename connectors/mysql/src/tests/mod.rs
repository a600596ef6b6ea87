//! The connector against a real server.

mod calculations;
mod contract;
mod expressions;
mod faults;
mod fragments;
mod reading;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use futures::StreamExt;
use wayleave_connector_api::{Connector, ConnectorError, Statement};
use wayleave_connector_testkit::MariadbServer;

use crate::{MysqlConnector, MysqlOptions, TlsMode};

/// One server for all tests; it ends with the process.
fn server() -> &'static MariadbServer {
    static SERVER: OnceLock<MariadbServer> = OnceLock::new();
    SERVER.get_or_init(|| MariadbServer::start().unwrap())
}

fn options(url: &str) -> MysqlOptions {
    MysqlOptions {
        url: url.to_owned(),
        tls: TlsMode::Disable,
        ca_file: None,
        max_connections: 4,
        connect_timeout_ms: 10_000,
        statement_timeout_ms: 60_000,
    }
}

/// A schema of its own with these objects, and a connector to its server.
async fn agency(name: &str, setup: &str) -> MysqlConnector {
    server().create_database(name).await.unwrap();
    if !setup.is_empty() {
        server().execute(name, setup).await.unwrap();
    }
    MysqlConnector::new(options(&server().url(name))).unwrap()
}

fn schema(types: &[DataType]) -> SchemaRef {
    let fields: Vec<Field> =
        types.iter().enumerate().map(|(index, t)| Field::new(format!("c{}", index + 1), t.clone(), true)).collect();
    Arc::new(Schema::new(fields))
}

fn statement(sql: &str, schema: SchemaRef) -> Statement {
    Statement { sql: sql.to_owned(), schema, query_id: "q-1".to_owned() }
}

/// The whole result in one batch.
async fn collect(connector: &MysqlConnector, sql: &str, schema: SchemaRef) -> Result<RecordBatch, ConnectorError> {
    let mut stream = connector.query(statement(sql, Arc::clone(&schema))).await?;
    let mut batches = Vec::new();
    while let Some(batch) = stream.next().await {
        batches.push(batch?);
    }
    Ok(concat_batches(&schema, &batches).unwrap())
}

/// A result of one text column.
async fn texts(connector: &MysqlConnector, sql: &str) -> Vec<Option<String>> {
    let batch = collect(connector, sql, schema(&[DataType::Utf8])).await.unwrap_or_else(|e| panic!("{e:?}: {sql}"));
    column_texts(&batch, 0)
}

fn column_texts(batch: &RecordBatch, index: usize) -> Vec<Option<String>> {
    use arrow::array::AsArray;
    batch.column(index).as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
}

/// Asks the server until its one answer is this one.
async fn wait_until(sql: &str, expected: &str) {
    let client = server().connect("").await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = client.rows(sql).await.unwrap();
        if answer == [[Some(expected.to_owned())]] {
            return;
        }
        assert!(Instant::now() < deadline, "{sql} is {answer:?} and not {expected}");
        tokio::task::yield_now().await;
    }
}
