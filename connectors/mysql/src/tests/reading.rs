//! Types, catalog, decoding.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    Date32Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    Time64MicrosecondType, TimestampMicrosecondType, i256,
};
use wayleave_connector_api::{Collation, ColumnType, Dialect, OutputColumn, Table, TableKind, TableName};

use super::*;
use crate::MysqlDialect;

const EVERY_TYPE: &str = r#"
SET SESSION sql_mode = '';
CREATE TABLE every (
  id int PRIMARY KEY, b tinyint(1) NOT NULL, i1 tinyint, u1 tinyint unsigned, i2 smallint, u2 smallint unsigned, i3 mediumint,
  u3 mediumint unsigned, u4 int unsigned, i8 bigint, u8 bigint unsigned, z int zerofill, f4 float, f8 double, n decimal(12,3),
  big decimal(50,5), bit1 bit(1), bit9 bit(9), bit64 bit(64), t text, v varchar(12) CHARACTER SET latin1, c char(5),
  plain varchar(9) COLLATE utf8mb4_nopad_bin, bin varchar(9) COLLATE utf8mb4_bin, wide longtext, fixed binary(4), vb varbinary(9), bl blob,
  d date, tm time(6), dt datetime(6), ts timestamp(6) NULL, y year, e enum('low','high'), s set('a','b'), j json, u uuid, ip inet6,
  g int GENERATED ALWAYS AS (id + 1) VIRTUAL, p point, UNIQUE (v, i8), UNIQUE (b, i2), KEY (t(5)));
INSERT INTO every (id, b, i1, u1, i2, u2, i3, u3, u4, i8, u8, z, f4, f8, n, big, bit1, bit9, bit64, t, v, c, plain, bin, wide, fixed, vb, bl,
  d, tm, dt, ts, y, e, s, j, u, ip) VALUES
  (1, true, -128, 255, -32768, 65535, -8388608, 16777215, 4294967295, -9223372036854775808, 18446744073709551615, 7, 0.1, -1e300,
  -123456789.125, 123456789012345678901234567890123456789012345.12345, b'1', b'101010101', b'1111111111111111111111111111111111111111111111111111111111111111',
  'é\\', 'ÿé', 'ab ', 'P', 'B', 'w', 'ab', 'a\0', x'00ff', '2024-02-29', '23:59:59.999999', '1999-12-31 23:59:59.5', '2024-01-01 00:00:00',
  2155, 'high', 'a,b', '{"a": 1}', '6F9619FF-8B86-D011-B42D-00C04FC964FF', '::1');
INSERT INTO every (id, b, d, dt) VALUES (2, false, '0001-01-01', '9999-12-31 23:59:59.999999');
"#;

fn select(table: &Table) -> (String, SchemaRef) {
    let readable: Vec<_> = table.columns.iter().filter(|column| column.column_type.readable().is_some()).collect();
    let fields: Vec<Field> = readable
        .iter()
        .map(|column| Field::new(&column.name, column.column_type.readable().unwrap().clone(), true))
        .collect();
    let outputs: Vec<String> = readable
        .iter()
        .map(|column| {
            let output = OutputColumn::from(*column);
            let read = MysqlDialect.read_column(&MysqlDialect.quote_identifier(&column.name), &output);
            MysqlDialect.deliver(&read, &output, &output.data_type)
        })
        .collect();
    let [schema, name] = [&table.name.schema, &table.name.table].map(|name| MysqlDialect.quote_identifier(name));
    (format!("SELECT {} FROM {schema}.{name} ORDER BY 1", outputs.join(", ")), Arc::new(Schema::new(fields)))
}

