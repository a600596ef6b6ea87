use arrow::array::AsArray;
use arrow::datatypes::{Float32Type, Float64Type, TimeUnit};
use futures::StreamExt;

use super::*;

const MICROSECONDS: TimeUnit = TimeUnit::Microsecond;

#[tokio::test]
async fn every_type_is_read_with_nulls_and_extremes() {
    let database = Database::new(
        "CREATE TABLE t (i INTEGER, b BOOLEAN, r REAL, n NUMERIC(10,2), w DECIMAL(50,10), s TEXT, x BLOB, d DATE, \
         h TIME, m DATETIME, z TIMESTAMPTZ);
         INSERT INTO t VALUES
         (-9223372036854775808, 0, -1.7976931348623157e308, -99999999.99, '-1234567890.0123456789', '', x'', '0001-01-01',
          '00:00', '0001-01-01 00:00:00', '1970-01-01T00:00:00Z'),
         (9223372036854775807, 1, 5e-324, 99999999.99, 7, 'Łukasz' || char(0) || '😀', x'00ff', '9999-12-31',
          '23:59:59.999999', '9999-12-31T23:59:59.999999', '2024-03-31 02:30:00+01:00'),
         (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
    );
    let batch = run(
        &database.connector(),
        "SELECT i, b, r, n, w, s, x, d, h, m, z, NULL FROM t",
        &[
            DataType::Int64,
            DataType::Boolean,
            DataType::Float64,
            DataType::Decimal128(10, 2),
            DataType::Decimal256(50, 10),
            DataType::Utf8,
            DataType::Binary,
            DataType::Date32,
            DataType::Time64(MICROSECONDS),
            DataType::Timestamp(MICROSECONDS, None),
            DataType::Timestamp(MICROSECONDS, Some("UTC".into())),
            DataType::Null,
        ],
    )
    .await
    .unwrap();
    assert_eq!(batch.column(2).as_primitive::<Float64Type>().value(0), f64::MIN);
    assert_eq!(batch.column(2).as_primitive::<Float64Type>().value(1), 5e-324);
    let without_floats = batch.project(&[0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11]).unwrap();
    assert_eq!(
        rows(&without_floats),
        [
            "-9223372036854775808|false|-99999999.99|-1234567890.0123458000|||0001-01-01|00:00:00|0001-01-01T00:00:00|\
             1970-01-01T00:00:00Z|NULL",
            "9223372036854775807|true|99999999.99|7.0000000000|Łukasz\0😀|00ff|9999-12-31|23:59:59.999999|\
             9999-12-31T23:59:59.999999|2024-03-31T01:30:00Z|NULL",
            "NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL",
        ]
    );
}

#[tokio::test]
async fn narrower_types_and_conversions_that_lose_nothing() {
    let database = Database::new("CREATE TABLE t (a)");
    let batch = run(
        &database.connector(),
        "SELECT -128, 32767, -2147483648, 255, 4294967295, 1.5, 3, '2024-02-29 00:00:00', '12.50', 1.005",
        &[
            DataType::Int8,
            DataType::Int16,
            DataType::Int32,
            DataType::UInt8,
            DataType::UInt32,
            DataType::Float32,
            DataType::Float64,
            DataType::Date32,
            DataType::Decimal128(4, 2),
            DataType::Decimal128(4, 2),
        ],
    )
    .await
    .unwrap();
    assert_eq!(rows(&batch), ["-128|32767|-2147483648|255|4294967295|1.5|3.0|2024-02-29|12.50|1.01"]);
    assert_eq!(batch.column(5).as_primitive::<Float32Type>().value(0), 1.5);
}

#[tokio::test]
async fn a_value_of_another_kind_is_an_error_without_the_value() {
    let database = Database::new("CREATE TABLE t (a)");
    let connector = database.connector();
    for (sql, data_type) in [
        ("'secret'", DataType::Int64),
        ("1.5", DataType::Int64),
        ("128", DataType::Int8),
        ("-1", DataType::UInt64),
        ("2", DataType::Boolean),
        ("'true'", DataType::Boolean),
        ("'1.5'", DataType::Float64),
        ("'12.345'", DataType::Decimal128(6, 2)),
        ("12345", DataType::Decimal128(6, 2)),
        ("x'00'", DataType::Decimal128(6, 2)),
        ("7", DataType::Utf8),
        ("x'61'", DataType::Utf8),
        ("CAST(x'ff' AS TEXT)", DataType::Utf8),
        ("'a'", DataType::Binary),
        ("20240101", DataType::Date32),
        ("'2024-02-30'", DataType::Date32),
        ("'2024-01-01 12:00:00'", DataType::Date32),
        ("'31/12/2024'", DataType::Date32),
        ("'25:00'", DataType::Time64(MICROSECONDS)),
        ("'2024-01-01T00:00:00Z'", DataType::Timestamp(MICROSECONDS, None)),
        ("1700000000", DataType::Timestamp(MICROSECONDS, Some("UTC".into()))),
        ("1", DataType::Null),
    ] {
        let error = run(&connector, format!("SELECT 'x', {sql}"), &[DataType::Utf8, data_type.clone()]).await;
        let error = error.err().unwrap_or_else(|| panic!("{sql} was read as {data_type}"));
        assert!(matches!(&error, ConnectorError::Decode { position: 2, .. }), "{sql}: {error:?}");
        assert!(!error.to_string().contains("secret"));
    }
}

#[tokio::test]
async fn null_in_a_column_that_has_none_is_an_error() {
    let database = Database::new("CREATE TABLE t (a)");
    let schema = Arc::new(Schema::new(vec![Field::new("c1", DataType::Int64, false)]));
    let statement = Statement { sql: "SELECT NULL".to_owned(), schema, query_id: "q-1".to_owned() };
    let error = database.connector().query(statement).await.unwrap().next().await.unwrap().unwrap_err();
    assert!(matches!(error, ConnectorError::Decode { position: 1, .. }), "{error:?}");
}

#[tokio::test]
async fn a_result_without_columns_counts_rows() {
    let database = Database::new("CREATE TABLE t (a); INSERT INTO t VALUES (1), (2), (3)");
    let batches: Vec<RecordBatch> =
        database.connector().query(statement("SELECT 1 AS c1 FROM t", &[])).await.unwrap().try_collect().await.unwrap();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 3);
}

