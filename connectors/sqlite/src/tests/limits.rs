use std::path::Path;

use futures::StreamExt;

use super::*;
use crate::pool::Pool;

/// Ten thousand rows, joined with themselves by `ENDLESS`.
const NUMBERS: &str = "CREATE TABLE n (i INTEGER);
    WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r WHERE i < 10000) INSERT INTO n SELECT i FROM r";

/// A statement that answers at once and would go on for days.
const ENDLESS: &str = "SELECT a.i FROM n AS a CROSS JOIN n AS b CROSS JOIN n AS c";

/// A statement that works for days before its first row.
const SILENT: &str = "SELECT count(*) FROM n AS a CROSS JOIN n AS b CROSS JOIN n AS c WHERE a.i + b.i + c.i < 0";

const INT: &[DataType] = &[DataType::Int64];

#[tokio::test]
async fn a_dropped_stream_gives_its_connection_back_within_a_second() {
    let database = Database::new(NUMBERS);
    let connector = database.connector();
    let mut stream = connector.query(statement(ENDLESS, INT)).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap().num_rows(), 256);
    assert_eq!(connector.pool.free(), 1);
    drop(stream);
    eventually(Duration::from_secs(1), || connector.pool.free() == 2).await;
    // What was stopped is closed, not kept.
    assert_eq!(connector.pool.idle_count(), 0);
    assert_eq!(rows(&run(&connector, "SELECT count(*) FROM n", INT).await.unwrap()), ["10000"]);
}

#[tokio::test]
async fn an_abandoned_introspection_is_stopped_as_well() {
    let database = Database::new(NUMBERS);
    let pool = Pool::new(database.options());
    let waiting = tokio::time::timeout(
        Duration::from_millis(50),
        pool.run(|connection| connection.query_row(SILENT, [], |row| row.get::<_, i64>(0))),
    )
    .await;
    assert!(waiting.is_err());
    eventually(Duration::from_secs(1), || pool.free() == 2).await;
}

#[tokio::test]
async fn a_finished_stream_does_not_stop_the_next_statement() {
    let database = Database::new(NUMBERS);
    let options = SqliteOptions { max_connections: 1, ..database.options() };
    let connector = SqliteConnector::new(options);
    for _ in 0..50 {
        let mut first = connector.query(statement("SELECT 1", INT)).await.unwrap();
        while first.next().await.is_some() {}
        let mut second =
            connector.query(statement("SELECT count(*) FROM n AS a JOIN n AS b ON a.i = b.i", INT)).await.unwrap();
        drop(first);
        assert!(second.next().await.unwrap().is_ok());
        assert!(second.next().await.is_none());
    }
    assert_eq!(connector.pool.idle_count(), 1);
}

#[tokio::test]
async fn a_reader_that_nobody_takes_from_times_out_too() {
    let database = Database::new(NUMBERS);
    let connector = SqliteConnector::new(SqliteOptions { statement_timeout_ms: 100, ..database.options() });
    let mut stream = connector.query(statement(ENDLESS, INT)).await.unwrap();
    eventually(Duration::from_secs(2), || connector.pool.free() == 2).await;
    let mut outcome = stream.next().await;
    while let Some(Ok(_)) = outcome {
        outcome = stream.next().await;
    }
    assert!(matches!(outcome, Some(Err(ConnectorError::Timeout { .. }))), "{outcome:?}");
}

#[tokio::test]
async fn a_locked_database_is_waited_for_until_the_timeout() {
    let database = Database::new(NUMBERS);
    let connector = SqliteConnector::new(SqliteOptions { statement_timeout_ms: 100, ..database.options() });
    database.writer.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let error = run(&connector, "SELECT count(*) FROM n", INT).await.unwrap_err();
    assert!(matches!(error, ConnectorError::Timeout { .. }), "{error:?}");
    database.writer.execute_batch("ROLLBACK").unwrap();
    assert_eq!(rows(&run(&connector, "SELECT count(*) FROM n", INT).await.unwrap()), ["10000"]);
}

#[tokio::test]
async fn the_budget_is_kept_and_waited_for() {
    let database = Database::new(NUMBERS);
    let pool = Pool::with_budget_wait(database.options(), Duration::from_millis(50));
    let connector = SqliteConnector::over(pool);
    let first = connector.query(statement(ENDLESS, INT)).await.unwrap();
    let second = connector.query(statement(ENDLESS, INT)).await.unwrap();
    let error = run(&connector, "SELECT 1", INT).await.unwrap_err();
    assert!(matches!(error, ConnectorError::Budget { budget: 2, waited_ms } if waited_ms >= 50), "{error:?}");
    drop(first);
    eventually(Duration::from_secs(1), || connector.pool.free() == 1).await;
    assert_eq!(rows(&run(&connector, "SELECT 1", INT).await.unwrap()), ["1"]);
    drop(second);
}

