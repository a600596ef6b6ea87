//! A second driver, whose database has no schemas.

use std::path::Path;

use arrow::datatypes::DataType;
use wayleave_connector_api::{Connector, ConnectorError, TableName};
use wayleave_connector_testkit::contract::answer::{rows, run};

use crate::{OdbcConnector, OdbcOptions};

fn connector(path: &Path) -> OdbcConnector {
    OdbcConnector::new(OdbcOptions {
        connection_string: format!("Driver=SQLite3;Database={};StepAPI=1;PWD=hunter2", path.display()),
        max_connections: 2,
        connect_timeout_ms: 5_000,
        statement_timeout_ms: 30_000,
    })
}

#[tokio::test]
async fn tables_are_read_and_limits_written_as_the_driver_says() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agency.db");
    let writer = rusqlite::Connection::open(&path).unwrap();
    writer
        .execute_batch(
            "CREATE TABLE \"odd \"\" name\" (id INTEGER, name VARCHAR(20), born DATE); \
             INSERT INTO \"odd \"\" name\" VALUES (1, 'é 𝄞', '1950-02-28'), (2, NULL, NULL)",
        )
        .unwrap();
    let connector = connector(&path);
    let name = TableName::new("main", "odd \" name");
    let table = connector.table(&name).await.unwrap().unwrap();
    let types: Vec<DataType> = table.columns.iter().map(|c| c.column_type.readable().unwrap().clone()).collect();
    assert_eq!(types, [DataType::Int32, DataType::Utf8, DataType::Date32]);
    let dialect = connector.dialect();
    assert_eq!(dialect.limit(Some(1), 0), " LIMIT 1");
    let sql = format!("SELECT * FROM \"main\".{} AS \"b\" ORDER BY 1", dialect.quote_identifier(&name.table));
    assert_eq!(rows(&run(&connector, sql, &types).await.unwrap()), ["1|é 𝄞|1950-02-28", "2|NULL|NULL"]);
    let gone = run(&connector, "SELECT hidden FROM nowhere".to_owned(), &types).await.unwrap_err();
    assert!(matches!(gone, ConnectorError::Refused { .. }) && !gone.to_string().contains("hidden"), "{gone:?}");
    assert!(!format!("{connector:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_driver_that_is_not_there_is_a_wrong_setting() {
    let options = OdbcOptions {
        connection_string: "Driver={No such driver};PWD=hunter2".to_owned(),
        max_connections: 1,
        connect_timeout_ms: 5_000,
        statement_timeout_ms: 5_000,
    };
    let error = OdbcConnector::new(options).ping().await.unwrap_err();
    assert!(matches!(error, ConnectorError::Configuration { .. }), "{error:?}");
    assert!(!format!("{error:?}").contains("hunter2"));
}