#[tokio::test]
async fn a_schema_that_does_not_fit_is_refused() {
    let database = Database::new("CREATE TABLE t (a)");
    let connector = database.connector();
    let error = run(&connector, "SELECT 1, 2", &[DataType::Int64]).await.unwrap_err();
    assert!(matches!(error, ConnectorError::Protocol { .. }), "{error:?}");
    let error = run(&connector, "SELECT 1", &[DataType::Duration(MICROSECONDS)]).await.unwrap_err();
    assert!(matches!(error, ConnectorError::Protocol { .. }), "{error:?}");
}

#[tokio::test]
async fn the_first_batch_is_small_and_the_rest_are_bounded() {
    let database = Database::new(
        "CREATE TABLE t (a INTEGER);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) INSERT INTO t SELECT i FROM n",
    );
    let batches: Vec<RecordBatch> = database
        .connector()
        .query(statement("SELECT a FROM t", &[DataType::Int64]))
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    let sizes: Vec<usize> = batches.iter().map(RecordBatch::num_rows).collect();
    assert_eq!(sizes, [256, 8192, 8192, 3360]);
}

#[tokio::test]
async fn an_error_after_some_rows_is_no_short_result() {
    let database = Database::new(
        "CREATE TABLE t (a);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300) INSERT INTO t SELECT i FROM n;
         INSERT INTO t VALUES ('no number')",
    );
    let mut stream = database.connector().query(statement("SELECT a FROM t", &[DataType::Int64])).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap().num_rows(), 256);
    assert!(matches!(stream.next().await, Some(Err(ConnectorError::Decode { position: 1, .. }))));
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn an_overflowing_sum_is_refused() {
    let database = Database::new("CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (9223372036854775807), (1)");
    let error = run(&database.connector(), "SELECT sum(a) FROM t", &[DataType::Int64]).await.unwrap_err();
    assert!(matches!(&error, ConnectorError::Refused { sqlstate, .. } if sqlstate == "22003"), "{error:?}");
}

#[tokio::test]
async fn a_change_counts_from_the_next_query() {
    let database = Database::new("CREATE TABLE consent (ok INTEGER); INSERT INTO consent VALUES (1)");
    let connector = database.connector();
    let ok = || run(&connector, "SELECT ok FROM consent", &[DataType::Int64]);
    assert_eq!(rows(&ok().await.unwrap()), ["1"]);
    database.writer.execute("UPDATE consent SET ok = 0", []).unwrap();
    assert_eq!(rows(&ok().await.unwrap()), ["0"]);
    database.writer.execute_batch("ALTER TABLE consent ADD COLUMN note TEXT; UPDATE consent SET ok = 2").unwrap();
    assert_eq!(rows(&ok().await.unwrap()), ["2"]);
    assert_eq!(connector.pool.idle_count(), 1);
}

#[tokio::test]
async fn a_replaced_file_is_read_anew() {
    let database = Database::new("CREATE TABLE consent (ok INTEGER); INSERT INTO consent VALUES (1)");
    let connector = database.connector();
    let ok = || run(&connector, "SELECT ok FROM consent", &[DataType::Int64]);
    assert_eq!(rows(&ok().await.unwrap()), ["1"]);
    let restored = database.directory.path().join("restored.db");
    let writer = Connection::open(&restored).unwrap();
    writer.execute_batch("CREATE TABLE consent (ok INTEGER); INSERT INTO consent VALUES (0)").unwrap();
    drop(writer);
    std::fs::rename(&restored, database.path()).unwrap();
    assert_eq!(rows(&ok().await.unwrap()), ["0"]);
}