#[tokio::test]
async fn every_type_arrives_as_it_is_or_is_refused_by_name() {
    let connector = agency("every_type", EVERY_TYPE).await;
    let table = connector.table(&TableName::new("every_type", "every")).await.unwrap().unwrap();
    assert_eq!((table.kind, table.row_estimate.is_some()), (TableKind::Table, true));
    assert_eq!(table.primary_key, ["id"]);
    // What is no boolean is read as unknown, so that a key of booleans is none here.
    assert_eq!(table.unique_keys, [["v", "i8"]]);
    let unreadable: Vec<&str> =
        table.columns.iter().filter(|c| c.column_type.readable().is_none()).map(|c| c.name.as_str()).collect();
    assert_eq!(unreadable, ["p"]);
    assert!(!table.column("b").unwrap().nullable && table.column("t").unwrap().nullable);
    assert_eq!(table.column("v").unwrap().source_type, "varchar(12) collate latin1_swedish_ci");
    for (name, collation) in [
        ("t", Collation::Loose),
        ("plain", Collation::Binary),
        ("bin", Collation::Loose),
        ("e", Collation::Loose),
        ("vb", Collation::Binary),
        ("i8", Collation::Binary),
    ] {
        assert_eq!(table.column(name).unwrap().collation, collation, "{name}");
    }
    let (sql, schema) = select(&table);
    let batch = collect(&connector, &sql, schema).await.unwrap();
    assert_eq!(batch.num_rows(), 2);
    let column = |name: &str| batch.column_by_name(name).unwrap();
    for (name, expected) in [
        ("t", "é\\"),
        ("v", "ÿé"),
        ("c", "ab"),
        ("plain", "P"),
        ("bin", "B"),
        ("wide", "w"),
        ("e", "high"),
        ("s", "a,b"),
        ("j", "{\"a\": 1}"),
        ("u", "6f9619ff-8b86-d011-b42d-00c04fc964ff"),
        ("ip", "::1"),
    ] {
        assert_eq!(column(name).as_string::<i32>().value(0), expected, "{name}");
        assert!(column(name).is_null(1), "{name}");
    }
    assert!(column("b").as_boolean().value(0) && !column("b").as_boolean().value(1));
    assert!(column("bit1").as_boolean().value(0));
    for (name, expected) in [("i1", -128), ("u1", 255), ("i2", i16::MIN), ("y", 2155)] {
        assert_eq!(column(name).as_primitive::<Int16Type>().value(0), expected, "{name}");
    }
    for (name, expected) in [("u2", 65_535), ("i3", -8_388_608), ("u3", 16_777_215), ("z", 7), ("g", 2)] {
        // A column filled with zeros is unsigned.
        let array = arrow::compute::cast(column(name), &DataType::Int64).unwrap();
        assert_eq!(array.as_primitive::<Int64Type>().value(0), expected, "{name}");
    }
    assert_eq!(column("u4").as_primitive::<Int64Type>().value(0), 4_294_967_295);
    assert_eq!(column("i8").as_primitive::<Int64Type>().value(0), i64::MIN);
    assert_eq!(column("bit9").as_primitive::<Int64Type>().value(0), 341);
    assert_eq!(column("u8").as_primitive::<Decimal128Type>().value(0), i128::from(u64::MAX));
    assert_eq!(column("bit64").as_primitive::<Decimal128Type>().value(0), i128::from(u64::MAX));
    assert_eq!(column("f4").as_primitive::<Float32Type>().value(0), 0.1);
    assert_eq!(column("f8").as_primitive::<Float64Type>().value(0), -1e300);
    assert_eq!(column("n").as_primitive::<Decimal128Type>().value(0), -123_456_789_125);
    assert_eq!(
        column("big").as_primitive::<Decimal256Type>().value(0),
        i256::from_string("12345678901234567890123456789012345678901234512345").unwrap()
    );
    assert_eq!(column("fixed").as_binary::<i32>().value(0), *b"ab\0\0");
    assert_eq!(column("vb").as_binary::<i32>().value(0), *b"a\0");
    assert_eq!(column("bl").as_binary::<i32>().value(0), [0, 255]);
    assert_eq!(column("d").as_primitive::<Date32Type>().values(), &[19_782, -719_162]);
    assert_eq!(column("tm").as_primitive::<Time64MicrosecondType>().value(0), 86_399_999_999);
    let moments = column("dt").as_primitive::<TimestampMicrosecondType>();
    assert_eq!(moments.values(), &[946_684_799_500_000, 253_402_300_799_999_999]);
    // The server's clock stands where the operating system's does; the session's in Greenwich.
    assert_eq!(
        column("ts").data_type(),
        &DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, Some("UTC".into()))
    );
    let own =
        server().query_text("every_type", "SELECT unix_timestamp(ts) * 1000000 DIV 1 FROM every WHERE id = 1").await;
    assert_eq!(
        column("ts").as_primitive::<TimestampMicrosecondType>().value(0).to_string(),
        own.unwrap().unwrap().split('.').next().unwrap()
    );
    let ids = column("id").as_primitive::<Int32Type>();
    assert_eq!(ids.values(), &[1, 2]);
}

#[tokio::test]
async fn what_is_no_value_of_its_type_ends_the_result_and_is_not_shown() {
    let connector = agency(
        "misfits",
        "SET SESSION sql_mode = 'ALLOW_INVALID_DATES'; CREATE TABLE t (d date, dt datetime, tm time, b tinyint(1)); \
         INSERT INTO t VALUES ('0000-00-00', '2024-02-00 10:00:00', '24:00:00', 2)",
    )
    .await;
    for (column, data_type) in [
        // As they stand, which `read_column` never does.
        ("d", DataType::Date32),
        ("dt", DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None)),
        ("tm", DataType::Time64(arrow::datatypes::TimeUnit::Microsecond)),
        ("b", DataType::Boolean),
    ] {
        let outcome =
            collect(&connector, &format!("SELECT 1, {column} FROM misfits.t"), schema(&[DataType::Int32, data_type]))
                .await;
        let Err(error) = outcome else { panic!("{column}: {outcome:?}") };
        assert!(matches!(error, ConnectorError::Decode { position: 2, .. }), "{error:?}");
        assert!(!format!("{error}").contains("2024"), "{error}");
    }
    // The connection was closed, and another is made.
    assert_eq!(texts(&connector, "SELECT 'next'").await, [Some("next".to_owned())]);
}

