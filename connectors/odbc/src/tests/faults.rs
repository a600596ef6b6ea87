//! Servers that go away, over psqlodbc, which takes a result whole before its first row. Where it is told to fetch piece by
//! piece (`UseDeclareFetch=1`), psqlodbc 13 itself crashes when a connection is cut between two pieces.

use std::time::Duration;

use arrow::datatypes::{DataType, Field, Schema};
use futures::StreamExt;
use wayleave_connector_api::{BatchStream, Connector, ConnectorError, Statement};
use wayleave_connector_testkit::{PostgresServer, Proxy};

use crate::{OdbcConnector, OdbcOptions};

fn connector(port: u16) -> OdbcConnector {
    OdbcConnector::new(OdbcOptions {
        connection_string: format!(
            "Driver={{PostgreSQL Unicode}};Server=127.0.0.1;Port={port};Database=postgres;UID=wayleave;PWD=password"
        ),
        max_connections: 2,
        connect_timeout_ms: 10_000,
        statement_timeout_ms: 60_000,
    })
}

async fn start(connector: &OdbcConnector, rows: u32) -> Result<BatchStream, ConnectorError> {
    let schema = Schema::new(vec![Field::new("n", DataType::Int32, true), Field::new("t", DataType::Utf8, true)]);
    let sql = format!("SELECT n, repeat('x', 100) AS t FROM generate_series(1, {rows}) AS s (n)");
    connector.query(Statement { sql, schema: schema.into(), query_id: "faults".to_owned() }).await
}

/// The rows that came, and what ended them where that was not their end.
async fn rest(stream: &mut BatchStream) -> (usize, Option<ConnectorError>) {
    let mut rows = 0;
    loop {
        match tokio::time::timeout(Duration::from_secs(60), stream.next()).await.expect("the end goes unnoticed") {
            Some(Ok(batch)) => rows += batch.num_rows(),
            Some(Err(error)) => return (rows, Some(error)),
            None => return (rows, None),
        }
    }
}

async fn all(connector: &OdbcConnector, rows: u32) -> (usize, Option<ConnectorError>) {
    match start(connector, rows).await {
        Ok(mut stream) => rest(&mut stream).await,
        Err(error) => (0, Some(error)),
    }
}

fn is_whole(outcome: &(usize, Option<ConnectorError>), rows: usize) -> bool {
    outcome.0 == rows && outcome.1.is_none()
}

#[tokio::test]
async fn a_connection_that_is_cut_is_lost_and_never_a_short_result() {
    let server = PostgresServer::start().unwrap();
    let proxy = Proxy::start(([127, 0, 0, 1], server.port()).into()).await.unwrap();
    let connector = connector(proxy.address().port());
    for after_bytes in [0, 1, 1_000, 100_000] {
        assert!(is_whole(&all(&connector, 5).await, 5), "{after_bytes}");
        proxy.cut_after(after_bytes);
        let (rows, error) = all(&connector, 1_000_000).await;
        let is_lost = matches!(error, Some(ConnectorError::Lost { .. } | ConnectorError::Unavailable { .. }));
        assert!(is_lost && rows == 0, "{after_bytes}: {rows} rows, then {error:?}");
        proxy.restore();
        let outcome = all(&connector, 5).await;
        assert!(is_whole(&outcome, 5), "{after_bytes}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_server_that_went_and_came_back_is_found_again() {
    let mut server = PostgresServer::start().unwrap();
    let connector = connector(server.port());
    assert!(is_whole(&all(&connector, 5).await, 5));
    server.stop();
    let error = connector.ping().await.unwrap_err();
    assert!(matches!(error, ConnectorError::Lost { .. } | ConnectorError::Unavailable { .. }), "{error:?}");
    server.start_again().unwrap();
    assert!(is_whole(&all(&connector, 5).await, 5));
    // A driver notices only by asking that its idle connection has died: one question is lost by it, and no more.
    let terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                     WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
    server.execute("postgres", terminate).await.unwrap();
    let (rows, error) = all(&connector, 5).await;
    let is_lost = matches!(error, Some(ConnectorError::Lost { .. }));
    assert!(rows == 0 && is_lost || rows == 5 && error.is_none(), "{rows} rows, then {error:?}");
    let outcome = all(&connector, 5).await;
    assert!(is_whole(&outcome, 5), "{outcome:?}");
}
