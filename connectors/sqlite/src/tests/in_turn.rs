//! Two statements that see one state.

use futures::StreamExt;

use super::*;
use crate::pool::Pool;

const INT: &[DataType] = &[DataType::Int64];

fn database() -> Database {
    Database::new(
        "PRAGMA journal_mode = WAL; CREATE TABLE n (i INTEGER);
         WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r WHERE i < 20000) INSERT INTO n SELECT i FROM r",
    )
}

#[tokio::test]
async fn both_see_the_state_in_which_the_first_began() {
    let database = database();
    let connector = database.connector();
    let count = statement("SELECT count(*) FROM n", INT);
    let [mut first, second] =
        connector.query_in_turn([statement("SELECT i FROM n", INT), count.clone()]).await.unwrap();
    assert_eq!(first.next().await.unwrap().unwrap().num_rows(), 256);
    database.writer.execute_batch("DELETE FROM n WHERE i > 10").unwrap();
    let rest: Vec<RecordBatch> = first.try_collect().await.unwrap();
    assert_eq!(rest.iter().map(RecordBatch::num_rows).sum::<usize>(), 20_000 - 256);
    let second: Vec<RecordBatch> = second.try_collect().await.unwrap();
    assert_eq!(rows(&second[0]), ["20000"]);
    // What comes after is asked anew, on the same connection.
    eventually(Duration::from_secs(5), || connector.pool.idle_count() == 1).await;
    assert_eq!(rows(&run(&connector, count.sql, INT).await.unwrap()), ["10"]);
}

#[tokio::test]
async fn the_second_has_no_row_before_the_first_was_read() {
    let database = database();
    let connector = database.connector();
    let [first, mut second] =
        connector.query_in_turn([statement("SELECT i FROM n", INT), statement("SELECT 1", INT)]).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(50), second.next()).await.is_err());
    let first: Vec<RecordBatch> = first.try_collect().await.unwrap();
    assert_eq!(first.iter().map(RecordBatch::num_rows).sum::<usize>(), 20_000);
    assert_eq!(second.next().await.unwrap().unwrap().num_rows(), 1);
    assert!(second.next().await.is_none());
}

#[tokio::test]
async fn what_either_fails_by_is_told_and_never_looks_like_its_end() {
    let database = database();
    let connector = database.connector();
    let (good, bad) = (statement("SELECT i FROM n", INT), statement("SELECT i FROM missing", INT));
    let [first, second] = connector.query_in_turn([bad.clone(), good.clone()]).await.unwrap();
    let (first, second) = futures::join!(first.try_collect::<Vec<_>>(), second.try_collect::<Vec<_>>());
    assert!(matches!(first, Err(ConnectorError::Refused { .. })), "{first:?}");
    assert!(matches!(second, Err(ConnectorError::Lost { .. })), "{second:?}");
    let [first, second] = connector.query_in_turn([good.clone(), bad]).await.unwrap();
    assert_eq!(first.try_collect::<Vec<_>>().await.unwrap().iter().map(RecordBatch::num_rows).sum::<usize>(), 20_000);
    assert!(matches!(second.try_collect::<Vec<_>>().await, Err(ConnectorError::Refused { .. })));
    // Neither connection may be left inside its transaction.
    assert_eq!(connector.pool.idle_count(), 0);
    let missing =
        SqliteConnector::over(Pool::new(SqliteOptions { path: "/nowhere/none.db".into(), ..database.options() }));
    let [first, second] = missing.query_in_turn([good.clone(), good]).await.unwrap();
    assert!(matches!(first.try_collect::<Vec<_>>().await, Err(ConnectorError::Unavailable { .. })));
    assert!(second.try_collect::<Vec<_>>().await.is_err());
}

#[tokio::test]
async fn dropping_either_gives_the_place_back() {
    let database = database();
    let connector = database.connector();
    let both = || [statement("SELECT i FROM n", INT), statement("SELECT a.i FROM n AS a, n AS b", INT)];
    let [mut first, second] = connector.query_in_turn(both()).await.unwrap();
    assert!(first.next().await.unwrap().is_ok());
    drop(first);
    assert!(matches!(second.try_collect::<Vec<_>>().await, Err(ConnectorError::Lost { .. })));
    eventually(Duration::from_secs(5), || connector.pool.free() == 2).await;
    let [first, mut second] = connector.query_in_turn(both()).await.unwrap();
    drop(first.try_collect::<Vec<_>>().await.unwrap());
    assert!(second.next().await.unwrap().is_ok());
    drop(second);
    eventually(Duration::from_secs(5), || connector.pool.free() == 2).await;
    assert_eq!(connector.pool.idle_count(), 0);
}
