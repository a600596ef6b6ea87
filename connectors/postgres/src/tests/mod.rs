//! The connector against a real server.

mod calculations;
mod contract;
mod expressions;
mod faults;
mod fragments;
mod identity;
mod parts;
mod pseudonyms;
mod reading;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, SchemaRef};
use futures::StreamExt;
use wayleave_connector_api::{Connector, ConnectorError, Statement};
use wayleave_connector_testkit::PostgresServer;
use wayleave_connector_testkit::contract::answer::schema;

use crate::{PostgresConnector, PostgresOptions, TlsMode};

/// One server for all tests; it ends with the process.
fn server() -> &'static PostgresServer {
    static SERVER: OnceLock<PostgresServer> = OnceLock::new();
    SERVER.get_or_init(|| PostgresServer::start().unwrap())
}

fn options(url: &str) -> PostgresOptions {
    PostgresOptions {
        url: url.to_owned(),
        tls: TlsMode::Disable,
        ca_file: None,
        max_connections: 4,
        connect_timeout_ms: 10_000,
        statement_timeout_ms: 60_000,
        scan_connections: 3,
        divide_from_bytes: PostgresOptions::DIVIDE_FROM_BYTES,
    }
}

/// A database of its own with these objects, and a connector to it.
async fn agency(name: &str, setup: &str) -> PostgresConnector {
    server().create_database(name).await.unwrap();
    server().execute(name, setup).await.unwrap();
    PostgresConnector::new(options(&server().url(name))).unwrap()
}

fn statement(sql: &str, schema: SchemaRef) -> Statement {
    Statement { sql: sql.to_owned(), schema, query_id: "q-1".to_owned() }
}

/// The whole result in one batch.
async fn collect(connector: &PostgresConnector, sql: &str, schema: SchemaRef) -> Result<RecordBatch, ConnectorError> {
    let mut stream = connector.query(statement(sql, Arc::clone(&schema))).await?;
    let mut batches = Vec::new();
    while let Some(batch) = stream.next().await {
        batches.push(batch?);
    }
    Ok(concat_batches(&schema, &batches).unwrap())
}

/// A result of one text column.
async fn texts(connector: &PostgresConnector, sql: &str) -> Vec<Option<String>> {
    let batch = collect(connector, sql, schema(&[DataType::Utf8])).await.unwrap_or_else(|e| panic!("{e:?}: {sql}"));
    column_texts(&batch, 0)
}

fn column_texts(batch: &RecordBatch, index: usize) -> Vec<Option<String>> {
    use arrow::array::AsArray;
    batch.column(index).as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
}

/// Asks the server until its one answer is this one.
async fn wait_until(database: &str, sql: &str, expected: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = server().query_text(database, sql).await.unwrap();
        if answer.as_deref() == Some(expected) {
            return;
        }
        assert!(Instant::now() < deadline, "{sql} is {answer:?} and not {expected}");
        tokio::task::yield_now().await;
    }
}