/// Applications write zero dates for what they do not know. To the database they come before any other.
#[tokio::test]
async fn a_date_that_is_none_is_unknown() {
    let connector = agency(
        "zero_dates",
        "SET SESSION sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'; \
         CREATE TABLE t (id int, d date NOT NULL, dt datetime(3) NOT NULL, ts timestamp NOT NULL, UNIQUE (id, d), UNIQUE (dt)); \
         INSERT INTO t VALUES (1, '0000-00-00', '0000-00-00', '0000-00-00'), \
           (2, '2024-02-00', '2024-02-00 10:00:00', '1970-01-01 00:00:01'), \
           (3, '2024-02-31', '2024-02-31 10:00:00', '2038-01-19 03:14:07'), (4, '0000-01-01', '0000-12-31 23:59:59', '2024-01-01'), \
           (5, '0001-01-01', '0001-01-01 00:00:00', '2024-01-01'), (6, '9999-12-31', '9999-12-31 23:59:59.999', '2024-01-01')",
    )
    .await;
    let table = connector.table(&TableName::new("zero_dates", "t")).await.unwrap().unwrap();
    assert!(["d", "dt", "ts"].iter().all(|name| table.column(name).unwrap().nullable));
    assert_eq!(table.unique_keys, Vec::<Vec<String>>::new());
    let (sql, schema) = select(&table);
    let batch = collect(&connector, &sql, schema).await.unwrap();
    let valid = |name: &str| {
        let column = batch.column_by_name(name).unwrap();
        (0..6).filter(|row| column.is_valid(*row)).map(|row| row + 1).collect::<Vec<usize>>()
    };
    assert_eq!((valid("d"), valid("dt"), valid("ts")), (vec![5, 6], vec![5, 6], vec![2, 3, 4, 5, 6]));
    let last = batch.column_by_name("dt").unwrap().as_primitive::<TimestampMicrosecondType>().value(5);
    assert_eq!(last, 253_402_300_799_999_000);
    for (name, known) in [("d", "2"), ("dt", "2"), ("ts", "5")] {
        let read = MysqlDialect.read_column(&format!("`{name}`"), &OutputColumn::from(table.column(name).unwrap()));
        // Neither before nor after any day, and of no year.
        for condition in [
            format!("{read} < DATE'2500-01-01' OR {read} >= DATE'2500-01-01'"),
            format!("NOT {read} < DATE'2500-01-01' OR {read} < DATE'2500-01-01'"),
            format!("{read} IS NOT NULL"),
            format!("year({read}) >= 0"),
            format!("{read} = {read}"),
        ] {
            let sql = format!("SELECT CAST(count(*) AS CHAR) FROM zero_dates.t WHERE {condition}");
            assert_eq!(texts(&connector, &sql).await, [Some(known.to_owned())], "{condition}");
        }
    }
}

/// A number that is neither 0 nor 1 is true to the database. No filter lets it through, nor does its contrary.
#[tokio::test]
async fn a_boolean_that_is_none_is_unknown_either_way() {
    let connector =
        agency("booleans", "CREATE TABLE t (b tinyint(1)); INSERT INTO t VALUES (0), (1), (2), (-1), (NULL)").await;
    let table = connector.table(&TableName::new("booleans", "t")).await.unwrap().unwrap();
    let read = MysqlDialect.read_column("`b`", &OutputColumn::from(table.column("b").unwrap()));
    let read = MysqlDialect.predicate_of(&read);
    for (condition, count) in [(read.clone(), "1"), (format!("(NOT {read})"), "1"), (format!("({read} IS NULL)"), "3")]
    {
        let sql = format!("SELECT CAST(count(*) AS CHAR) FROM booleans.t WHERE {condition}");
        assert_eq!(texts(&connector, &sql).await, [Some(count.to_owned())], "{condition}");
    }
}

