//! The connector, its texts, and what it reads from a server that speaks TDS.

mod contract;
mod dialect;
mod faults;
mod fragments;
mod reading;

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, SchemaRef};
use futures::StreamExt;
use sqlparser::dialect::MsSqlDialect;
use sqlparser::parser::Parser;
use wayleave_connector_api::{Connector, ConnectorError, Statement};
use wayleave_connector_testkit::contract::answer::schema;
use wayleave_tds_server::{Options, Server};

use crate::{Login, SqlServerConnector, SqlServerOptions, TlsMode};

/// Another parser's opinion of a statement.
fn parses(sql: &str) {
    if let Err(error) = Parser::parse_sql(&MsSqlDialect {}, sql) {
        panic!("{error}: {sql}");
    }
}

fn options(url: &str) -> SqlServerOptions {
    SqlServerOptions {
        url: url.to_owned(),
        login: Login::Password,
        tls: TlsMode::Disable,
        ca_file: None,
        max_connections: 4,
        connect_timeout_ms: 20_000,
        statement_timeout_ms: 60_000,
    }
}

/// A server of its own with these objects.
fn server(setup: &str) -> Arc<Server> {
    let server = Server::start(Options::default()).unwrap();
    if !setup.is_empty() {
        server.execute_ddl(setup).unwrap_or_else(|error| panic!("{error:?}: {setup}"));
    }
    Arc::new(server)
}

fn connector(server: &Server, change: impl FnOnce(&mut SqlServerOptions)) -> SqlServerConnector {
    let mut options = options(&server.url());
    change(&mut options);
    SqlServerConnector::new(options).unwrap()
}

fn statement(sql: &str, schema: SchemaRef) -> Statement {
    Statement { sql: sql.to_owned(), schema, query_id: "q-1".to_owned() }
}

/// The whole result in one batch.
async fn collect(connector: &SqlServerConnector, sql: &str, types: &[DataType]) -> Result<RecordBatch, ConnectorError> {
    let schema = schema(types);
    let mut stream = connector.query(statement(sql, Arc::clone(&schema))).await?;
    let mut batches = Vec::new();
    while let Some(batch) = stream.next().await {
        batches.push(batch?);
    }
    Ok(concat_batches(&schema, &batches).unwrap())
}

/// Waits for a condition, with a deadline.
async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} does not come");
        tokio::task::yield_now().await;
    }
}
