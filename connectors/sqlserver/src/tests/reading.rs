//! What is read, and how it is asked for.

use arrow::array::AsArray;
use arrow::datatypes::Int32Type;
use wayleave_connector_api::TableName;
use wayleave_tds_server::{RequestKind, SnapshotIsolation};

use super::*;

#[tokio::test]
async fn a_session_is_read_only_in_intent_and_sees_a_snapshot_where_it_may() {
    let server = server("CREATE TABLE [dbo].[t] ([k] int NOT NULL); INSERT INTO [dbo].[t] VALUES (1), (2);");
    let reader = connector(&server, |_| {});
    let batch = collect(&reader, "SELECT [b].[k] AS [c1] FROM [dbo].[t] AS [b]", &[DataType::Int32]).await.unwrap();
    assert_eq!(batch.column(0).as_primitive::<Int32Type>().values(), &[1, 2]);
    let logins = server.log().logins();
    assert!(logins.iter().all(|login| login.read_only_intent && login.application == "wayleave"), "{logins:?}");
    let statements = server.log().statements();
    assert!(statements.iter().any(|text| text.contains("SET TRANSACTION ISOLATION LEVEL SNAPSHOT")), "{statements:?}");
    assert!(
        statements.iter().any(|text| text.starts_with("/* wayleave q-1 */ SELECT CAST(1 AS bigint)")),
        "{statements:?}"
    );
    let info = reader.ping().await.unwrap();
    assert_eq!((info.product.as_str(), info.version.contains("without")), ("SQL Server", false));
    let options = Options { snapshot_isolation: SnapshotIsolation::Off, ..Options::default() };
    let off = Server::start(options).unwrap();
    let info = connector(&off, |_| {}).ping().await.unwrap();
    assert!(info.version.ends_with("(read without snapshots)"), "{info:?}");
}

#[tokio::test]
async fn a_catalog_is_one_question() {
    let server = server(
        "CREATE TABLE [dbo].[Pati]]ents] ([id] int NOT NULL PRIMARY KEY, [nhs] varchar(12) COLLATE Latin1_General_CI_AS NOT \
         NULL UNIQUE);",
    );
    let reader = connector(&server, |_| {});
    reader.ping().await.unwrap();
    server.log().clear();
    let tables = reader.tables().await.unwrap();
    assert_eq!(tables.len(), 1, "{tables:?}");
    let table = reader.table(&TableName::new("dbo", "Pati]ents")).await.unwrap().unwrap();
    assert_eq!(server.log().statements().len(), 2);
    assert_eq!(table.primary_key, ["id"]);
    assert_eq!(table.unique_keys, [["nhs"]]);
    assert_eq!(table.columns[1].source_type, "varchar(12) COLLATE Latin1_General_CI_AS");
    // Names are as they are written.
    assert_eq!(reader.table(&TableName::new("dbo", "pati]ents")).await.unwrap(), None);
    assert_eq!(reader.table(&TableName::new("dbo", "nothing")).await.unwrap(), None);
}

#[tokio::test]
async fn a_result_of_no_columns_counts_its_rows() {
    let server = server("CREATE TABLE [dbo].[t] ([k] int NULL); INSERT INTO [dbo].[t] VALUES (1), (NULL), (3);");
    let reader = connector(&server, |_| {});
    let mut stream = reader.query(statement("SELECT 1 AS [c1] FROM [dbo].[t] AS [b]", schema(&[]))).await.unwrap();
    let batch = stream.next().await.unwrap().unwrap();
    assert_eq!((batch.num_rows(), batch.num_columns()), (3, 0));
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn a_schema_that_does_not_fit_is_no_answer() {
    let server = server("");
    let reader = connector(&server, |_| {});
    let two = collect(&reader, "SELECT 1 AS [c1], 2 AS [c2]", &[DataType::Int32]).await;
    assert!(matches!(two, Err(ConnectorError::Protocol { .. })), "{two:?}");
    let text = collect(&reader, "SELECT N'x' AS [c1]", &[DataType::Int32]).await;
    assert!(matches!(text, Err(ConnectorError::Decode { position: 1, .. })), "{text:?}");
    assert!(!server.log().requests().iter().any(|entry| entry.kind == RequestKind::Attention));
}