#[tokio::test]
async fn reading_pauses_while_nobody_takes_the_rows() {
    let database = Database::new(NUMBERS);
    let connector = database.connector();
    let mut stream = connector.query(statement("SELECT i FROM n", INT)).await.unwrap();
    // 256 rows, 8,192 and 1,552: two batches wait, and the reader must hold the third in its hand.
    let ended = tokio::time::timeout(Duration::from_millis(300), async {
        eventually(Duration::from_secs(10), || connector.pool.free() == 2).await;
    });
    assert!(ended.await.is_err(), "the reader ran to its end on its own");
    let mut taken = 0;
    while let Some(batch) = stream.next().await {
        taken += batch.unwrap().num_rows();
    }
    assert_eq!(taken, 10_000);
    eventually(Duration::from_secs(1), || connector.pool.free() == 2).await;
}

#[tokio::test]
async fn nothing_but_a_query_runs() {
    let database = Database::new("CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1)");
    let connector = database.connector();
    let other = database.directory.path().join("other.db");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE o (a)").unwrap();
    for sql in [
        "INSERT INTO t VALUES (2)".to_owned(),
        "UPDATE t SET a = 2 RETURNING a".to_owned(),
        "DELETE FROM t".to_owned(),
        "DROP TABLE t".to_owned(),
        "WITH x AS (SELECT 1) DELETE FROM t RETURNING a".to_owned(),
        "CREATE TEMP TABLE u (a)".to_owned(),
        "PRAGMA query_only = OFF".to_owned(),
        "PRAGMA journal_mode = DELETE".to_owned(),
        "VACUUM".to_owned(),
        format!("ATTACH '{}' AS o", other.display()),
        "SELECT 1; DELETE FROM t".to_owned(),
        String::new(),
    ] {
        let error = run(&connector, sql.clone(), INT).await.err().unwrap_or_else(|| panic!("`{sql}` ran"));
        assert!(matches!(error, ConnectorError::Refused { .. }), "{sql}: {error:?}");
    }
    assert_eq!(rows(&run(&connector, "SELECT a FROM t", INT).await.unwrap()), ["1"]);
}

#[tokio::test]
async fn the_connection_itself_cannot_write() {
    let database = Database::new("CREATE TABLE t (a INTEGER)");
    let pool = Pool::new(database.options());
    for sql in ["INSERT INTO t VALUES (2)", "CREATE TEMP TABLE u (a)", "ATTACH ':memory:' AS o"] {
        let error = pool.run(move |connection| connection.execute_batch(sql)).await.unwrap_err();
        assert!(matches!(error, ConnectorError::Refused { .. }), "{sql}: {error:?}");
    }
}

#[tokio::test]
async fn a_file_that_is_not_there_is_unavailable_and_stays_so() {
    let directory = tempfile::tempdir().unwrap();
    let unavailable = async |path: &Path| {
        let options = SqliteOptions { path: path.to_owned(), max_connections: 1, statement_timeout_ms: 1_000 };
        SqliteConnector::new(options).ping().await.unwrap_err()
    };
    let missing = directory.path().join("missing.db");
    assert!(matches!(unavailable(&missing).await, ConnectorError::Unavailable { .. }));
    assert!(!missing.exists());
    assert!(matches!(unavailable(directory.path()).await, ConnectorError::Unavailable { .. }));
    let no_database = directory.path().join("text.db");
    std::fs::write(&no_database, "this is text and no database, whatever its name may say. ".repeat(20)).unwrap();
    assert!(matches!(unavailable(&no_database).await, ConnectorError::Unavailable { .. }));
    // Neither a URI nor a database in memory.
    for path in ["file:nothing.db?mode=memory", ":memory:"] {
        assert!(matches!(unavailable(Path::new(path)).await, ConnectorError::Unavailable { .. }), "{path}");
    }
    assert!(matches!(unavailable(Path::new("")).await, ConnectorError::Configuration { .. }));
}

#[tokio::test]
async fn text_in_another_encoding_is_refused() {
    let database = Database::new("PRAGMA encoding = 'UTF-16le'; CREATE TABLE t (a TEXT)");
    let error = database.connector().ping().await.unwrap_err();
    assert!(matches!(error, ConnectorError::Configuration { .. }), "{error:?}");
}

#[tokio::test]
async fn a_reachable_file_says_what_it_is() {
    let database = Database::new("CREATE TABLE t (a)");
    let info = database.connector().ping().await.unwrap();
    assert_eq!(info.product, "SQLite");
    assert!(info.version.starts_with("3."));
    assert!(info.encrypted);
}

#[tokio::test]
async fn a_refusal_tells_the_operator_alone() {
    let database = Database::new("CREATE TABLE t (a)");
    let error = run(&database.connector(), "SELECT hidden FROM t WHERE a = '943 476 5919'", INT).await.unwrap_err();
    assert!(!error.to_string().contains("hidden"));
    let detail = error.operator_detail().unwrap();
    assert!(detail.contains("hidden") && !detail.contains("943"), "{detail}");
}