#[tokio::test]
async fn names_are_told_apart_by_every_byte_whatever_they_are() {
    let hostile =
        ["select", "a b", "a`b", "a'b", "a\"b", "a\\b", "Name", "name ", "日本", "a:b", "x?y", "a.b", "-- x", "/*"];
    let hostile: Vec<&str> = hostile.into_iter().filter(|name| !name.ends_with(' ')).collect();
    let quoted = |name: &str| MysqlDialect.quote_identifier(name);
    let tables: String = hostile
        .iter()
        .map(|name| {
            let quoted = quoted(name);
            format!("CREATE TABLE {quoted} ({quoted} int, `c:d` text); INSERT INTO {quoted} VALUES (7, 'it''s'); ")
        })
        .collect();
    let connector = agency("ho`st'ile", "").await;
    server().execute("ho`st'ile", &tables).await.unwrap();
    server().execute("ho`st'ile", "CREATE VIEW seen AS SELECT 1 AS one").await.unwrap();
    let listed: Vec<_> =
        connector.tables().await.unwrap().into_iter().filter(|table| table.name.schema == "ho`st'ile").collect();
    assert_eq!(listed.len(), hostile.len() + 1);
    assert!(listed.iter().any(|table| table.name.table == "seen" && table.kind == TableKind::View));
    for name in hostile {
        let table = connector.table(&TableName::new("ho`st'ile", name)).await.unwrap().unwrap();
        assert_eq!(table.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(), [name, "c:d"]);
        let (sql, schema) = select(&table);
        let batch = collect(&connector, &sql, schema).await.unwrap_or_else(|error| panic!("{error:?}: {sql}"));
        assert_eq!(batch.column(0).as_primitive::<Int32Type>().value(0), 7);
        assert_eq!(batch.column(1).as_string::<i32>().value(0), "it's");
    }
    for none in ["NAME", "nothing", "Select", "🦀", "a\0"] {
        assert_eq!(connector.table(&TableName::new("ho`st'ile", none)).await.unwrap(), None, "{none}");
    }
}

#[tokio::test]
async fn only_what_the_login_may_read_is_there() {
    let _owner = agency("shared", "CREATE TABLE open (a int, b int); CREATE TABLE closed (a int)").await;
    server()
        .execute(
            "",
            "CREATE USER reader@'%' IDENTIFIED BY 'secret'; GRANT SELECT (a), INSERT (b) ON shared.open TO reader@'%'",
        )
        .await
        .unwrap();
    let url = format!("mariadb://reader:secret@127.0.0.1:{}", server().port());
    let reader = MysqlConnector::new(options(&url)).unwrap();
    let seen: Vec<String> = reader.tables().await.unwrap().into_iter().map(|table| table.name.to_string()).collect();
    assert_eq!(seen, ["shared.open"]);
    assert_eq!(reader.table(&TableName::new("shared", "closed")).await.unwrap(), None);
    let open = reader.table(&TableName::new("shared", "open")).await.unwrap().unwrap();
    assert!(open.column("a").unwrap().column_type.readable().is_some());
    assert!(
        matches!(&open.column("b").unwrap().column_type, ColumnType::Unreadable { reason } if reason.contains("login"))
    );
}

#[tokio::test]
async fn rows_come_in_batches_and_all_of_them() {
    let connector = agency("many", "").await;
    let sql = "SELECT seq, repeat('x', 100) FROM seq_1_to_50000";
    let mut stream = connector.query(statement(sql, schema(&[DataType::Int64, DataType::Utf8]))).await.unwrap();
    let mut sizes = Vec::new();
    let mut sum = 0;
    while let Some(batch) = stream.next().await {
        let batch = batch.unwrap();
        sum += batch.column(0).as_primitive::<Int64Type>().values().iter().sum::<i64>();
        sizes.push(batch.num_rows());
    }
    assert_eq!((sizes[0], sizes[1]), (256, 8_192));
    assert_eq!((sizes.iter().sum::<usize>(), sum), (50_000, 1_250_025_000));
    // A result without columns is a number of rows.
    let rows = collect(&connector, "SELECT 1 AS c1 FROM seq_1_to_7", schema(&[])).await;
    assert!(rows.is_ok());
    let empty =
        collect(&connector, "SELECT 1 FROM seq_1_to_7 WHERE seq > 7", schema(&[DataType::Int32])).await.unwrap();
    assert_eq!(empty.num_rows(), 0);
    // Sixteen megabytes and more come in several packets, and end like any other result.
    server().execute("", "SET GLOBAL max_allowed_packet = 67108864").await.unwrap();
    let connector = MysqlConnector::new(options(&server().url("many"))).unwrap();
    let long = texts(&connector, "SELECT repeat('é', 9000000) UNION ALL SELECT 'next'").await;
    assert_eq!(long.iter().map(|text| text.as_ref().unwrap().len()).collect::<Vec<_>>(), [18_000_000, 4]);
}

/// A small generator that gives the same numbers everywhere (SplitMix64).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit).unwrap()).unwrap()
    }
}
